import { z } from 'zod'
import { type Did, MeshError } from '../base/index.ts'
import { kindDidFromDid, parseDid, signedJsonBytesMax, verifySignedJson } from '../identity/index.ts'
import { parseJsonText } from '../wire/index.ts'

/** What `kindmesh sign` prints: a message with who signed it, for whom. Only `audience`, `message` and the key are under the signature. Source: signed-json/v1 section 4. */
const documentShape = z.object({
  schema: z.literal('kindmesh.signed-json/1'),
  agentId: z.string().max(64).optional(),
  did: z.string().max(128),
  didKey: z.string().max(128).optional(),
  publicKey: z.string().max(128).optional(),
  audience: z.string(),
  message: z.unknown(),
  signature: z.string().max(128),
})
export type SignedDocument = z.infer<typeof documentShape>

/** The rest of a document beside its message. */
const documentOverheadChars = 4_096

/** @throws ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE */
export function parseDocument(text: string): SignedDocument {
  const parsed = documentShape.safeParse(parseJsonText(text, 2 * signedJsonBytesMax + documentOverheadChars))
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new MeshError('ERR_JSON_INVALID', `no signed document: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is wrong'}`)
}

export interface DocumentVerdict {
  readonly valid: boolean
  /** Who signed it, when valid. */
  readonly signer: string
  readonly didKey: Did
  readonly audience: string
  readonly reason?: string
}

/** Checks a document offline. Of a document nobody expects from somebody in particular, the signer is what was learnt. @throws ERR_IDENTITY_INVALID */
export function verifySignedDocument(
  { did, didKey: alias, publicKey, audience, message, signature }: SignedDocument,
  { key, audience: expected }: { readonly key?: string | undefined; readonly audience?: string | undefined },
): DocumentVerdict {
  const didKey = parseDid(did)
  const verdict = { signer: kindDidFromDid(didKey), didKey, audience }
  const no = (reason: string): DocumentVerdict => ({ ...verdict, valid: false, reason })
  if (key !== undefined && parseDid(key) !== didKey) return no('signed by somebody else')
  if (expected !== undefined && expected !== audience) return no('signed for somebody else')
  // A document that names two keys would let a careless reader look at the wrong one.
  const named = [alias, publicKey].filter((text) => text !== undefined)
  if (!named.every((spelling) => verifySignedJson({ message, signature, publicKey: spelling, audience }))) return no('the signature does not match')
  return verifySignedJson({ message, signature, publicKey: didKey, audience }) ? { ...verdict, valid: true } : no('the signature does not match')
}
