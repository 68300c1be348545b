import { type Audit, inviteCreated, inviteEnded, inviteUsed } from '../audit/index.ts'
import { type Clock, dayMs, type Did, hex, MeshError, type Random, utf8 } from '../base/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'
import type { Keyring } from '../identity/index.ts'
import {
  inviteIdBytesLength,
  type InviteKeys,
  inviteKeys,
  inviteSecretBytesLength,
  type InviteTerms,
  joinProof,
  type Party,
  termsFields,
} from '../protocols/join/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, type Decoded, did, instant, listOf, literal, nullable, oneOf, row, uintUpTo } from '../wire/index.ts'

/** Invites that somebody may still join by. Source: join/v1 section 5. */
export const openInvitesMax = 64
/** Ended invites remembered, the oldest forgotten first. */
export const endedInvitesMax = 256
/** Peers that may join by one invite. Source: join/v1 section 5. */
export const inviteUsesMax = 32
/** Wrong proofs after which an invite is burnt. Source: join/v1 section 3. */
export const wrongProofsMax = 5
/** Longest time an invite stays open. Source: join/v1 section 5. */
export const inviteOpenMsMax = 30 * dayMs

const statuses = ['open', 'used', 'revoked', 'burnt'] as const
type Status = (typeof statuses)[number]

const claimShape = row({
  joiner: did,
  key: did,
  /** What the joiner proved with and what it was answered: after the secret is gone they stand for it. */
  proof: bytesOf(32),
  answer: bytesOf(32),
  at: instant,
  /** Of the statement signed for the joiner; null until it is. */
  seq: nullable(uintUpTo(Number.MAX_SAFE_INTEGER)),
})
export type Claim = Decoded<typeof claimShape>

const inviteShape = row({
  version: literal(1),
  id: bytesOf(inviteIdBytesLength),
  status: oneOf(statuses),
  /** Gone once the last use is. */
  keys: nullable(row({ joiner: bytesOf(32), inviter: bytesOf(32) })),
  terms: row(termsFields),
  uses: uintUpTo(inviteUsesMax),
  wrong: uintUpTo(wrongProofsMax),
  createdAt: instant,
  claims: listOf(claimShape, inviteUsesMax),
})
const inviteCodec = codec('invite', inviteShape, 16 * 1024)
type Invite = Decoded<typeof inviteShape>

/** An invite as it is shown. `name` is no secret, and no help to join. */
export interface InviteView {
  readonly name: string
  readonly status: Status | 'expired'
  readonly level: number
  readonly scopes: readonly string[]
  readonly createdAt: number
  readonly expiresAt: number
  readonly uses: number
  readonly joined: readonly { readonly did: Did; readonly at: number }[]
}

export interface ClaimRequest {
  readonly id: Uint8Array
  readonly inviter: Party
  readonly joiner: Party
  readonly proof: Uint8Array
}

export interface Claimed {
  readonly name: string
  readonly terms: InviteTerms
  readonly claim: Claim
}

export interface ClaimSteps {
  /** May refuse a joiner whose proof holds, before anything is used up. */
  check(terms: InviteTerms): void
  /** Signs for the joiner; gives the seq of the statement. */
  sign(claimed: Claimed): Promise<number>
}

/** The invites of this node, durable: an invite is used up on disk before anything is signed for it. */
export interface Invites {
  create(terms: InviteTerms, uses: number): Promise<{ readonly secret: Uint8Array; readonly view: InviteView }>
  list(): readonly InviteView[]
  /** @throws ERR_NOT_FOUND */
  revoke(name: string): Promise<InviteView>
  /**
   * Checks the proof, uses the invite up on disk, or finds what the same joiner did before, and only then signs, once a joiner.
   * @throws ERR_INVITE_UNKNOWN, ERR_INVITE_EXPIRED, ERR_INVITE_USED, ERR_INVITE_PROOF
   */
  claim(request: ClaimRequest, steps: ClaimSteps): Promise<Claimed & { readonly seq: number }>
}

export interface InvitesOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  /** Seq of a statement of ours about this joiner, signed since; undefined when there is none. */
  signedSince(joiner: Did, at: number, terms: InviteTerms): number | undefined
}

const nameOf = (id: Uint8Array): string => hex(sha256(id)).slice(0, 12)

