import canonicalize from 'canonicalize'
import { MeshError, utf8 } from '../base/index.ts'

/** How deep JSON data may nest. Source: signed-json/v1 section 1. */
export const jsonDepthMax = 64
/** How many values JSON data may hold, counting containers. Source: signed-json/v1 section 1. */
export const jsonItemsMax = 65_536

const invalid = (why: string): MeshError => new MeshError('ERR_JSON_INVALID', why)
const tooLarge = (bytesMax: number): MeshError => new MeshError('ERR_WIRE_TOO_LARGE', `the JSON data exceeds ${bytesMax} bytes`)

/**
 * The one UTF-8 text of JSON data by RFC 8785: names sorted by UTF-16 units at every depth, numbers as ECMAScript writes them (so `-0` is `0`).
 * Takes plain data only: no class instance, `toJSON`, hole, `undefined`, NaN, Infinity or lone surrogate, each of which has no JSON form of its own.
 * @throws ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE over `bytesMax`. Source: signed-json/v1 section 1.
 */
export function canonicalJson(value: unknown, bytesMax: number): Uint8Array {
  checkPlain(value, bytesMax)
  const bytes = utf8(canonicalize(value) ?? '')
  if (bytes.length > bytesMax) throw tooLarge(bytesMax)
  return bytes
}

function checkPlain(root: unknown, bytesMax: number): void {
  let items = 0
  let chars = 0
  function text(value: string): void {
    chars += value.length
    if (chars > bytesMax) throw tooLarge(bytesMax)
    if (!value.isWellFormed()) throw invalid('a text holds half of a surrogate pair')
  }
  function count(more: number): void {
    items += more
    if (items > jsonItemsMax) throw invalid(`more than ${jsonItemsMax} values`)
  }
  function check(value: unknown, depth: number): void {
    if (value === null || typeof value === 'boolean') return
    if (typeof value === 'string') return text(value)
    if (typeof value === 'number') {
      if (!Number.isFinite(value)) throw invalid(`${value} is no JSON number`)
      return
    }
    if (typeof value !== 'object') throw invalid(`a ${typeof value} is no JSON data`)
    if (depth >= jsonDepthMax) throw invalid(`nested deeper than ${jsonDepthMax}, or in a circle`)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (Array.isArray(value)) {
      if (prototype !== Array.prototype) throw invalid('an object of a class is no JSON data')
      count(value.length)
      for (const item of value as readonly unknown[]) check(item, depth + 1)
      return
    }
    if (prototype !== Object.prototype && prototype !== null) throw invalid('an object of a class is no JSON data')
    if (Object.getOwnPropertySymbols(value).length > 0) throw invalid('a symbol is no name in JSON')
    const entries = Object.entries(value)
    count(entries.length)
    for (const [name, item] of entries) {
      text(name)
      check(item, depth + 1)
    }
  }
  count(1)
  check(root, 0)
}

// On text that is JSON these are its strings, brackets and numbers; names of values and punctuation carry nothing that is checked.
const token = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]]|-?\d[\d.eE+-]*/g

/**
 * The data of a JSON text that means the same to every reader (RFC 7493): no name twice in an object, no half of a surrogate pair,
 * no number that a double does not hold. `JSON.parse` takes the last of two names and rounds in silence.
 * @throws ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE over `charsMax` UTF-16 units. Source: signed-json/v1 section 1.
 */
export function parseJsonText(text: string, charsMax: number): unknown {
  if (text.length > charsMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a JSON text of ${text.length} characters exceeds ${charsMax}`)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new MeshError('ERR_JSON_INVALID', cause instanceof Error ? cause.message : 'not JSON', { cause })
  }
  checkTokens(text)
  return value
}

function checkTokens(text: string): void {
  /** Names seen in each object that is open; undefined for an array. */
  const open: (Set<string> | undefined)[] = []
  for (const { 0: part, index } of text.matchAll(token)) {
    const first = part.charCodeAt(0)
    if (first === 0x7d || first === 0x5d) open.pop()
    else if (first === 0x7b || first === 0x5b) {
      if (open.length >= jsonDepthMax) throw invalid(`nested deeper than ${jsonDepthMax}`)
      open.push(first === 0x7b ? new Set() : undefined)
    } else if (first === 0x22) {
      const read = part.includes('\\') ? (JSON.parse(part) as string) : part.slice(1, -1)
      if (!read.isWellFormed()) throw invalid('a text holds half of a surrogate pair')
      if (!isName(text, index + part.length)) continue
      const names = open.at(-1)
      if (names?.has(read) === true) throw invalid(`the name ${JSON.stringify(read.slice(0, 64))} stands twice in one object`)
      names?.add(read)
    } else checkNumber(part)
  }
}

/** True when a colon follows the string that ends before `at`. */
function isName(text: string, at: number): boolean {
  let next = at
  while (/[ \t\r\n]/.test(text.charAt(next))) next++
  return text.charAt(next) === ':'
}

/** Decimals are rounded as RFC 8785 rounds them; whole numbers must be exact, or be how that double is written. */
function checkNumber(part: string): void {
  const value = Number(part)
  if (!Number.isFinite(value)) throw invalid(`${part.slice(0, 32)} is too large for a number; write it as a text`)
  if (value === 0 && /[1-9]/.test(part.split(/[eE]/)[0] ?? '')) throw invalid(`${part.slice(0, 32)} is too small for a number; write it as a text`)
  if (/^-?\d{16,}$/.test(part) && String(value) !== part && BigInt(value) !== BigInt(part)) {
    throw invalid(`${part.slice(0, 32)} is rounded by readers; write it as a text`)
  }
}
