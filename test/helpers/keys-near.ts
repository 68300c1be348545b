import { compare, createSeededRandom, type Did, didFromKey } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { peerIdTextOfDid } from '../../src/net/index.ts'

/** Keys nearest to a place in the DHT, of many tried: what it costs to sit there. */
export function keysNear(target: Uint8Array, count: number, seed: number): readonly Did[] {
  const random = createSeededRandom(seed)
  const tried = Array.from({ length: 20_000 }, () => {
    const key = random.bytes(32)
    return { key, distance: sha256(key).map((byte, index) => byte ^ (target[index] ?? 0)) }
  })
  const near: Did[] = []
  for (const { key } of tried.toSorted((a, b) => compare(a.distance, b.distance))) {
    if (near.length === count) break
    if (isSound(key)) near.push(didFromKey(key))
  }
  return near
}

function isSound(key: Uint8Array): boolean {
  try {
    return peerIdTextOfDid(didFromKey(key)) !== ''
  } catch {
    return false
  }
}
