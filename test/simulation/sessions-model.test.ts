import { expect, test, vi } from 'vitest'
import { concat, createSeededRandom, createVirtualClock, dayMs, equal, hex, hourMs, MeshError, type Random, randomInt } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/hash.ts'
import { offerEveryMs } from '../../src/envelope/sessions.ts'
import { sealModeOf, sealModes } from '../../src/envelope/modes.ts'
import { decodeSessionFrame } from '../../src/envelope/ratchet.ts'
import type { MemoryStore } from '../../src/store/index.ts'
import { copyOf, createSide, entriesOf, flush, keysOf, open, recordsOf, restart, say, seal, type Side, tell, textsOf } from '../helpers/sessions.ts'

/** First bytes of key and nonce of every seal in this file. */
const seals = vi.hoisted(() => ({ count: 0, seen: new Set<string>(), twice: 0 }))
vi.mock('../../src/crypto/aead.ts', async (original) => {
  const real: typeof import('../../src/crypto/aead.ts') = await original()
  return {
    ...real,
    aeadSeal(...args: Parameters<typeof real.aeadSeal>) {
      const name = `${args[1].export().toString('latin1', 0, 12)}${Buffer.from(args[2]).toString('latin1')}`
      seals.count++
      if (seals.seen.has(name)) seals.twice++
      seals.seen.add(name)
      return real.aeadSeal(...args)
    },
  }
})

// A KEM that hides nothing and draws from the chance of its side, so that a seed replays to the last tag.
vi.mock('../../src/crypto/kem.ts', async (original) => {
  const real: typeof import('../../src/crypto/kem.ts') = await original()
  const secretOf = (publicKey: Uint8Array, ciphertext: Uint8Array): Uint8Array => sha256(concat(publicKey, ciphertext))
  return {
    ...real,
    createKemPrivateKey(seed: Uint8Array) {
      const { publicKey } = real.createKemPrivateKey(seed)
      return { publicKey, decapsulate: (ciphertext: Uint8Array) => secretOf(publicKey, ciphertext) }
    },
    kemEncapsulate({ bytes }: Parameters<typeof real.kemEncapsulate>[0], random: Random) {
      const ciphertext = new Uint8Array(real.kemCiphertextBytesLength)
      ciphertext.set(random.bytes(32))
      return { ciphertext, sharedSecret: secretOf(bytes, ciphertext) }
    },
  }
})

const isLong = process.env['KINDMESH_TEST_LONG'] !== undefined

interface Frame {
  readonly bytes: Uint8Array
  readonly texts: readonly string[]
  /** Life of the sender it was sealed in. */
  readonly life: number
}
interface Player {
  readonly side: Side
  readonly inbound: Frame[]
  life: number
  /** A start that found less than there had been, so that not every frame may open any more. */
  hasFallenBack: boolean
  /** Session frames that opened, by whether that is on the disk. */
  opened: Set<Frame>
  openedOnDisk: Set<Frame>
  snapshot: { readonly store: MemoryStore; readonly opened: Set<Frame> } | undefined
}

interface Chaos {
  readonly loses: boolean
  readonly crashes: boolean
  readonly restores: boolean
}

const chaosOf = (seed: number): Chaos => ({ loses: seed % 4 !== 0, crashes: seed % 3 === 1, restores: seed % 3 === 1 })

