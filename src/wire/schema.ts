import { type Did, didFromKey, keyFromDid, MeshError } from '../base/index.ts'
import { decode as decodeCbor, encode as encodeCbor, type Plain } from './cbor.ts'

/** The shape of one CBOR item and what it means inside. `decode` throws ERR_WIRE_MALFORMED naming the path. */
export interface Shape<T> {
  encode(value: T): Plain
  decode(plain: unknown, path: string): T
}

export type Decoded<S> = S extends Shape<infer T> ? T : never

const wrong = (path: string, expected: string): MeshError => new MeshError('ERR_WIRE_MALFORMED', `${path === '' ? 'the value' : path} is not ${expected}`)

/** A shape that only checks: the value inside is the CBOR item as it stands. */
const checked = <T extends Plain>(expected: string, holds: (plain: unknown) => boolean): Shape<T> => ({
  encode(value) {
    if (!holds(value)) throw wrong('', expected)
    return value
  },
  decode(plain, path) {
    if (!holds(plain)) throw wrong(path, expected)
    return plain as T
  },
})

/** A byte string of exactly `length` bytes. */
export const bytesOf = (length: number): Shape<Uint8Array> => checked(`${length} bytes`, (plain) => plain instanceof Uint8Array && plain.length === length)

export const bytesUpTo = (max: number): Shape<Uint8Array> => checked(`at most ${max} bytes`, (plain) => plain instanceof Uint8Array && plain.length <= max)

/** Text of at most `max` UTF-16 units; the frame limit bounds its bytes. */
export const textUpTo = (max: number): Shape<string> =>
  checked(`text of at most ${max} characters`, (plain) => typeof plain === 'string' && plain.length <= max)

/** Text that `pattern` matches from end to end; give the pattern its length limit. */
export const textLike = (pattern: RegExp, expected: string): Shape<string> => checked(expected, (plain) => typeof plain === 'string' && pattern.test(plain))

export const uintUpTo = (max: number): Shape<number> =>
  checked(`an integer from 0 to ${max}`, (plain) => Number.isSafeInteger(plain) && Number(plain) >= 0 && Number(plain) <= max)

export const intWithin = (min: number, max: number): Shape<number> =>
  checked(`an integer from ${min} to ${max}`, (plain) => Number.isSafeInteger(plain) && Number(plain) >= min && Number(plain) <= max)

/** Milliseconds since 1970. */
export const instant: Shape<number> = uintUpTo(Number.MAX_SAFE_INTEGER)

export const bool: Shape<boolean> = checked('true or false', (plain) => typeof plain === 'boolean')

export const literal = <const T extends string | number>(value: T): Shape<T> => checked(JSON.stringify(value), (plain) => plain === value)

export const oneOf = <const T extends string | number>(values: readonly T[]): Shape<T> =>
  checked(`one of ${values.join(', ')}`, (plain) => (values as readonly unknown[]).includes(plain))

/** An identity: 32 raw bytes on the wire, a Did inside. Whether the key is a point is checked where its signature is. */
export const did: Shape<Did> = {
  encode: (value) => keyFromDid(value),
  decode(plain, path) {
    if (!(plain instanceof Uint8Array) || plain.length !== 32) throw wrong(path, 'a key of 32 bytes')
    return didFromKey(plain)
  },
}

export const listOf = <T>(item: Shape<T>, max: number): Shape<readonly T[]> => ({
  encode(values) {
    if (values.length > max) throw wrong('', `a list of at most ${max}`)
    return values.map((value) => item.encode(value))
  },
  decode(plain, path) {
    if (!Array.isArray(plain) || plain.length > max) throw wrong(path, `a list of at most ${max}`)
    return plain.map((entry, index) => item.decode(entry, `${path}[${index}]`))
  },
})

/** The item or null. */
export const nullable = <T>(item: Shape<T>): Shape<T | undefined> => ({
  encode: (value) => (value === undefined ? null : item.encode(value)),
  decode: (plain, path) => (plain === null ? undefined : item.decode(plain, path)),
})

