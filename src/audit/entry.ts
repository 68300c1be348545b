import { concat, hex, MeshError, utf8 } from '../base/index.ts'
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

// Sorted as deterministic CBOR sorts keys, `seq` stands first of the seven and `prevHash` last.
const frontBytes = concat(Uint8Array.of(0xa7, 0x63), utf8('seq'))
const tailBytes = concat(Uint8Array.of(0x68), utf8('prevHash'), Uint8Array.of(0x58, hashBytesLength))

export interface Links {
  readonly seq: number
  readonly prevHash: Uint8Array
}

/** What ties an entry to its place, read without decoding the rest; undefined where no entry has it. A twin of `entryCodec.decode`, many times faster. */
export function readLinks(bytes: Uint8Array): Links | undefined {
  const seq = readUint(bytes, frontBytes.length)
  const tail = bytes.length - hashBytesLength - tailBytes.length
  const sound = bytes.length <= entryBytesMax && startsWith(bytes, frontBytes, 0) && startsWith(bytes, tailBytes, tail)
  return sound && seq !== undefined ? { seq, prevHash: bytes.subarray(bytes.length - hashBytesLength) } : undefined
}

function startsWith(bytes: Uint8Array, part: Uint8Array, offset: number): boolean {
  if (offset < 0) return false
  for (let index = 0; index < part.length; index++) if (bytes[offset + index] !== part[index]) return false
  return true
}

/** The CBOR unsigned integer at `offset`. */
function readUint(bytes: Uint8Array, offset: number): number | undefined {
  const head = bytes[offset] ?? 0xff
  if (head < 24) return head
  const width = head === 24 ? 1 : head === 25 ? 2 : head === 26 ? 4 : head === 27 ? 8 : undefined
  if (width === undefined || offset + width >= bytes.length) return undefined
  let value = 0
  for (let index = 1; index <= width; index++) value = value * 256 + (bytes[offset + index] ?? 0)
  return value
}

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
