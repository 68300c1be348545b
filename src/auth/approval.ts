import { base64url, type Did, fromUtf8, MeshError, type Random } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { bytesOf, bytesUpTo, codec, did, instant, intWithin, literal, row, textUpTo } from '../wire/index.ts'
import { publicKeyBytesMax, type StoredCredential } from './records.ts'
import { type Refusal, verifyAssertion } from './webauthn.ts'
import type { AssertionForm } from './webauthn-forms.ts'

/** What is approved, as its own part writes it. Source: auth/v1 section 7. */
export const approvedContentBytesMax = 1_024
/** An approval with its proof: it fits an audit entry. Source: auth/v1 section 7. */
export const approvalBytesMax = 3_584
const clientDataBytesMax = 640
const authenticatorDataBytesMax = 256
const signatureBytesMax = 512
const actCharsMax = 32

/** What a person says yes to. */
export interface Act {
  /** Such as `grant`. */
  readonly name: string
  /** Deterministic bytes of what is done, by the part that does it. */
  readonly content: Uint8Array
}

const statementShape = row({
  type: literal('kindmesh/approval/1'),
  /** The node whose user it is. */
  did,
  user: textUpTo(64),
  act: textUpTo(actCharsMax),
  content: bytesUpTo(approvedContentBytesMax),
  /** Makes each approval one of its own: none counts for the same act again. */
  nonce: bytesOf(16),
  at: instant,
})
const statementCodec = codec('statement of an approval', statementShape, approvedContentBytesMax + 256)

const approvalCodec = codec(
  'approval',
  row({
    version: literal(1),
    statement: bytesUpTo(approvedContentBytesMax + 256),
    publicKey: bytesUpTo(publicKeyBytesMax),
    algorithm: intWithin(-65_536, -1),
    authenticatorData: bytesUpTo(authenticatorDataBytesMax),
    clientDataJSON: bytesUpTo(clientDataBytesMax),
    signature: bytesUpTo(signatureBytesMax),
  }),
  approvalBytesMax,
)

export interface StatementFields {
  readonly did: Did
  readonly user: string
  readonly act: Act
  readonly at: number
}

/** The statement a passkey is asked to sign, and the challenge that stands for it: its SHA-256. @throws ERR_WIRE_* when there is too much of it */
export function statementOf({ did: node, user, act, at }: StatementFields, random: Random): { readonly statement: Uint8Array; readonly challenge: Uint8Array } {
  const fields = { type: 'kindmesh/approval/1', did: node, user, act: act.name, content: act.content, nonce: random.bytes(16), at } as const
  const statement = statementCodec.encode(fields)
  return { statement, challenge: sha256(statement) }
}

/** Statement, passkey and its answer in one, for anyone to verify. @throws ERR_WIRE_TOO_LARGE, ERR_WIRE_MALFORMED when a part is over its limit */
export const encodeApproval = (statement: Uint8Array, { publicKey, algorithm }: StoredCredential, { response }: AssertionForm): Uint8Array =>
  approvalCodec.encode({
    ...{ version: 1, statement, publicKey, algorithm },
    ...{ authenticatorData: response.authenticatorData, clientDataJSON: response.clientDataJSON, signature: response.signature },
  })

/** Who approved what, by which passkey. The key of a passkey is in the audit entry that added it. */
export type ApprovalVerdict =
  | {
      readonly ok: true
      readonly did: Did
      readonly user: string
      readonly act: Act
      /** ms since 1970, by the node's clock when it asked. */
      readonly at: number
      /** SHA-256 of the passkey's COSE key: a passkey signs no id of its own. */
      readonly keyHash: Uint8Array
    }
  | { readonly ok: false; readonly reason: Refusal }

/** Verifies an approval by itself; never throws. Source: auth/v1 section 7. */
export async function verifyApproval(bytes: Uint8Array): Promise<ApprovalVerdict> {
  let approval: ReturnType<typeof approvalCodec.decode>
  let said: ReturnType<typeof statementCodec.decode>
  let origin: string
  try {
    approval = approvalCodec.decode(bytes)
    said = statementCodec.decode(approval.statement)
    origin = originOf(approval.clientDataJSON)
  } catch (error) {
    if (!(error instanceof MeshError || error instanceof SyntaxError || error instanceof TypeError)) throw error
    return { ok: false, reason: 'malformed' }
  }
  const { publicKey, algorithm, clientDataJSON, authenticatorData, signature } = approval
  const keyHash = sha256(publicKey)
  const verdict = await verifyAssertion(
    { id: base64url(keyHash), rawId: keyHash, type: 'public-key', response: { clientDataJSON, authenticatorData, signature } },
    // A counter is no part of what was approved.
    { challenge: sha256(approval.statement), origin, passkey: { publicKey, algorithm, counter: 0 } },
  )
  if (!verdict.ok) return verdict
  const { did: node, user, act, content, at } = said
  return { ok: true, did: node, user, act: { name: act, content }, at, keyHash }
}

/** The page's own word; only pages of this machine have a passkey of ours. @throws SyntaxError, TypeError, ERR_WIRE_MALFORMED */
function originOf(clientDataJSON: Uint8Array): string {
  const data: unknown = JSON.parse(fromUtf8(clientDataJSON))
  const origin = typeof data === 'object' && data !== null && 'origin' in data ? data.origin : undefined
  if (typeof origin !== 'string' || !/^http:\/\/localhost:\d{1,5}$/.test(origin)) throw new MeshError('ERR_WIRE_MALFORMED', 'the page is none of a node')
  return origin
}
