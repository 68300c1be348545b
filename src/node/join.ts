import { type Audit, joinRefused } from '../audit/index.ts'
import { type Clock, createTally, dayMs, type Did, type Logger, MeshError, minuteMs, type Random, type SignalOption, toMeshError } from '../base/index.ts'
import { equalSecret } from '../crypto/index.ts'
import { clockSkewMsMax, type Keyring } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import { type Handed, inviteKeys, inviteScopesMax, type InviteTerms, joinAt, joinProof, serveJoins } from '../protocols/join/index.ts'
import type { Store } from '../store/index.ts'
import { type Attestation, attestationLifetimeMsMax, checkScopes, type Level, openTrustStatement, TrustLevel } from '../trust/index.ts'
import type { EventHub } from './events.ts'
import { inviteOpenMsMax, type InviteView, inviteUsesMax, openInvites } from './invites.ts'
import { checkAuthority } from './people.ts'
import { decodeTicket } from './ticket.ts'
import type { Trust } from './trust.ts'

/** Attempts to join that one peer may make a minute. Source: join/v1 section 3. */
export const joinAttemptsMax = 10
/** Refused attempts written down a minute; a crowd must not fill the log. */
export const joinRefusalsNotedMax = 60
/** How long what both sides sign lives, unless the inviter says otherwise. */
export const joinLifetimeMsDefault = 90 * dayMs

export interface InviteFields {
  /** 1 to 4. */
  readonly level: Level
  readonly scopes: readonly string[]
  /** How long somebody may join. */
  readonly openMs: number
  /** How long what both sides sign lives; 90 days unless given. */
  readonly lifetimeMs?: number | undefined
  /** Peers that may join; one unless given. */
  readonly uses?: number | undefined
  /** AUTHORITY is given only when this is true. */
  readonly confirmed?: boolean | undefined
}

export interface Joined {
  readonly did: Did
  readonly level: number
  readonly scopes: readonly string[]
  /** Until when what both signed counts. */
  readonly until: number
}

/** Getting the first trust: invites out, joins in. */
export interface JoinDoors {
  /** Makes an invite. The ticket is the secret: whoever reads it may join. @throws ERR_USAGE, ERR_TRUST_INVALID, ERR_POLICY_DENIED, ERR_OVERLOADED */
  create(fields: InviteFields): Promise<{ readonly ticket: string; readonly invite: InviteView }>
  list(): readonly InviteView[]
  /** @throws ERR_NOT_FOUND */
  revoke(name: string): Promise<InviteView>
  /** Joins by a ticket: both sides then hold each other's statement at its level. Twice is once. @throws ERR_INVITE_*, ERR_USAGE, ERR_POLICY_DENIED, ERR_NET_* */
  join(ticket: string, options?: SignalOption & { readonly confirmed?: boolean | undefined }): Promise<Joined>
}

export interface JoinParts {
  readonly store: Store
  readonly keyring: Keyring
  readonly audit: Audit
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: EventHub
  readonly trust: Trust
  dial(target: string, options?: SignalOption): Promise<{ readonly did: Did }>
  /** The ticket of this node with an invite in it. */
  ticketOf(invite: { readonly secret: Uint8Array; readonly terms: InviteTerms }): string
}

const sameScopes = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((scope, index) => scope === b[index])

