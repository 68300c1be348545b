import { type Clock, type Did, fromHex, MeshError, type Random } from '../base/index.ts'
import { type Keyring, type Signed, signStatement } from '../identity/index.ts'
import type { SteadyTime } from './book-clock.ts'
import { createShelf } from './book-shelf.ts'
import type { BookState } from './book-state.ts'
import type { KeyBook, TrustBook, TrustChange } from './book-types.ts'
import type { BookWriter } from './book-writer.ts'
import {
  attestationCodec,
  attestationLifetimeMsMax,
  checkScopes,
  headCodec,
  headLifetimeMsMax,
  headRenewalMs,
  openTrustStatement,
  revocationCodec,
  revocationLifetimeMsMax,
  type SignedKind,
} from './statements.ts'
import { depthDefault } from './types.ts'

/** What this node itself says, in one chain of seq. */
export type OwnWord = Pick<TrustBook, 'attest' | 'revoke' | 'withdraw'> & {
  /** The own head, signed anew when it is old or says too little. */
  head(): Promise<Signed>
}

export interface OwnWordOptions {
  readonly state: BookState
  readonly keys: KeyBook
  readonly keyring: Keyring
  readonly clock: Pick<Clock, 'now'>
  readonly random: Random
  readonly time: SteadyTime
  readonly writer: BookWriter
}

export function createOwnWord({ state, keys, keyring, clock, random, time, writer }: OwnWordOptions): OwnWord {
  const { own, index } = state

  const chain = (): { readonly seq: number; readonly prev: Uint8Array | undefined } => {
    const shelf = index.shelf(own)
    const newest = shelf?.newest ?? 0
    // Time based, so that a restored backup does not sign one seq twice.
    return { seq: Math.max(clock.now(), newest + 1), prev: shelf?.get(newest)?.statement.signed.hash }
  }
  async function say(kind: SignedKind, to: Did, payload: Uint8Array, lifetimeMs: number, change?: Omit<TrustChange, 'id' | 'issuer'>): Promise<Signed> {
    const issuedAt = clock.now()
    const signed = signStatement(kind, { to, type: kind, payload, issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring, random })
    const item = { kind, bytes: signed.bytes }
    const held = { item, statement: openTrustStatement(item, issuedAt), firstSeenAt: time.now() }
    await writer.keep(held, change === undefined ? undefined : { ...change, issuer: own, id: signed.hash })
    return signed
  }
  async function revoked(id: string, subject: Did, kind: 'soft' | 'hard', level: number, scope: string): Promise<Signed> {
    const payload = revocationCodec.encode({ version: 1, attestation: fromHex(id), kind, at: clock.now(), ...chain() })
    return await say('revocation', subject, payload, revocationLifetimeMsMax, { event: 'revoked', subject, level, scope })
  }
  async function renewed(): Promise<Signed> {
    const shelf = index.shelf(own)
    const known = shelf?.head?.statement
    const now = clock.now()
    const isFresh =
      known !== undefined &&
      known.signed.statement.issuedAt + headRenewalMs > now &&
      known.seq === (shelf?.newest ?? 0) &&
      known.signed.statement.from === keyring.did
    if (isFresh && known.signed.statement.issuedAt <= now) return known.signed
    const summary = (shelf ?? createShelf()).summary(now)
    return await say('head', keyring.did, headCodec.encode({ version: 2, ...summary }), headLifetimeMsMax)
  }
  return {
    attest: ({ subject, level, scopes, depth = depthDefault(level), lifetimeMs }) =>
      writer.inTurn(async () => {
        if (keys.subject(subject) === own) throw new MeshError('ERR_TRUST_INVALID', 'nobody rates himself', { hint: 'name another DID' })
        if (lifetimeMs <= 0 || lifetimeMs > attestationLifetimeMsMax) {
          throw new MeshError('ERR_TRUST_INVALID', 'an attestation lives at most 400 days', { hint: 'give --expires 400d or less' })
        }
        checkScopes(scopes)
        const payload = attestationCodec.encode({ version: 1, level, scopes, depth, evidence: undefined, ...chain() })
        return await say('attestation', subject, payload, lifetimeMs, { event: 'issued', subject, level, scope: scopes.join(' ') })
      }),
    revoke: (id, kind) =>
      writer.inTurn(async () => {
        const attestation = index.attestation(id)
        if (attestation === undefined || attestation.issuer !== own) {
          throw new MeshError('ERR_NOT_FOUND', `no statement ${id} of this node`, { hint: 'see `kindmesh trust show`' })
        }
        return await revoked(id, attestation.subject, kind, attestation.level, attestation.scopes.join(' '))
      }),
    withdraw: ({ id, subject, kind }) =>
      writer.inTurn(async () => {
        if (!/^[0-9a-f]{64}$/.test(id)) throw new MeshError('ERR_USAGE', `'${id}' is no hash of a signed statement`)
        return await revoked(id, subject, kind, 0, '')
      }),
    head: () => writer.inTurn(renewed),
  }
}
