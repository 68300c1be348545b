import type { Clock, Did, Random } from '../base/index.ts'
import type { Keyring, Signed } from '../identity/index.ts'
import type { Store, StoreOp } from '../store/index.ts'
import type { Explanation, ExplainOptions } from './explain.ts'
import type { Experience } from './experience.ts'
import type { TrustQuestion, TrustSnapshot } from './rule.ts'
import type { SignedItem, SignedKind, TrustItem } from './statements.ts'
import type { Attestation, StatementLevel } from './types.ts'
import type { Warrant } from './warrant.ts'

/** What happened to the book, for the audit log; written in one batch with the change. */
export interface TrustChange {
  readonly event: 'issued' | 'accepted' | 'revoked' | 'contradicted'
  readonly issuer: Did
  readonly subject: Did
  /** Hash of the statement; of a warrant its id. */
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

export interface TrustBookOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly keys?: KeyBook
  /** Scopes whose introducers this node follows, before anything is asked. */
  readonly scopes?: readonly string[]
  /** Who answers for an identity: for an agent its node. */
  controllerOf?(did: Did): Did
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

export interface WithdrawFields {
  /** Hash of the signed thing, hexadecimal. */
  readonly id: string
  readonly subject: Did
  readonly kind: 'soft' | 'hard'
}

/** The peer that handed something over; what it makes us verify in vain is counted against it. */
export interface FromOption {
  readonly from?: Did | undefined
}

/** A verified statement as others are told of it. */
export interface BookEntry extends SignedItem {
  readonly id: string
  readonly issuedAt: number
  readonly expiresAt: number
  readonly issuer: Did
}

export interface EntryRange {
  readonly issuers?: ReadonlySet<Did> | undefined
  /** First instant of being issued, ms. */
  readonly from?: number | undefined
  /** First instant no longer within. */
  readonly to?: number | undefined
}

/** Something after which an answer may be another. */
export interface BookChange {
  readonly kind: SignedKind | 'warrant' | 'keys' | 'experience'
  readonly issuer?: Did
  readonly subject?: Did
  /** In force at once: bad news, and this node's own word. */
  readonly urgent: boolean
}

/** How much of what an issuer said is held. */
export interface Coverage {
  /** Highest seq held, 0 for none. */
  readonly seq: number
  readonly count: number
  /** All that its newest head names is held. */
  readonly isWhole: boolean
}

export interface Refused {
  readonly item: TrustItem
  readonly error: unknown
}

/** What this node knows about trust: its own statements, those of others, and the answers computed from them. */
export interface TrustBook {
  /** @throws ERR_TRUST_INVALID, ERR_USAGE */
  attest(fields: AttestFields): Promise<Signed>
  /** Withdraws a statement of one's own. @throws ERR_NOT_FOUND */
  revoke(id: string, kind: 'soft' | 'hard'): Promise<Signed>
  /** Withdraws something signed by this node that is no statement about trust, such as a capability token. @throws ERR_USAGE */
  withdraw(fields: WithdrawFields): Promise<Signed>
  /**
   * From when on something an issuer signed is void, ms since 1970; 0 for as if it was never made, undefined while it stands.
   * Without `issuedAt` all that an issuer signed whose key was lost is void from that time on.
   */
  revokedAt(issuer: Did, id: string, about?: { readonly issuedAt?: number; readonly firstSeenAt?: number }): number | undefined
  /**
   * Takes something of somebody else. True when it is new, verified and on disk; false when it was known, or its issuer is not certified here and it was put aside.
   * @throws ERR_TRUST_INVALID, ERR_STATEMENT_*, ERR_WIRE_*, ERR_RECORD_ROLLBACK, ERR_IDENTITY_*, ERR_OVERLOADED
   */
  accept(item: TrustItem, options?: FromOption): Promise<boolean>
  /** The same for many, which share writes to disk. Never throws for what is wrong with one. */
  acceptAll(items: Iterable<TrustItem>, options?: FromOption): Promise<{ readonly kept: number; readonly known: number; readonly refused: readonly Refused[] }>
  /** Takes a proof that an issuer contradicts itself. @throws as `accept` */
  acceptWarrant(bytes: Uint8Array, options?: FromOption): Promise<boolean>
  warrants(): readonly (Warrant & { readonly issuer: Did; readonly firstSeenAt: number })[]
  /** Everybody's level. News of others that only help may be up to 100 ms late. */
  snapshot(scope: string): TrustSnapshot
  /** What `snapshot` is computed from, for answers to "what if". */
  question(scope: string): TrustQuestion
  explain(subject: Did, scope: string, options?: ExplainOptions): Explanation
  /** What came of tasks this node asked for; replaces what was said before. */
  experience(all: readonly Experience[]): void
  /** What a local source stands for that no key signed, such as an authority list; replaces what it stood for before. Counts here alone: it is not kept, shown or sent. */
  setDerived(source: Did, attestations: readonly Attestation[]): void
  /** Verifies what was put aside of those who are certified by now, until nobody new is. */
  settle(): Promise<void>
  onChange(listener: (change: BookChange) => void): () => void
  /** Signed head of an issuer: one's own is renewed when old; undefined when none was seen. */
  head(issuer: Did): Promise<Signed | undefined>
  /** Highest seq held of an issuer, 0 for none. */
  newestSeq(issuer: Did): number
  coverage(issuer: Did): Coverage
  /** Statements of an issuer above a seq, its head first. */
  list(issuer: Did, afterSeq: number): AsyncIterable<SignedItem>
  /** Attestations and revocations held, in order of time of issue, then id. */
  items(range?: EntryRange): Iterable<BookEntry>
  /** Attestations and revocations held about a subject. */
  about(subject: Did): readonly SignedItem[]
  /** Live statements of others about this node, each issuer's head with them: what it shows at hello. */
  evidence(limits: { readonly itemsMax: number; readonly bytesMax: number }): readonly SignedItem[]
  /** Those who may introduce others in `scope`, whose news is worth fetching. */
  introducers(scope: string): readonly Did[]
  /** Whether an issuer may introduce in a scope this node follows or was asked about lately, as far as was computed: to sort what comes in by, never to decide by. */
  certifies(issuer: Did): boolean
  show(): readonly Attestation[]
  /** Statements by or about an identity are kept. */
  knows(did: Did): boolean
  /** Reads all statements anew after it became known that these keys belong together, or no longer count. */
  rekey(keys: readonly Did[]): void
  /** Which identity says it to or about which, unverified; undefined when it is no signed statement. */
  parties(item: TrustItem): { readonly from: Did; readonly to: Did } | undefined
  /** Statements put aside, unverified. */
  asideCount(): number
  /** Keys of others of which something on disk could not be read when the book was opened. Their issuers count as not heard of until all is here again. */
  readonly damaged: readonly Did[]
}
