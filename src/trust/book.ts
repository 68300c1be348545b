import { type Clock, type Did, fromHex, MeshError, type Random } from '../base/index.ts'
import { type Keyring, partiesOf, type Signed, signStatement } from '../identity/index.ts'
import { put, type Store, type StoreOp } from '../store/index.ts'
import { bytesUpTo, codec, instant, oneOf, row } from '../wire/index.ts'
import type { Explanation, ExplainOptions } from './explain.ts'
import { computeTrust, type TrustQuestion, type TrustSnapshot } from './rule.ts'
import {
  attestationCodec,
  attestationLifetimeMsMax,
  checkScopes,
  fingerprintOf,
  headCodec,
  headLifetimeMsMax,
  headRenewalMs,
  openTrustStatement,
  revocationCodec,
  revocationLifetimeMsMax,
  type TrustItem,
  trustKinds,
  type TrustStatement,
  trustStatementBytesMax,
} from './statements.ts'
import { type Attestation, depthDefault, type Revocation, type StatementLevel, TrustLevel } from './types.ts'

/** Statements kept of one issuer. Source: trust/v1 section 6. */
export const statementsPerIssuerMax = 4_096
/** Statements of strangers kept about one subject. */
export const statementsPerSubjectMax = 64
/** Statements about this node itself kept, whoever made them. */
export const statementsAboutSelfMax = 1_024
/** Of these one issuer who may not introduce has so many. */
export const statementsPerStrangerMax = 4
/** Statements kept in all. */
export const statementsMax = 200_000

/** In which scope an issuer must be known to be shown first. */
const scopeShown = '/task/run'
const storedCodec = codec('stored statement', row({ kind: oneOf(trustKinds), firstSeenAt: instant, bytes: bytesUpTo(trustStatementBytesMax) }), 2_048)

/** What happened to the book, for the audit log; written in one batch with the change. */
export interface TrustChange {
  readonly event: 'issued' | 'accepted' | 'revoked'
  readonly issuer: Did
  readonly subject: Did
  readonly id: Uint8Array
  readonly level: number
  readonly scope: string
}

/** Which key speaks for whom. Statements count for the identity of the key that signed them. Source: identity/v1 section 5. */
export interface KeyBook {
  /** The first key of a key's identity. */
  subject(key: Did): Did
  /** @throws ERR_IDENTITY_SUPERSEDED, ERR_IDENTITY_FROZEN for what a key signed when it no longer spoke for its identity */
  check(key: Did, signedAt: number): void
}

/** Every key stands for itself. */
const plainKeys: KeyBook = { subject: (key) => key, check: () => undefined }

export interface TrustBookOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly keys?: KeyBook
  /** Writes the change and its audit entry in one durable batch. `ops` have full keys. */
  commit(change: TrustChange, ops: readonly StoreOp[]): Promise<unknown>
}

export interface AttestFields {
  readonly subject: Did
  readonly level: StatementLevel
  readonly scopes: readonly string[]
  readonly depth?: number | undefined
  readonly lifetimeMs: number
}

