import { type Bytes, concat, equal, fromBase64, keyOfDid, utf8 } from './bytes.ts'
import { sha256, verifyEd25519 } from './web-crypto.ts'

/** Longest checkpoint read, in UTF-16 units. Source: audit/v1 section 4. */
const noteCharsMax = 16_384
const signatureLinesMax = 64
const keyHashLength = 4
const signatureLength = 64

/** Entries in a log and their root, as its owner signed them. */
export interface Head {
  readonly size: number
  readonly root: Bytes
  /** The key that signed, as a DID. */
  readonly signer: string
}

export interface Owner {
  /** Whose log: its name. */
  readonly did: string
  /** Keys of that identity; `did` alone unless it has rotated. */
  readonly keys?: readonly string[] | undefined
}

/** The DID a checkpoint says it is of; nothing is checked. */
export function claimedDid(note: string): string | undefined {
  const [origin = ''] = note.slice(0, 256).split('\n')
  return origin.startsWith('kindmesh/audit/') ? origin.slice('kindmesh/audit/'.length) : undefined
}

/** Reads a signed checkpoint and has the browser check its signature; a text says what is wrong. Source: audit/v1 section 4, C2SP signed-note. */
export async function readCheckpoint(note: string, { did, keys = [did] }: Owner): Promise<Head | string> {
  if (note.length > noteCharsMax) return 'the checkpoint is too long'
  const gap = note.lastIndexOf('\n\n')
  if (gap < 0 || !note.endsWith('\n')) return 'not a signed note'
  const text = note.slice(0, gap + 1)
  const origin = `kindmesh/audit/${did}`
  const head = readText(text, origin)
  if (head === undefined) return `not a checkpoint of ${origin}`
  const lines = note.slice(gap + 2, -1).split('\n')
  if (lines.length > signatureLinesMax) return 'the checkpoint has too many signatures'
  const signer = await signerOf(lines, utf8(text), origin, keys)
  return signer === undefined ? `not signed by ${did}` : { ...head, signer }
}

function readText(text: string, expected: string): Omit<Head, 'signer'> | undefined {
  const [origin, sizeText = '', rootText = '', ...extensions] = text.slice(0, -1).split('\n')
  const size = Number(sizeText)
  const root = fromBase64(rootText)
  const sound = origin === expected && /^(?:0|[1-9][0-9]{0,15})$/.test(sizeText) && Number.isSafeInteger(size) && extensions.every((line) => line !== '')
  return sound && root?.length === 32 ? { size, root } : undefined
}

/** The key of the owner that signed; undefined when none did, or when any line under its name is bad. Lines of others, such as witnesses, say nothing here. */
async function signerOf(lines: readonly string[], message: Bytes, origin: string, dids: readonly string[]): Promise<string | undefined> {
  const keys = await Promise.all(dids.map((did) => keyWithHash(did, origin)))
  let signer: string | undefined
  for (const line of lines) {
    const [, name, signature = ''] = /^— ([^\s+]+) ([A-Za-z0-9+/=]+)$/u.exec(line) ?? []
    if (name === undefined) return undefined
    const bytes = name === origin ? fromBase64(signature) : undefined
    const known = bytes === undefined ? undefined : keys.find((key) => key !== undefined && equal(key.hash, bytes.subarray(0, keyHashLength)))
    if (bytes === undefined || known === undefined) continue
    const isGood = bytes.length === keyHashLength + signatureLength && (await verifyEd25519(known.key, message, bytes.slice(keyHashLength)))
    if (!isGood) return undefined
    signer = known.did
  }
  return signer
}

async function keyWithHash(did: string, origin: string): Promise<{ readonly did: string; readonly key: Bytes; readonly hash: Bytes } | undefined> {
  const key = keyOfDid(did)
  if (key === undefined) return undefined
  const hash = await sha256(concat(utf8(`${origin}\n`), Uint8Array.of(1), key))
  return { did, key, hash: hash.slice(0, keyHashLength) }
}
