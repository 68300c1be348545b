import { hex, MeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { bytesOf, codec, encode, instant, map, nullable, type Plain, type Shape, textUpTo, uintUpTo } from '../wire/index.ts'
import { hashBytesLength } from './tree.ts'

/** Largest `data` of an entry, as CBOR; larger data is replaced by its hash. Source: audit/v1 section 2. */
export const dataBytesMax = 4_096
/** Values `data` may hold, at any depth. */
export const dataItemsMax = 512
export const dataDepthMax = 8
/** Longest actor or subject, in UTF-16 units; the rest is cut. */
export const nameCharsMax = 256
export const eventCharsMax = 64
/** Largest entry. Source: audit/v1 section 2. */
export const entryBytesMax = 8_192

export type AuditData = Readonly<Record<string, Plain>>

/** Something that happened, as `events.ts` words it: who did it, to whom or what, and hashes rather than contents. */
export interface AuditEvent {
  readonly event: string
  readonly actor: string
  readonly subject?: string | undefined
  readonly data: AuditData
}

/** An event in its place in the log. */
export interface AuditEntry {
  readonly seq: number
  /** Milliseconds since 1970 when the event was recorded. */
  readonly time: number
  readonly event: string
  readonly actor: string
  readonly subject: string | undefined
  readonly data: AuditData
  /** Leaf hash of the entry before, zeros for the first. */
  readonly prevHash: Uint8Array
}

export const firstPrevHash: Uint8Array = new Uint8Array(hashBytesLength)

const isMap = (value: unknown): value is AuditData => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

const dataShape: Shape<AuditData> = {
  encode: (value) => value,
  decode(plain, path) {
    if (!isMap(plain)) throw new MeshError('ERR_WIRE_MALFORMED', `${path} is not a map`)
    return plain
  },
}

/** Deterministic CBOR of an entry. Source: audit/v1 section 2. */
export const entryCodec = codec<AuditEntry>(
  'audit entry',
  map({
    seq: uintUpTo(Number.MAX_SAFE_INTEGER),
    time: instant,
    event: textUpTo(eventCharsMax),
    actor: textUpTo(nameCharsMax),
    subject: nullable(textUpTo(nameCharsMax)),
    data: dataShape,
    prevHash: bytesOf(hashBytesLength),
  }),
  entryBytesMax,
)

/** A copy of the event that always fits an entry: an act is never left out of the log because of what it is about. */
export function fit({ event, actor, subject, data }: AuditEvent): AuditEvent {
  return {
    event: cut(event, eventCharsMax),
    actor: cut(actor, nameCharsMax),
    subject: subject === undefined ? undefined : cut(subject, nameCharsMax),
    data: fitData(data),
  }
}

/** Well-formed text of at most `max` UTF-16 units. */
export const cut = (text: string, max: number): string => text.slice(0, max).toWellFormed()

function fitData(data: AuditData): AuditData {
  const budget = { items: dataItemsMax }
  const copy = copyPlain(data, dataDepthMax, budget)
  if (budget.items < 0 || !isMap(copy)) return { omitted: 'too many values' }
  const bytes = encode(copy)
  return bytes.length <= dataBytesMax ? copy : { omitted: 'too large', bytes: bytes.length, sha256: hex(sha256(bytes)) }
}

function copyPlain(value: unknown, depth: number, budget: { items: number }): Plain {
  if (--budget.items < 0) return null
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) && !Object.is(value, -0) ? value : String(value)
  if (typeof value === 'string') return value.toWellFormed()
  if (value instanceof Uint8Array) return value.slice()
  if (typeof value !== 'object') return typeof value
  if (depth === 0) return 'nested too deep'
  if (Array.isArray(value)) return value.slice(0, dataItemsMax + 1).map((item) => copyPlain(item, depth - 1, budget))
  const copy: Record<string, Plain> = {}
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined && key !== '__proto__') copy[key.toWellFormed()] = copyPlain(item, depth - 1, budget)
    if (budget.items < 0) break
  }
  return copy
}