/** One run of two sides through everything that befalls them; throws where a promise is broken. */
async function play(seed: number, steps: number): Promise<Record<string, number>> {
  const chance = createSeededRandom(seed)
  const clock = createVirtualClock()
  const chaos = chaosOf(seed)
  const player = async (name: string, number: number): Promise<Player> => ({
    side: await createSide({ name, seed: seed * 100 + number, clock }),
    inbound: [],
    life: 0,
    hasFallenBack: false,
    opened: new Set(),
    openedOnDisk: new Set(),
    snapshot: undefined,
  })
  const players = [await player('anna', 1), await player('ben', 2)] as const
  const counts: Record<string, number> = {}
  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1)
  const oneOf = <T>(items: readonly T[], random: Random = chance): T => items[randomInt(random, items.length)] as T
  let said = 0

  async function send(from: Player, to: Player): Promise<void> {
    const batch = randomInt(chance, 12) === 0 ? 1 + randomInt(chance, 32) : 1
    const texts = Array.from({ length: batch }, () => `${from.side.name} ${said++}`)
    const { bytes, mode } = await seal(from.side, to.side, texts, {
      noBundle: from.side.sessions.has(to.side.keyring.did) && randomInt(chance, 3) === 0,
    })
    to.inbound.push({ bytes, texts, life: from.life })
    count(mode)
  }
  async function deliver(to: Player, from: Player): Promise<void> {
    if (to.inbound.length === 0) return
    // Mostly in order.
    const index = randomInt(chance, 3) === 0 ? randomInt(chance, to.inbound.length) : 0
    const fate = randomInt(chance, 20)
    const frame = to.inbound[index] as Frame
    if (fate === 0) {
      await forge(to, frame)
      return
    }
    if (fate !== 1) to.inbound.splice(index, 1)
    if (chaos.loses && fate < 4 && fate > 1) {
      count('lost on the way')
      return
    }
    const isFrame = sealModeOf(frame.bytes) === sealModes.session
    const wasOpened = to.opened.has(frame)
    const isHeld = isFrame && (await entriesOf(to.side)).has(`sessions/s/${hex(decodeSessionFrame(frame.bytes).tag)}`)
    try {
      const texts = textsOf(open(to.side, frame))
      expect(texts).toEqual(frame.texts)
      if (isFrame) expect(wasOpened, 'a frame opened twice').toBe(false)
      if (isFrame) to.opened.add(frame)
      count('opened')
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
      expect(['ERR_SESSION_LOST', 'ERR_SEAL_PREKEY']).toContain(error.code)
      count(wasOpened ? 'second time refused' : error.code)
      const mustOpen = isFrame && !wasOpened && isHeld && !to.hasFallenBack && frame.life === from.life
      expect(mustOpen, `${frame.texts[0]} must open: ${error.message}`).toBe(false)
      if (!wasOpened && randomInt(chance, 2) === 0) from.side.sessions.lost(to.side.keyring.did, randomInt(chance, 4) === 0 ? undefined : frame.bytes)
    }
    expect(to.side.sessions.count).toBeLessThanOrEqual(4)
    expect(to.side.sessions.skippedCount).toBeLessThanOrEqual(2_000)
  }
  async function forge(to: Player, frame: Frame): Promise<void> {
    const bytes = Uint8Array.from(frame.bytes)
    const at = randomInt(chance, bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << randomInt(chance, 8))
    const before = await recordsOf(to.side)
    expect(() => open(to.side, { bytes }), `a bit at ${at}`).toThrow(MeshError)
    expect(await recordsOf(to.side)).toEqual(before)
    count('forged')
  }
  async function befall(to: Player): Promise<void> {
    const what = randomInt(chance, 30)
    if (what < 12) {
      const all = to.side.pending.length
      const some = randomInt(chance, 2) === 0 ? all : randomInt(chance, all + 1)
      await flush(to.side, some)
      if (some === all) to.openedOnDisk = new Set(to.opened)
    } else if ((what === 12 || what === 23) && chaos.crashes) {
      count('crash')
      to.hasFallenBack = true
      to.life++
      to.opened = new Set(to.openedOnDisk)
      await restart(to.side)
    } else if (what === 13) {
      count('restart')
      await flush(to.side)
      to.openedOnDisk = new Set(to.opened)
      to.life++
      await restart(to.side)
    } else if (what === 14 || what === 16) {
      await flush(to.side)
      to.openedOnDisk = new Set(to.opened)
      to.snapshot = { store: await copyOf(to.side.store), opened: new Set(to.opened) }
    } else if ((what === 15 || what === 17) && chaos.restores && to.snapshot !== undefined) {
      count('restore')
      to.hasFallenBack = true
      to.life++
      to.opened = new Set(to.snapshot.opened)
      to.openedOnDisk = new Set(to.opened)
      await restart(to.side, await copyOf(to.snapshot.store))
    } else if (what < 23) await clock.advance(randomInt(chance, 6) === 0 ? dayMs : hourMs)
  }

  for (let step = 0; step < steps; step++) {
    const [one, other] = randomInt(chance, 2) === 0 ? players : ([players[1], players[0]] as const)
    const act = randomInt(chance, 10)
    if (act < 4) await send(one, other)
    else if (act < 9) await deliver(one, other)
    else await befall(one)
  }
  await settle(players, oneOf(['anna', 'ben']))
  return counts
}