export async function openInvites({ store, keyring, clock, random, audit, signedSince }: InvitesOptions): Promise<Invites> {
  const box = keyring.box('invites')
  const own = keyring.identity
  const invites = new Map<string, Invite>()
  let writing: Promise<unknown> = Promise.resolve()
  const stored = (invite: Invite): StoreOp => put(nameOf(invite.id), box.seal(inviteCodec.encode(invite), utf8(`invites ${nameOf(invite.id)}`)))
  for await (const [name, bytes] of store.range({})) invites.set(name, inviteCodec.decode(box.open(bytes, utf8(`invites ${name}`))))

  const isExpired = ({ terms }: Invite): boolean => clock.now() >= terms.expiresAt
  const isOpen = (invite: Invite): boolean => invite.status === 'open' && !isExpired(invite)
  const view = (invite: Invite): InviteView => ({
    name: nameOf(invite.id),
    status: invite.status === 'open' && isExpired(invite) ? 'expired' : invite.status,
    level: invite.terms.level,
    scopes: invite.terms.scopes,
    createdAt: invite.createdAt,
    expiresAt: invite.terms.expiresAt,
    uses: invite.uses,
    joined: invite.claims.map(({ joiner, at }) => ({ did: joiner, at })),
  })
  /** One change at a time: two joiners never share a use. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = writing.then(act)
    writing = turn.catch(() => undefined)
    return turn
  }
  async function keep(invite: Invite, entry?: Parameters<Audit['record']>[0], also: readonly StoreOp[] = []): Promise<Invite> {
    const ops = store.qualify([stored(invite), ...also])
    if (entry === undefined) await store.durable([stored(invite)])
    else await audit.record(entry, ops)
    invites.set(nameOf(invite.id), invite)
    return invite
  }
  const end = (invite: Invite, status: Exclude<Status, 'open'>): Promise<Invite> =>
    keep({ ...invite, status, keys: undefined }, inviteEnded({ did: own, invite: nameOf(invite.id), status }))
  /** What must be forgotten so that the list stays short. */
  function overdue(): readonly string[] {
    const ended = [...invites.values()].filter((invite) => !isOpen(invite)).toSorted((a, b) => a.createdAt - b.createdAt)
    return ended.slice(0, Math.max(0, ended.length - endedInvitesMax)).map(({ id }) => nameOf(id))
  }
  function find(id: Uint8Array): Invite {
    const invite = invites.get(nameOf(id))
    if (invite === undefined || invite.status === 'revoked' || invite.status === 'burnt') {
      throw new MeshError('ERR_INVITE_UNKNOWN', 'no such invite is open here')
    }
    if (isExpired(invite)) throw new MeshError('ERR_INVITE_EXPIRED', `the invite was good until ${new Date(invite.terms.expiresAt).toISOString()}`)
    return invite
  }
  async function refuseProof(invite: Invite): Promise<never> {
    const wrong = invite.wrong + 1
    if (invite.status === 'open' && wrong >= wrongProofsMax) await end({ ...invite, wrong }, 'burnt')
    else if (invite.status === 'open') await keep({ ...invite, wrong })
    throw new MeshError('ERR_INVITE_PROOF', 'the proof does not fit the invite, its terms and both keys')
  }
  async function claimOf(request: ClaimRequest, check: ClaimSteps['check']): Promise<{ readonly invite: Invite; readonly claim: Claim }> {
    const { id, inviter, joiner, proof } = request
    const invite = find(id)
    const { keys, terms, claims, uses } = invite
    const before = claims.find((claim) => claim.joiner === joiner.identity)
    if (keys === undefined) {
      // The secret is gone: only who used it may go on, and only under the key and with the proof of then.
      if (before === undefined || before.key !== joiner.key) throw new MeshError('ERR_INVITE_USED', 'the invite was used')
      if (!equalSecret(before.proof, proof)) return await refuseProof(invite)
      check(terms)
      return { invite, claim: before }
    }
    const facts = { id, inviter, joiner, terms }
    if (!equalSecret(joinProof(keys, 'joiner', facts), proof)) return await refuseProof(invite)
    check(terms)
    const answer = joinProof(keys, 'inviter', facts)
    if (before !== undefined) return { invite, claim: { ...before, answer } }
    const claim: Claim = { joiner: joiner.identity, key: joiner.key, proof, answer, at: clock.now(), seq: undefined }
    const isLast = claims.length + 1 >= uses
    const used: Invite = { ...invite, claims: [...claims, claim], ...(isLast ? { status: 'used', keys: undefined } : {}) }
    const entry = inviteUsed({
      did: own,
      invite: nameOf(id),
      joiner: joiner.identity,
      level: terms.level,
      scopes: terms.scopes,
      left: uses - used.claims.length,
    })
    return { invite: await keep(used, entry), claim }
  }
  async function note(invite: Invite, claim: Claim, seq: number): Promise<void> {
    const claims = invite.claims.map((held) => (held.joiner === claim.joiner ? { ...held, seq } : held))
    await keep({ ...invite, claims })
  }
  // A crash between signature and note: what was signed then is what the joiner gets.
  for (const invite of invites.values()) {
    for (const claim of invite.claims) {
      const seq = claim.seq === undefined ? signedSince(claim.joiner, claim.at, invite.terms) : undefined
      if (seq !== undefined) await note(invites.get(nameOf(invite.id)) ?? invite, claim, seq)
    }
  }

  return {
    create: (terms, uses) =>
      inTurn(async () => {
        if ([...invites.values()].filter(isOpen).length >= openInvitesMax) {
          throw new MeshError('ERR_OVERLOADED', `${openInvitesMax} invites are open`, { hint: 'end one: `kindmesh invite revoke <name>`' })
        }
        const secret = random.bytes(inviteSecretBytesLength)
        const { id, ...keys } = inviteKeys(secret) satisfies InviteKeys
        const invite: Invite = { version: 1, id, status: 'open', keys, terms, uses, wrong: 0, createdAt: clock.now(), claims: [] }
        const forgotten = overdue()
        const entry = inviteCreated({ did: own, invite: nameOf(id), level: terms.level, scopes: terms.scopes, expiresAt: terms.expiresAt, uses })
        await keep(
          invite,
          entry,
          forgotten.map((name) => del(name)),
        )
        for (const name of forgotten) invites.delete(name)
        return { secret, view: view(invite) }
      }),
    list: () => [...invites.values()].toSorted((a, b) => a.createdAt - b.createdAt).map(view),
    revoke: (name) =>
      inTurn(async () => {
        const invite = invites.get(name)
        if (invite === undefined) throw new MeshError('ERR_NOT_FOUND', `no invite '${name.slice(0, 64)}'`, { hint: 'see `kindmesh invite list`' })
        return view(invite.status === 'open' ? await end(invite, 'revoked') : invite)
      }),
    claim: (request, { check, sign }) =>
      inTurn(async () => {
        const { invite, claim } = await claimOf(request, check)
        const claimed = { name: nameOf(invite.id), terms: invite.terms, claim }
        if (claim.seq !== undefined) return { ...claimed, seq: claim.seq }
        const seq = await sign(claimed)
        await note(invite, claim, seq)
        return { ...claimed, seq }
      }),
  }
}
