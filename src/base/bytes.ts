const encoder = new TextEncoder()
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** @throws TypeError when the bytes are not UTF-8. */
export const fromUtf8 = (bytes: Uint8Array): string => strictDecoder.decode(bytes)

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    joined.set(part, offset)
    offset += part.length
  }
  return joined
}

const view = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Equality of public bytes; secrets are compared by `crypto.equalSecret`. */
export const equal = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && view(a).equals(view(b))

export const compare = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b)

export const hex = (bytes: Uint8Array): string => view(bytes).toString('hex')

/** @throws RangeError when the text is not an even number of hex digits. */
export function fromHex(text: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/i.test(text)) throw new RangeError('not hexadecimal')
  return new Uint8Array(Buffer.from(text, 'hex'))
}

export const base64url = (bytes: Uint8Array): string => view(bytes).toString('base64url')

export const base64 = (bytes: Uint8Array): string => view(bytes).toString('base64')

/** Decodes base64 or base64url; undefined unless re-encoding gives the same text (four texts decode to one key otherwise). */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64')
  const canonical = text === bytes.toString('base64') || text === bytes.toString('base64url')
  return canonical ? new Uint8Array(bytes) : undefined
}
