import { type Random, randomInt } from '../../src/base/index.ts'

/** Bytes nobody sent on purpose: noise, or a sample cut, repeated, flipped or spliced. */
export function fuzzed(samples: readonly Uint8Array[], random: Random): Uint8Array {
  const sample = samples[randomInt(random, samples.length)] ?? new Uint8Array()
  const kind = randomInt(random, 8)
  if (kind === 0) return random.bytes(randomInt(random, 300))
  const bytes = Uint8Array.from(sample)
  const at = randomInt(random, Math.max(1, bytes.length))
  if (kind === 1) return bytes.slice(0, at)
  if (kind === 2) return Uint8Array.from([...bytes.subarray(0, at), ...random.bytes(1 + randomInt(random, 8)), ...bytes.subarray(at)])
  if (kind === 3) return Uint8Array.from([...bytes, ...random.bytes(1 + randomInt(random, 4))])
  if (kind === 4) {
    const other = samples[randomInt(random, samples.length)] ?? bytes
    return Uint8Array.from([...bytes.subarray(0, at), ...other.subarray(randomInt(random, Math.max(1, other.length)))])
  }
  // Heads of CBOR items are where decoders go wrong.
  for (let flips = 1 + randomInt(random, 3); flips > 0; flips--) {
    bytes[randomInt(random, Math.max(1, Math.min(bytes.length, 64)))] =
      [0x1b, 0x3b, 0x5b, 0x5f, 0x7f, 0x9b, 0x9f, 0xbb, 0xbf, 0xfb, 0xff, 0xf7, randomInt(random, 256)][randomInt(random, 13)] ?? 0
  }
  return bytes
}
