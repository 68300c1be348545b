import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, type MeshError } from '../../src/base/index.ts'
import { FrameCutter, headerLength, joinFrames } from '../../src/net/frames.ts'

const code = (expected: string): unknown => expect.objectContaining({ code: expected })

const total = (frames: readonly Uint8Array[]): number => frames.reduce((sum, frame) => sum + frame.length + headerLength(frame.length), 0)

function cut(cutter: FrameCutter, chunks: readonly Uint8Array[]): Uint8Array[] {
  const frames: Uint8Array[] = []
  for (const chunk of chunks) {
    cutter.push(chunk)
    for (let frame = cutter.next(); frame !== undefined; frame = cutter.next()) frames.push(frame)
  }
  return frames
}

describe('frames', () => {
  test('cut the same however the bytes arrive', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 }),
        (frames, sizes) => {
          const bytes = joinFrames(frames, total(frames))
          const chunks: Uint8Array[] = []
          for (let offset = 0, index = 0; offset < bytes.length; index++) {
            const size = sizes[index % sizes.length] ?? 1
            chunks.push(bytes.subarray(offset, offset + size))
            offset += size
          }
          const cutter = new FrameCutter(300)
          expect(cut(cutter, chunks)).toEqual(frames)
          expect(cutter.buffered).toBe(0)
        },
      ),
      { seed: 1, numRuns: 2_000 },
    )
  })

  test('any bytes give frames within the limit, a wait for more, or a coded error', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 }), (chunks) => {
        try {
          for (const frame of cut(new FrameCutter(64), chunks)) expect(frame.length).toBeLessThanOrEqual(64)
        } catch (error) {
          expect((error as MeshError).code).toMatch(/^ERR_WIRE_(TOO_LARGE|MALFORMED)$/)
        }
      }),
      { seed: 1, numRuns: 5_000 },
    )
  })

  test('a length of 2^32-1 is refused on its header alone, and so is the first byte that goes over', () => {
    const cutter = new FrameCutter(1 << 20)
    cutter.push(Uint8Array.from([0xff, 0xff, 0xff]))
    expect(() => cutter.next()).toThrow(code('ERR_WIRE_TOO_LARGE'))
    const whole = new FrameCutter(1 << 20)
    whole.push(Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0x0f]))
    expect(whole.ready).toBe(true)
    expect(() => whole.next()).toThrow(code('ERR_WIRE_TOO_LARGE'))
  })

  test('a padded or endless length is malformed', () => {
    for (const bytes of [
      [0x80, 0x00],
      [0x81, 0x80, 0x00],
      [0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    ]) {
      const cutter = new FrameCutter(1 << 20)
      cutter.push(Uint8Array.from(bytes))
      expect(() => cutter.next()).toThrow(code('ERR_WIRE_MALFORMED'))
    }
  })

  test('a Buffer among the chunks does not come out as one', () => {
    const cutter = new FrameCutter(1 << 20)
    const chunk = Buffer.from([2, 7, 8])
    cutter.push(chunk)
    const frame = cutter.next()
    chunk.fill(0)
    expect(frame).toEqual(Uint8Array.from([7, 8]))
  })

  test('a small frame kept does not keep the chunk it came in', () => {
    const cutter = new FrameCutter(1 << 20)
    cutter.push(concat(Uint8Array.from([3, 1, 2, 3]), new Uint8Array(60_000)))
    expect(cutter.next()?.buffer.byteLength).toBe(3)
  })
})