/** The network is kind again: everything arrives, and once both have healed they send on one and the same session. */
async function settle([anna, ben]: readonly [Player, Player], first: string): Promise<void> {
  const order = first === 'anna' ? ([anna, ben] as const) : ([ben, anna] as const)
  const last = new Map<Player, Uint8Array>()
  for (let round = 0; round < 6; round++) {
    await anna.side.clock.advance(round === 2 ? dayMs : offerEveryMs)
    for (const [from, to] of [order, [order[1], order[0]] as const]) {
      let tries = 0
      for (let done = false; !done; tries++) {
        expect(tries, 'tries until it arrives').toBeLessThan(3)
        const sealed = await seal(from.side, to.side, `settled ${round}`)
        try {
          expect(textsOf(open(to.side, sealed))).toEqual([`settled ${round}`])
          done = true
          last.set(from, sealed.bytes)
        } catch (error) {
          if (!(error instanceof MeshError)) throw error
          from.side.sessions.lost(to.side.keyring.did, sealed.bytes)
        }
      }
    }
  }
  const [fromAnna, fromBen] = [anna, ben].map((player) => decodeSessionFrame(last.get(player) ?? new Uint8Array()))
  const shared = (await recordsOf(anna.side)).find(({ sendTag }) => equal(sendTag, fromAnna?.tag ?? new Uint8Array()))
  expect(hex(shared?.receiveTag ?? new Uint8Array()), 'both send on one session').toBe(hex(fromBen?.tag ?? new Uint8Array()))
}

test('whatever befalls two sides: frames open once and to what was sealed, forged ones change nothing, both settle on one session', async () => {
  const counts: Record<string, number> = {}
  for (let seed = 1; seed <= (isLong ? 2_000 : 40); seed++) {
    const found = await play(seed, 300).catch((error: unknown) => {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
    })
    for (const [what, times] of Object.entries(found)) counts[what] = (counts[what] ?? 0) + times
  }
  // Everything that can befall them did.
  for (const what of ['box', 'session', 'opened', 'second time refused', 'forged', 'lost on the way', 'crash', 'restart', 'restore', 'ERR_SESSION_LOST']) {
    expect(counts[what] ?? 0, what).toBeGreaterThan(5)
  }
  expect(seals.twice).toBe(0)
})

test('100,000 seals, through crashes, restarts and stores put back: no key and nonce twice', async () => {
  const clock = createVirtualClock()
  const keyring = keysOf(500_001)
  let isSigning = true
  // The seal is what counts here: most frames are made and never opened.
  const anna = await createSide({
    name: 'anna',
    seed: 500_001,
    clock,
    keyring: { ...keyring, sign: (message) => (isSigning ? keyring.sign(message) : new Uint8Array(64)) },
  })
  const ben = await createSide({ name: 'ben', seed: 500_002, clock })
  const goal = seals.count + (isLong ? 10_000_000 : 100_000)
  const old = [await copyOf(anna.store)]
  for (let round = 0; seals.count < goal; round++) {
    await clock.advance(offerEveryMs)
    expect(await tell(ben, anna, 'go on', { noBundle: round % 3 === 0 && ben.sessions.has(keyring.did) })).toBe('go on')
    expect(await tell(anna, ben, 'I do')).toBe('I do')
    const item = say(anna, ben, 'again')
    isSigning = false
    for (let count = 0; count < 950; count++) anna.sessions.seal(ben.keyring.did, [item], { bundle: undefined })
    isSigning = true
    if (round % 5 === 0) old.push(await copyOf(anna.store))
    if (round % 3 === 0) await flush(anna)
    if (round % 4 === 1) await restart(anna)
    if (round % 7 === 2) await restart(anna, await copyOf(old[round % old.length] ?? anna.store))
    ben.sessions.lost(keyring.did)
  }
  expect(seals.twice).toBe(0)
})
