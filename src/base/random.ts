import { randomFillSync } from 'node:crypto'

/** Chance, always handed in. Keys and nonces come from `realRandom` in every node. */
export interface Random {
  bytes(length: number): Uint8Array
  /** Uniform in [0, 1). */
  fraction(): number
}

const poolBytes = 4_096
/** Ids, nonces and keys are drawn from a pool: each call into the system costs more than all else about a nonce. */
const pooledBytesMax = 64
const pool = new Uint8Array(poolBytes)
let drawn = poolBytes

/** Bytes of the pool, which keeps no copy of them. */
function draw(length: number): Uint8Array {
  if (drawn + length > poolBytes) {
    randomFillSync(pool)
    drawn = 0
  }
  const bytes = pool.slice(drawn, drawn + length)
  pool.fill(0, drawn, drawn + length)
  drawn += length
  return bytes
}

export const realRandom: Random = {
  bytes: (length) => (length <= pooledBytesMax ? draw(length) : randomFillSync(new Uint8Array(length))),
  fraction: () => (randomFillSync(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
}

/** Repeatable chance for tests and the simulator (mulberry32). Never for keys of a real node. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    fraction: () => next() / 2 ** 32,
  }
}

/** Uniform integer in [0, below). */
export const randomInt = (random: Random, below: number): number => Math.floor(random.fraction() * below)
