import { MeshError } from '../../base/index.ts'
import { boxBytesMax, bundleBytesMax } from '../../envelope/index.ts'
import { batchStatementsMax } from '../../identity/index.ts'
import { bytesUpTo, decode, encode, instant, listOf, literal, oneOf, type Plain, row, type Shape, textUpTo, uintUpTo } from '../../wire/index.ts'
import { capabilitiesMax, capabilityName, capabilityOrNone, manifestShape } from './manifest.ts'

export const klpProtocol = '/kindmesh/klp/1.0.0'
export const klpVersion = 1
/** Largest frame of the message plane. Source: klp/v1 section 6. */
export const klpFrameBytesMax = 160 * 1024
/** Largest sealed message in a frame. */
export const sealedBytesMax = Math.min(boxBytesMax, 128 * 1024)
/** Requests one side may have unanswered at a time. */
export const requestsInFlightMax = 256
/** Bytes of unanswered requests one side may have at a time: the credit announced in hello. */
export const creditBytes = 1 << 20
export const evidenceMax = 64
export const evidenceBytesMax = 64 * 1024
/** Longest time a request may wait, and a refusal may name to come back. */
export const ttlMsMax = 86_400_000
/** Limits one answer of terms may name. */
export const termLimitsMax = 8
const nameCharsMax = 64
const reasonCharsMax = 256

export const needs = ['required', 'preferred', 'optional'] as const
export const answers = ['granted', 'partial', 'denied'] as const

const name = textUpTo(nameCharsMax)
const rid = uintUpTo(0xffff_ffff)

const helloShape = row({
  frame: literal(0),
  versions: listOf(uintUpTo(255), 8),
  wants: listOf(row({ name: capabilityName, need: oneOf(needs) }), capabilitiesMax),
  manifest: manifestShape,
  credit: uintUpTo(16 << 20),
  bundle: bytesUpTo(bundleBytesMax),
  evidence: listOf(row({ kind: oneOf(['attestation', 'revocation', 'head', 'inception', 'succession']), bytes: bytesUpTo(1_280) }), evidenceMax),
})
const termsShape = row({
  frame: literal(1),
  answers: listOf(
    row({
      name: capabilityName,
      answer: oneOf(answers),
      reason: textUpTo(reasonCharsMax),
      alternative: capabilityOrNone,
      /** What a partial answer allows at most. */
      limits: listOf(row({ name, most: uintUpTo(Number.MAX_SAFE_INTEGER) }), termLimitsMax),
    }),
    capabilitiesMax,
  ),
  validUntil: instant,
})
const requestShape = row({ frame: literal(2), rid, ttlsMs: listOf(uintUpTo(ttlMsMax), batchStatementsMax), sealed: bytesUpTo(sealedBytesMax) })
const replyShape = row({ frame: literal(3), rids: listOf(rid, batchStatementsMax), sealed: bytesUpTo(sealedBytesMax) })
const refusalShape = row({ frame: literal(4), rid, code: textUpTo(nameCharsMax), message: textUpTo(reasonCharsMax), retryAfterMs: uintUpTo(ttlMsMax) })
const cancelShape = row({ frame: literal(5), rid })
const byeShape = row({ frame: literal(6), code: textUpTo(nameCharsMax), message: textUpTo(reasonCharsMax) })
const pingShape = row({ frame: literal(7), rid })
const pongShape = row({ frame: literal(8), rid })

const shapes = [helloShape, termsShape, requestShape, replyShape, refusalShape, cancelShape, byeShape, pingShape, pongShape] as const
type FrameOf<S> = S extends Shape<infer T> ? T : never
export type Frame = FrameOf<(typeof shapes)[number]>
export type Hello = Omit<FrameOf<typeof helloShape>, 'frame'>
export type Terms = Omit<FrameOf<typeof termsShape>, 'frame'>
export type Want = Hello['wants'][number]
export type TermsAnswer = Terms['answers'][number]

export function encodeFrame(frame: Frame): Uint8Array {
  const shape = shapes[frame.frame] as Shape<Frame>
  return encode(shape.encode(frame))
}

/** @throws ERR_WIRE_TOO_LARGE, ERR_WIRE_MALFORMED */
export function decodeFrame(bytes: Uint8Array): Frame {
  const plain = decode(bytes, klpFrameBytesMax)
  const kind: unknown = Array.isArray(plain) ? (plain as readonly Plain[])[0] : undefined
  const shape = typeof kind === 'number' ? shapes[kind] : undefined
  if (shape === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'no KLP frame')
  return shape.decode(plain, 'frame')
}

/** What a refusal frame may carry of an error. */
export const shorten = (message: string): string => message.slice(0, reasonCharsMax)