/** What this node knows about trust: its own statements, those of others, and the answers computed from them. */
export interface TrustBook {
  /** @throws ERR_TRUST_INVALID, ERR_USAGE */
  attest(fields: AttestFields): Promise<Signed>
  /** Withdraws a statement of one's own. @throws ERR_NOT_FOUND */
  revoke(id: string, kind: 'soft' | 'hard'): Promise<Signed>
  /** Takes a statement of somebody else after checking it; false when it was known. @throws ERR_TRUST_INVALID, ERR_STATEMENT_*, ERR_WIRE_*, ERR_OVERLOADED */
  accept(item: TrustItem): Promise<boolean>
  snapshot(scope: string): TrustSnapshot
  /** What `snapshot` is computed from, for answers to "what if". */
  question(scope: string): TrustQuestion
  explain(subject: Did, scope: string, options?: ExplainOptions): Explanation
  /** Signed head of an issuer: one's own is renewed when old; undefined when none was seen. */
  head(issuer: Did): Promise<Signed | undefined>
  /** Highest seq held of an issuer, 0 for none. */
  newestSeq(issuer: Did): number
  /** Statements of an issuer above a seq, its head first. */
  list(issuer: Did, afterSeq: number): AsyncIterable<TrustItem>
  /** Live statements of others about this node, each issuer's head with them: what it shows at hello. */
  evidence(limits: { readonly itemsMax: number; readonly bytesMax: number }): readonly TrustItem[]
  /** Those who may introduce others in `scope`, whose news is worth fetching. */
  introducers(scope: string): readonly Did[]
  show(): readonly Attestation[]
  /** Statements by or about an identity are kept. */
  knows(did: Did): boolean
  /** Reads all statements anew after it became known that these keys belong together, or no longer count. */
  rekey(keys: readonly Did[]): void
  /** Which identity says it to or about which, unverified; undefined when it is no statement. */
  parties(item: TrustItem): { readonly from: Did; readonly to: Did } | undefined
}

interface Held {
  readonly item: TrustItem
  readonly statement: TrustStatement
  readonly firstSeenAt: number
}

const storeKey = (issuer: Did, kind: string, seq: number): string => `${issuer}/${kind === 'head' ? 'head' : String(seq).padStart(16, '0')}`