export async function openJoins({ trust, dial, ticketOf, ...parts }: JoinParts): Promise<JoinDoors> {
  const { host, clock, keyring, audit, events, logger } = parts
  const { book, chains, doors } = trust
  const self = keyring.identity
  const attempts = createTally<Did>({ clock, most: joinAttemptsMax, windowMs: minuteMs })
  const refusals = createTally<'all'>({ clock, most: joinRefusalsNotedMax, windowMs: minuteMs })

  const fits = ({ issuer, subject, level, scopes, expiresAt }: Attestation, about: Did, terms: Pick<InviteTerms, 'level' | 'scopes'>): boolean =>
    issuer === self && subject === about && level === terms.level && sameScopes(scopes, terms.scopes) && expiresAt > clock.now()
  const ownAbout = (about: Did, terms: InviteTerms): readonly Attestation[] => book.show().filter((statement) => fits(statement, about, terms))
  const invites = await openInvites({
    ...parts,
    store: parts.store.sub('invites'),
    signedSince: (joiner, at, terms) => ownAbout(joiner, terms).find(({ issuedAt }) => issuedAt >= at)?.seq,
  })

  /** A statement of ours with our head, as it is handed over. */
  async function handOver(seq: number): Promise<Handed> {
    let head: Uint8Array | undefined
    for await (const { kind, bytes } of book.list(self, seq - 1)) {
      if (kind === 'head') head = bytes
      else return { attestation: bytes, head }
    }
    throw new MeshError('ERR_INVITE_USED', 'what was signed for this joiner is no longer held')
  }
  /** Takes what the other side signed, if it says of us just what the invite says. @throws ERR_INVITE_PROOF, ERR_STATEMENT_*, ERR_WIRE_* */
  async function take(from: Did, { attestation: bytes, head }: Handed, { level, scopes }: InviteTerms): Promise<Attestation> {
    const statement = openTrustStatement({ kind: 'attestation', bytes }, clock.now())
    if (statement.kind !== 'attestation') throw new MeshError('ERR_WIRE_MALFORMED', 'no attestation')
    const { attestation } = statement
    const isOfThem = chains.subject(attestation.issuer) === from && chains.subject(attestation.subject) === self
    if (!isOfThem || attestation.level !== level || !sameScopes(attestation.scopes, scopes)) {
      throw new MeshError('ERR_INVITE_PROOF', 'the other side signed something else than the ticket says')
    }
    await book.accept({ kind: 'attestation', bytes })
    if (head !== undefined) {
      await book.accept({ kind: 'head', bytes: head }).catch((error: unknown) => logger.info('head not taken', { code: toMeshError(error).code }))
    }
    return { ...attestation, firstSeenAt: clock.now() }
  }
  /** Whom we distrust stays distrusted whatever ticket there is. */
  function checkNoBan(peer: Did, { scopes }: InviteTerms): void {
    if (scopes.some((scope) => book.snapshot(scope).level(peer) < TrustLevel.UNKNOWN)) {
      throw new MeshError('ERR_TRUST_LOW', 'distrusted here', { hint: banHint })
    }
  }
  async function attest(subject: Did, { level, scopes, lifetimeMs }: InviteTerms): Promise<number> {
    return (await doors.attest({ subject, level: level as Level, scopes, lifetimeMs })).seq
  }
  /** What was withdrawn since is not handed out again. */
  function checkHeld(seq: number, joiner: Did, terms: InviteTerms): void {
    if (!ownAbout(joiner, terms).some((statement) => statement.seq === seq)) {
      throw new MeshError('ERR_INVITE_USED', 'the invite was used and what it gave was withdrawn')
    }
  }

  serveJoins({
    host,
    clock,
    logger,
    async admit(key, { id, joiner, proof }) {
      const from = chains.subject(key)
      try {
        if (!attempts.count(key)) throw new MeshError('ERR_OVERLOADED', 'too many attempts to join')
        chains.check(key)
        if (joiner !== from || from === self) throw new MeshError('ERR_INVITE_PROOF', 'the joiner is not who it says')
        const request = { id, proof, inviter: { identity: self, key: host.did }, joiner: { identity: from, key } }
        const { name, terms, claim, seq } = await invites.claim(request, {
          check: (said) => checkNoBan(from, said),
          sign: ({ terms: said }) => attest(from, said),
        })
        checkHeld(seq, from, terms)
        return {
          proof: claim.answer,
          ...(await handOver(seq)),
          async take(handed) {
            await take(from, handed, terms)
            events.emit({ event: 'joined', did: from, invite: name, level: terms.level })
          },
        }
      } catch (error) {
        const { code, message } = toMeshError(error)
        if (refusals.count('all')) audit.record(joinRefused({ did: self, joiner: from, code, reason: message })).catch(() => undefined)
        throw error
      }
    },
  })

  return {
    async create({ level, scopes, openMs, lifetimeMs = joinLifetimeMsDefault, uses = 1, confirmed = false }) {
      if (level < TrustLevel.BASIC) throw new MeshError('ERR_USAGE', 'an invite gives basic or more')
      if (scopes.length === 0 || scopes.length > inviteScopesMax) throw new MeshError('ERR_USAGE', `an invite names 1 to ${inviteScopesMax} scopes`)
      if (openMs <= 0 || openMs > inviteOpenMsMax) throw new MeshError('ERR_USAGE', 'an invite is open for at most 30 days')
      if (!Number.isInteger(uses) || uses < 1 || uses > inviteUsesMax) throw new MeshError('ERR_USAGE', `an invite is for 1 to ${inviteUsesMax} peers`)
      checkAuthority(level, confirmed)
      if (lifetimeMs <= 0 || lifetimeMs > attestationLifetimeMsMax) throw new MeshError('ERR_TRUST_INVALID', 'an attestation lives at most 400 days')
      checkScopes(scopes)
      const terms = { level, scopes, expiresAt: clock.now() + openMs, lifetimeMs }
      const { secret, view } = await invites.create(terms, uses)
      return { ticket: ticketOf({ secret, terms }), invite: view }
    },
    list: invites.list,
    revoke: invites.revoke,
    async join(text, { signal, confirmed = false } = {}) {
      const { invite, did } = decodeTicket(text)
      if (invite === undefined) {
        throw new MeshError('ERR_USAGE', 'this ticket says where somebody is and gives no trust', { hint: 'connect with `kindmesh dial <ticket>`' })
      }
      const { secret, terms } = invite
      if (clock.now() >= terms.expiresAt + clockSkewMsMax) throw new MeshError('ERR_INVITE_EXPIRED', 'the invite is over')
      checkAuthority(terms.level, confirmed)
      if (chains.subject(did) === self) throw new MeshError('ERR_USAGE', 'this is an invite of your own', { hint: 'give it to somebody else' })
      const peer = (await dial(text, { signal })).did
      checkNoBan(peer, terms)
      const key = chains.currentKnown(peer)
      const keys = inviteKeys(secret)
      const facts = { id: keys.id, inviter: { identity: peer, key }, joiner: { identity: self, key: host.did }, terms }
      let until = 0
      await joinAt(host, key, {
        clock,
        signal,
        ask: { id: keys.id, joiner: self, proof: joinProof(keys, 'joiner', facts) },
        async judge({ proof, ...handed }) {
          if (!equalSecret(joinProof(keys, 'inviter', facts), proof)) {
            throw new MeshError('ERR_INVITE_PROOF', 'the inviter does not hold the secret of this ticket')
          }
          const theirs = await take(peer, handed, terms)
          const held = ownAbout(peer, terms).at(-1)
          until = Math.min(theirs.expiresAt, held?.expiresAt ?? clock.now() + terms.lifetimeMs)
          return await handOver(held?.seq ?? (await attest(peer, terms)))
        },
      })
      events.emit({ event: 'joined', did: peer, level: terms.level })
      return { did: peer, level: terms.level, scopes: terms.scopes, until }
    },
  }
}

const banHint = 'withdraw the distrust first: `kindmesh trust show`, then `kindmesh revoke <id>`'
