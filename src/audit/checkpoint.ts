import { base64, concat, type Did, equal, fromBase64, keyFromDid, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { hashBytesLength } from './tree.ts'

/** Longest checkpoint read, signatures of witnesses included. Source: audit/v1 section 4. */
export const checkpointBytesMax = 16 * 1_024
/** Signature lines read. */
export const signatureLinesMax = 64

const algorithmEd25519 = 0x01
const keyHashLength = 4
const signatureBytesLength = 64

export type SignBytes = (message: Uint8Array) => Uint8Array
export type VerifySignature = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

/** What the owner of a log says about it: so many entries, with this root. */
export interface TreeHead {
  readonly size: number
  readonly root: Uint8Array
}

/** First line of every checkpoint of this node, and the name of its key. */
export const originOf = (did: Did): string => `kindmesh/audit/${did}`

/** First four bytes of SHA-256(name || 0x0A || algorithm || key). Source: C2SP signed-note, section "Signature types". */
export const keyHash = (name: string, key: Uint8Array): Uint8Array =>
  sha256(concat(utf8(`${name}\n`), Uint8Array.of(algorithmEd25519), key)).subarray(0, keyHashLength)

/** Whose log it is. Its name stays that of the first key; the signature is by a key of that identity. Source: audit/v1 section 4. */
export interface LogOwner {
  readonly did: Did
  /** Its keys, the one in force last; `did` alone when missing. */
  readonly keys?: readonly Did[] | undefined
}

/** The signed note of a tree head. Source: C2SP tlog-checkpoint, audit/v1 section 4. */
export function signCheckpoint({ size, root }: TreeHead, { did, keys, sign }: LogOwner & { readonly sign: SignBytes }): string {
  const origin = originOf(did)
  const text = `${origin}\n${size}\n${base64(root)}\n`
  return `${text}\n— ${origin} ${base64(concat(keyHash(origin, keyFromDid(keys?.at(-1) ?? did)), sign(utf8(text))))}\n`
}

export type OpenedCheckpoint = ({ readonly ok: true } & TreeHead) | { readonly ok: false; readonly reason: string }

const refused = (reason: string): OpenedCheckpoint => ({ ok: false, reason })

/** Reads a checkpoint and checks that a key of `did` signed it; lines of other signers are skipped. Never throws. */
export function openCheckpoint(note: string, { did, keys = [did], verify }: LogOwner & { readonly verify: VerifySignature }): OpenedCheckpoint {
  if (note.length > checkpointBytesMax) return refused('the checkpoint is too long')
  // The last empty line ends the text: signature lines cannot be empty.
  const gap = note.lastIndexOf('\n\n')
  if (gap < 0 || !note.endsWith('\n')) return refused('not a signed note')
  const text = note.slice(0, gap + 1)
  const origin = originOf(did)
  const head = readText(text, origin)
  if (head === undefined) return refused(`not a checkpoint of ${origin}`)
  const lines = note.slice(gap + 2, -1).split('\n')
  if (lines.length > signatureLinesMax) return refused('the checkpoint has too many signatures')
  return signedBy(lines, { origin, keys: keys.map(keyFromDid), message: utf8(text), verify }) ? { ok: true, ...head } : refused(`not signed by ${did}`)
}

/** The DID a checkpoint claims to be of, unchecked. */
export function claimedDid(note: string): string | undefined {
  const [origin = ''] = note.slice(0, 256).split('\n')
  return origin.startsWith('kindmesh/audit/') ? origin.slice('kindmesh/audit/'.length) : undefined
}

function readText(text: string, expectedOrigin: string): TreeHead | undefined {
  const [origin, sizeText = '', rootText = '', ...extensions] = text.slice(0, -1).split('\n')
  const size = Number(sizeText)
  const root = readBase64(rootText)
  const sound = origin === expectedOrigin && /^(?:0|[1-9][0-9]{0,15})$/.test(sizeText) && Number.isSafeInteger(size) && extensions.every((line) => line !== '')
  return sound && root?.length === hashBytesLength ? { size, root } : undefined
}

/** Padded base64 in its one spelling. */
export function readBase64(text: string): Uint8Array | undefined {
  const bytes = fromBase64(text)
  return bytes !== undefined && base64(bytes) === text ? bytes : undefined
}

interface SignatureCheck {
  readonly origin: string
  readonly keys: readonly Uint8Array[]
  readonly message: Uint8Array
  readonly verify: VerifySignature
}

function signedBy(lines: readonly string[], { origin, keys, message, verify }: SignatureCheck): boolean {
  const prefix = `— ${origin} `
  const known = keys.map((key) => ({ key, hash: keyHash(origin, key) }))
  let signed = false
  for (const line of lines) {
    if (!/^— [^\s+]+ [A-Za-z0-9+/=]+$/u.test(line)) return false
    const bytes = line.startsWith(prefix) ? readBase64(line.slice(prefix.length)) : undefined
    const signer = bytes === undefined ? undefined : known.find(({ hash }) => equal(bytes.subarray(0, keyHashLength), hash))
    if (bytes === undefined || signer === undefined) continue
    // A known key with a bad signature spoils the note, whatever other lines say.
    if (bytes.length !== keyHashLength + signatureBytesLength || !verify(signer.key, message, bytes.subarray(keyHashLength))) return false
    signed = true
  }
  return signed
}
