import { base64url, concat, fromHex, utf8 } from '../../src/base/index.ts'
import { createSigner, sha256 } from '../../src/crypto/index.ts'
import { statementOf } from '../../src/auth/approval.ts'
import { encodeGrantContent } from '../../src/policy/index.ts'
import { encode } from '../../src/wire/index.ts'
import { anna, ben, chance, now, type Vector, type Vectors } from './world.ts'

interface Twist {
  readonly origin?: string
  readonly type?: string
  readonly rpId?: string
  readonly flags?: number
  readonly statement?: Uint8Array
  readonly algorithm?: number
}

/** Approvals by a passkey of Ed25519. */
export function approvalVectors(): Vectors {
  const passkey = createSigner(new Uint8Array(32).fill(41))
  const publicKey = concat(fromHex('a4010103272006215820'), passkey.publicKey)
  const content = encodeGrantContent({ audience: ben.did, command: '/vault/access', caveats: { secrets: ['mail'] }, lifetimeMs: 3_600_000, proof: undefined })
  const { statement, challenge } = statementOf({ did: anna.did, user: 'B4uTgfnrCFsmSVrWQn1xAA', act: { name: 'grant', content }, at: now }, chance(62))
  const approval = (comment: string, spec: string, expect: string, twist: Twist = {}): Vector => {
    const asked = { type: twist.type ?? 'webauthn.get', challenge: base64url(challenge), origin: twist.origin ?? 'http://localhost:4180', crossOrigin: false }
    const clientData = utf8(JSON.stringify(asked))
    const authData = concat(sha256(utf8(twist.rpId ?? 'localhost')), Uint8Array.of(twist.flags ?? 0x05, 0, 0, 0, 7))
    const signature = passkey.sign(concat(authData, sha256(clientData)))
    const bytes = encode([1, twist.statement ?? statement, publicKey, twist.algorithm ?? -8, authData, clientData, signature])
    return { comment, spec, expect, kind: 'approval', approval: bytes, user: 'B4uTgfnrCFsmSVrWQn1xAA', act: 'grant', content, keyHash: sha256(publicKey) }
  }
  const other = statementOf({ did: anna.did, user: 'B4uTgfnrCFsmSVrWQn1xAA', act: { name: 'grant', content }, at: now }, chance(63)).statement
  const refused = 'ERR_LOGIN_REFUSED'
  return {
    approval: approval('A grant of a secret that a person signed with a passkey.', '7.1', 'ok'),
    'approval-other-statement': approval('The same answer under a statement of another time.', '7.2', refused, { statement: other }),
    'approval-other-page': approval('Signed in a page that is none of a node.', '7.1', refused, { origin: 'https://example.org' }),
    'approval-other-party': approval('Signed for another relying party.', '7.1', refused, { rpId: 'example.org' }),
    'approval-unverified': approval('The authenticator did not verify its user.', '7.1', refused, { flags: 0x01 }),
    'approval-absent': approval('Nobody was there.', '7.1', refused, { flags: 0x04 }),
    'approval-registration': approval('Client data of a registration.', '7.1', refused, { type: 'webauthn.create' }),
    'approval-algorithm': approval('A key of Ed25519 that is said to be of P-256.', '7.1', refused, { algorithm: -7 }),
  }
}