export async function openTrustBook({ store, keyring, clock, random, keys = plainKeys, commit }: TrustBookOptions): Promise<TrustBook> {
  const own = keyring.identity
  /** Everything kept, also what does not count now. */
  const all = new Map<string, Held>()
  /** Per issuer, in order of seq; heads apart. */
  const byIssuer = new Map<Did, Map<number, Held>>()
  const heads = new Map<Did, Held>()
  const attestations = new Map<string, Attestation>()
  const revocations = new Map<string, Revocation>()
  const firstSeen = new Map<string, number>()
  const perSubject = new Map<Did, number>()
  const aboutSelf = new Set<Attestation>()
  const snapshots = new Map<string, TrustSnapshot>()
  let writing: Promise<unknown> = Promise.resolve()

  const counts = ({ statement: { signed } }: Held): boolean => {
    try {
      keys.check(signed.statement.from, signed.statement.issuedAt)
      return true
    } catch (error) {
      if (error instanceof MeshError) return false
      throw error
    }
  }
  function remember(held: Held): void {
    all.set(storeKey(held.statement.signed.statement.from, held.item.kind, held.statement.seq), held)
    index(held)
  }
  function index(held: Held): void {
    const { statement, firstSeenAt } = held
    const issuer = keys.subject(statement.signed.statement.from)
    snapshots.clear()
    if (!counts(held)) return
    if (statement.kind === 'head') {
      const before = heads.get(issuer)
      if (before === undefined || before.statement.signed.statement.issuedAt < statement.signed.statement.issuedAt) heads.set(issuer, held)
      return
    }
    const theirs = byIssuer.get(issuer) ?? new Map<number, Held>()
    byIssuer.set(issuer, theirs)
    theirs.set(statement.seq, held)
    if (statement.kind === 'revocation') {
      revocations.set(statement.signed.ref, { ...statement.revocation, issuer })
      return
    }
    const subject = keys.subject(statement.attestation.subject)
    // Found out to be one identity: nobody rates himself.
    if (subject === issuer) return
    const pair = `${issuer} ${subject}`
    const seen = Math.min(firstSeen.get(pair) ?? Infinity, firstSeenAt)
    firstSeen.set(pair, seen)
    perSubject.set(subject, (perSubject.get(subject) ?? 0) + 1)
    const attestation = { ...statement.attestation, issuer, subject, firstSeenAt: seen }
    attestations.set(attestation.id, attestation)
    if (subject === own) aboutSelf.add(attestation)
  }
  function rekey(changed: readonly Did[]): void {
    const affected = new Set(changed)
    const isAffected = ({ statement: { signed } }: Held): boolean => affected.has(signed.statement.from) || affected.has(signed.statement.to)
    if (![...all.values()].some(isAffected)) return
    for (const part of [byIssuer, heads, attestations, revocations, firstSeen, perSubject, aboutSelf, snapshots]) part.clear()
    for (const held of all.values()) index(held)
  }
  const stored = ({ item, statement, firstSeenAt }: Held): StoreOp =>
    put(storeKey(statement.signed.statement.from, item.kind, statement.seq), storedCodec.encode({ ...item, firstSeenAt }))
  const seqsOf = (issuer: Did): readonly number[] => [...(byIssuer.get(issuer)?.keys() ?? [])].sort((a, b) => a - b)
  const newestSeq = (issuer: Did): number => seqsOf(keys.subject(issuer)).at(-1) ?? 0
  const ownStatements = (): readonly Held[] => seqsOf(own).flatMap((seq) => byIssuer.get(own)?.get(seq) ?? [])

  for await (const [, value] of store.range({})) {
    const { kind, bytes, firstSeenAt } = storedCodec.decode(value)
    remember({ item: { kind, bytes }, statement: openTrustStatement({ kind, bytes }, clock.now(), { atAnyTime: true }), firstSeenAt })
  }

  /** One change at a time: a seq is taken once, and a failed write leaves no trace in memory. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = writing.then(act)
    writing = turn.catch(() => undefined)
    return turn
  }
  async function commitHeld(held: Held, change: TrustChange): Promise<void> {
    const op = stored(held)
    try {
      await commit(change, store.qualify([op]))
    } catch (error) {
      // A write that failed may have landed all the same: the disk decides, now as after a restart.
      if (await store.has(op.key).catch(() => false)) remember(held)
      throw error
    }
  }
  async function keep(signed: Signed, kind: TrustItem['kind'], change?: TrustChange): Promise<Signed> {
    const item = { kind, bytes: signed.bytes }
    const held = { item, statement: openTrustStatement(item, clock.now()), firstSeenAt: clock.now() }
    if (change === undefined) await store.batch([stored(held)])
    else await commitHeld(held, change)
    remember(held)
    return signed
  }
  const chain = (): { readonly seq: number; readonly prev: Uint8Array | undefined } => {
    const last = ownStatements().at(-1)
    // Time based, so that a restored backup does not sign one seq twice.
    return { seq: Math.max(clock.now(), (last?.statement.seq ?? 0) + 1), prev: last?.statement.signed.hash }
  }
  const sign = (kind: TrustItem['kind'], to: Did, payload: Uint8Array, lifetimeMs: number): Signed => {
    const issuedAt = clock.now()
    return signStatement(kind, { to, type: kind, payload, issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring, random })
  }
  async function renewHead(): Promise<Signed> {
    const known = heads.get(own)
    const fingerprint = fingerprintOf(ownStatements().map(({ statement }) => statement.signed.hash))
    const isFresh =
      known !== undefined &&
      known.statement.signed.statement.issuedAt + headRenewalMs > clock.now() &&
      known.statement.seq === newestSeq(own) &&
      known.statement.signed.statement.from === keyring.did
    if (isFresh) return known.statement.signed
    return await keep(
      sign('head', keyring.did, headCodec.encode({ version: 1, seq: newestSeq(own), count: ownStatements().length, fingerprint }), headLifetimeMsMax),
      'head',
    )
  }
  function snapshot(scope: string): TrustSnapshot {
    const now = clock.now()
    const known = snapshots.get(scope)
    if (known !== undefined && known.at <= now && (known.validUntil === undefined || now < known.validUntil)) return known
    const fresh = computeTrust(question(scope))
    if (snapshots.size >= 64) snapshots.clear()
    snapshots.set(scope, fresh)
    return fresh
  }
  function question(scope: string): TrustQuestion {
    const now = clock.now()
    return {
      root: own,
      scope,
      attestations: attestations.values(),
      revocations: revocations.values(),
      now,
      headAge: (issuer) => {
        const head = heads.get(issuer)
        return head === undefined ? undefined : Math.max(0, now - head.statement.signed.statement.issuedAt)
      },
    }
  }
  function checkRoom(statement: TrustStatement): void {
    const issuer = keys.subject(statement.signed.statement.from)
    if ((byIssuer.get(issuer)?.size ?? 0) >= statementsPerIssuerMax) {
      throw new MeshError('ERR_OVERLOADED', `${statementsPerIssuerMax} statements of this issuer are kept`)
    }
    if (attestations.size + revocations.size >= statementsMax) throw new MeshError('ERR_OVERLOADED', `${statementsMax} statements are kept`)
    if (statement.kind !== 'attestation') return
    const subject = keys.subject(statement.attestation.subject)
    // A stranger gets a few places, so that one cannot take them all.
    const fromIssuer = [...(byIssuer.get(issuer)?.values() ?? [])].filter(
      ({ statement: held }) => held.kind === 'attestation' && keys.subject(held.attestation.subject) === subject,
    ).length
    const most = subject === own ? statementsAboutSelfMax : statementsPerSubjectMax
    if (fromIssuer < statementsPerStrangerMax && (perSubject.get(subject) ?? 0) < most) return
    const isCertified = snapshot(statement.attestation.scopes[0] ?? '/').level(issuer) >= TrustLevel.VERIFIED
    if (!isCertified) {
      throw new MeshError('ERR_OVERLOADED', 'no more statements of strangers about this subject are kept')
    }
  }
  async function acceptHead(held: Held): Promise<boolean> {
    const { statement } = held
    const known = heads.get(keys.subject(statement.signed.statement.from))
    if (known !== undefined && known.statement.signed.statement.issuedAt >= statement.signed.statement.issuedAt) return false
    if (known !== undefined && known.statement.seq > statement.seq) throw new MeshError('ERR_RECORD_ROLLBACK', 'a head that goes back')
    await store.batch([stored(held)])
    remember(held)
    return true
  }

  return {
    attest: ({ subject, level, scopes, depth = depthDefault(level), lifetimeMs }) =>
      inTurn(async () => {
        if (keys.subject(subject) === own) throw new MeshError('ERR_TRUST_INVALID', 'nobody rates himself', { hint: 'name another DID' })
        if (lifetimeMs <= 0 || lifetimeMs > attestationLifetimeMsMax) {
          throw new MeshError('ERR_TRUST_INVALID', 'an attestation lives at most 400 days', { hint: 'give --expires 400d or less' })
        }
        checkScopes(scopes)
        const { seq, prev } = chain()
        const signed = sign('attestation', subject, attestationCodec.encode({ version: 1, level, scopes, depth, evidence: undefined, seq, prev }), lifetimeMs)
        return await keep(signed, 'attestation', { event: 'issued', issuer: own, subject, id: signed.hash, level, scope: scopes.join(' ') })
      }),
    revoke: (id, kind) =>
      inTurn(async () => {
        const revoked = attestations.get(id)
        if (revoked === undefined || revoked.issuer !== own) {
          throw new MeshError('ERR_NOT_FOUND', `no statement ${id} of this node`, { hint: 'see `kindmesh trust show`' })
        }
        const { seq, prev } = chain()
        const payload = revocationCodec.encode({ version: 1, attestation: fromHex(id), kind, at: clock.now(), seq, prev })
        const signed = sign('revocation', revoked.subject, payload, revocationLifetimeMsMax)
        return await keep(signed, 'revocation', {
          event: 'revoked',
          issuer: own,
          subject: revoked.subject,
          id: fromHex(id),
          level: revoked.level,
          scope: revoked.scopes.join(' '),
        })
      }),
    accept: (item) =>
      inTurn(async () => {
        const statement = openTrustStatement(item, clock.now())
        const { from, to, issuedAt } = statement.signed.statement
        const [issuer, subject] = [keys.subject(from), keys.subject(to)]
        if (issuer === own) return false
        keys.check(from, issuedAt)
        if (statement.kind === 'attestation' && issuer === subject) throw new MeshError('ERR_TRUST_INVALID', 'nobody rates himself')
        const held: Held = { item, statement, firstSeenAt: clock.now() }
        if (statement.kind === 'head') return await acceptHead(held)
        const known = byIssuer.get(issuer)?.get(statement.seq)
        if (known !== undefined) {
          if (known.statement.signed.ref === statement.signed.ref) return false
          throw new MeshError('ERR_TRUST_INVALID', `the issuer signed two statements with seq ${statement.seq}`, {
            details: { warrant: [known.statement.signed.ref, statement.signed.ref] },
          })
        }
        checkRoom(statement)
        const { level, scopes } = statement.kind === 'attestation' ? statement.attestation : { level: 0, scopes: [] }
        const event = statement.kind === 'attestation' ? 'accepted' : 'revoked'
        await commitHeld(held, { event, issuer, subject, id: statement.signed.hash, level, scope: scopes.join(' ') })
        remember(held)
        return true
      }),
    snapshot,
    question,
    explain: (subject, scope, options) => snapshot(scope).explain(subject, options),
    head: async (issuer) => (issuer === own ? await inTurn(renewHead) : heads.get(keys.subject(issuer))?.statement.signed),
    newestSeq,
    async *list(key, afterSeq) {
      const issuer = keys.subject(key)
      const head = issuer === own ? await inTurn(renewHead) : heads.get(issuer)?.statement.signed
      if (head !== undefined) yield { kind: 'head', bytes: head.bytes }
      for (const seq of seqsOf(issuer)) {
        const held = seq > afterSeq ? byIssuer.get(issuer)?.get(seq) : undefined
        if (held !== undefined) yield held.item
      }
    },
    evidence({ itemsMax, bytesMax }) {
      const now = clock.now()
      const items: TrustItem[] = []
      let bytes = 0
      const live = [...aboutSelf].filter(({ expiresAt }) => expiresAt > now)
      // Those we know first: what strangers say of us must not crowd them out.
      const known = (issuer: Did): number => (attestations.size > 0 && snapshot(scopeShown).level(issuer) > 0 ? 1 : 0)
      const newest = live.toSorted((a, b) => known(b.issuer) - known(a.issuer) || b.issuedAt - a.issuedAt)
      const shown = new Set<Did>()
      for (const { issuer, seq } of newest) {
        const held = byIssuer.get(issuer)?.get(seq)?.item
        const head = shown.has(issuer) ? undefined : heads.get(issuer)?.item
        const add = [held, head].filter((item) => item !== undefined)
        const size = add.reduce((sum, item) => sum + item.bytes.length, 0)
        if (items.length + add.length > itemsMax || bytes + size > bytesMax) break
        shown.add(issuer)
        items.push(...add)
        bytes += size
      }
      return items
    },
    introducers(scope) {
      const now = snapshot(scope)
      return now.subjects().filter((subject) => subject !== own && now.level(subject) >= TrustLevel.VERIFIED)
    },
    knows: (did) => perSubject.has(did) || byIssuer.has(did),
    rekey,
    parties({ kind, bytes }) {
      const parties = partiesOf(kind, bytes)
      return parties === undefined ? undefined : { from: keys.subject(parties.from), to: keys.subject(parties.to) }
    },
    show() {
      const revoked = new Set([...revocations.values()].map(({ issuer, attestationId }) => `${issuer} ${attestationId}`))
      return [...attestations.values()].filter(({ issuer, id }) => !revoked.has(`${issuer} ${id}`))
    },
  }
}