type Fields = Readonly<Record<string, Shape<unknown>>>
type Row<F extends Fields> = { readonly [K in keyof F]: Decoded<F[K]> }

/** An object written as an array of its fields, in the order given here. */
export const row = <const F extends Fields>(fields: F): Shape<Row<F>> => {
  const entries = Object.entries(fields)
  return {
    encode: (value) => entries.map(([name, shape]) => shape.encode(value[name])),
    decode(plain, path) {
      if (!Array.isArray(plain) || plain.length !== entries.length) throw wrong(path, `a list of ${entries.length}`)
      const object: Record<string, unknown> = {}
      entries.forEach(([name, shape], index) => {
        object[name] = shape.decode(plain[index], path === '' ? name : `${path}.${name}`)
      })
      return object as Row<F>
    },
  }
}

/**
 * A row whose last fields came later: each is undefined or not given where the list ends before it, and a list never ends with one that is null.
 * What knows only `fields` writes and reads the same bytes as before.
 */
export const rowWithTail = <const F extends Fields, const T extends Fields>(fields: F, tail: T): Shape<Row<F> & Partial<Row<T>>> => {
  const head = row(fields)
  const least = Object.keys(fields).length
  const later = Object.entries(tail)
  return {
    encode(value) {
      const given = later.map(([name, shape]) => {
        const own = (value as Readonly<Record<string, unknown>>)[name]
        return own === undefined ? null : shape.encode(own)
      })
      while (given.at(-1) === null) given.pop()
      return [...(head.encode(value) as readonly Plain[]), ...given]
    },
    decode(plain, path) {
      const isFit = Array.isArray(plain) && plain.length >= least && plain.length <= least + later.length
      if (!isFit || (plain.length > least && plain.at(-1) === null)) throw wrong(path, `a list of ${least} to ${least + later.length}`)
      const object: Record<string, unknown> = { ...head.decode(plain.slice(0, least), path) }
      plain.slice(least).forEach((item: unknown, index) => {
        const [name, shape] = later[index] as (typeof later)[number]
        if (item !== null) object[name] = shape.decode(item, path === '' ? name : `${path}.${name}`)
      })
      return object as Row<F> & Partial<Row<T>>
    },
  }
}

/** An object written as a map with the same keys; every key is required, no other is allowed. */
export const map = <const F extends Fields>(fields: F): Shape<Row<F>> => {
  const entries = Object.entries(fields)
  return {
    encode: (value) => Object.fromEntries(entries.map(([name, shape]) => [name, shape.encode(value[name])])),
    decode(plain, path) {
      const isMap = typeof plain === 'object' && plain !== null && !Array.isArray(plain) && !(plain instanceof Uint8Array)
      if (!isMap || Object.keys(plain).length !== entries.length) throw wrong(path, `a map of ${entries.map(([name]) => name).join(', ')}`)
      const source = plain as Readonly<Record<string, unknown>>
      const object: Record<string, unknown> = {}
      for (const [name, shape] of entries) {
        object[name] = shape.decode(Object.hasOwn(source, name) ? source[name] : undefined, path === '' ? name : `${path}.${name}`)
      }
      return object as Row<F>
    },
  }
}

export interface Codec<T> {
  encode(value: T): Uint8Array
  /** @throws ERR_WIRE_TOO_LARGE, ERR_WIRE_MALFORMED */
  decode(bytes: Uint8Array): T
}

/** Ties a shape to bytes and to the most bytes it may take. */
export const codec = <T>(name: string, shape: Shape<T>, bytesMax: number): Codec<T> => ({
  encode(value) {
    const bytes = encodeCbor(shape.encode(value))
    if (bytes.length > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${name} of ${bytes.length} bytes exceeds ${bytesMax}`)
    return bytes
  },
  decode: (bytes) => shape.decode(decodeCbor(bytes, bytesMax), name),
})
