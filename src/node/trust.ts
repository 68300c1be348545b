import { attestationAccepted, attestationIssued, attestationRevoked, type Audit, type AuditEvent, issuerContradicted } from '../audit/index.ts'
import { type Clock, type Did, hex, type Logger, type Random, secondMs, type SignalOption, toMeshError } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import { type Decision, fileScope, messageScope, taskScope } from '../policy/index.ts'
import { serveStatements } from '../protocols/att/index.ts'
import type { Store } from '../store/index.ts'
import {
  type AttestFields,
  type Explanation,
  type GraphView,
  type GraphViewOptions,
  type KeyBook,
  type Level,
  type LevelChange,
  openTrustBook,
  ownWords,
  type OwnWord,
  simulate,
  type Supposition,
  type TrustBook,
  TrustLevel,
  type TrustChange,
  viewGraph,
} from '../trust/index.ts'
import type { EventHub } from './events.ts'
import { type KeyChains, openKeyChains } from './key-chains.ts'
import { createHeads } from './trust-heads.ts'
import { createJudge, type TrustSettings } from './trust-judge.ts'
import { createTrustMeeting, type TrustMeeting } from './trust-meeting.ts'
import { refreshTimeoutMs } from './trust-pull.ts'
import { createTrustSync, type TrustSync } from './trust-sync.ts'

/** News of introducers are asked for when they are older than this before a person is told why. */
const explainAgeMsMax = secondMs
/** Whoever may introduce in one of these is listened to. */
const scopesFollowed = [taskScope, messageScope, fileScope]

/** What people do about trust. */
export interface TrustDoors extends Pick<TrustBook, 'show' | 'snapshot' | 'warrants'> {
  attest(fields: AttestFields): Promise<{ readonly id: string; readonly seq: number }>
  revoke(id: string, kind?: 'soft' | 'hard'): Promise<{ readonly id: string }>
  /** What this node itself says of others, in all scopes. */
  roots(): readonly OwnWord[]
  /** The reader's own name for somebody. */
  nameOf(did: Did): string | undefined
  /** Whose level in a scope would be another, were these statements made or taken back; nothing is signed or kept. @throws ERR_NOT_FOUND, ERR_TRUST_INVALID */
  simulate(supposition: Supposition, options?: { readonly scope?: string }): readonly LevelChange[]
  /** Who says what about whom: the surroundings of one, or of this node. `drawGraph` makes a picture of it. */
  graph(options?: Omit<GraphViewOptions, 'name'> & { readonly scope?: string }): GraphView
  /** What others left here about subjects this node is close to, and how much of it was refused. */
  meeting(): ReturnType<TrustMeeting['status']>
  /** Asks the introducers for news, then says how far `subject` is trusted and why. */
  explain(subject: Did, options?: SignalOption & { readonly scope?: string; readonly name?: (did: Did) => string | undefined }): Promise<Explanation>
}

/** Time that a node which stops gives its last statements. */
const leaveMsMax = 2 * secondMs

/** Who is who, who trusts whom, and how the news of it travel. */
export interface Trust {
  readonly book: TrustBook
  readonly chains: KeyChains
  readonly sync: TrustSync
  readonly meeting: TrustMeeting
  /** How far a key's identity is trusted. */
  level(key: Did, scope: string): Level
  /**
   * Asks for news before it is decided about a key in `scope`: of those who introduce others, and, when the answer would be no, also of whoever
   * may know what others say about it. `maxAgeMs`: how old what introducers said may be when the answer would be yes, and when it would be no.
   */
  consult(key: Did, scope: string, options: { readonly levelMin: Level; readonly maxAgeMs: { readonly yes: number; readonly no: number } }): Promise<void>
  /** Withdraws something signed by this node that is no statement about trust, and tells others. */
  withdraw: TrustBook['withdraw']
  /** Refuses what a key says that is no longer in force; undefined when it is. */
  standing(key: Did): Decision<never> | undefined
  /** Lets what was said last get out, for a moment: the word of one whose head nobody has is stale to all. */
  leave(): Promise<void>
  readonly doors: TrustDoors
}

export interface TrustOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly audit: Audit
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: EventHub
  /** Who answers for an identity: for an agent its node. */
  controllerOf(did: Did): Did
  /** The reader's own name for somebody. */
  readonly nameOf?: (did: Did) => string | undefined
  /** Asked before each decision; the rule decides unless given. */
  readonly policy?: () => TrustSettings
}

/** Opens all that is known of keys and trust, serves it to others and keeps it up. */
export async function openTrust(options: TrustOptions): Promise<Trust> {
  const { host, clock, logger, keyring, nameOf = () => undefined } = options
  const self = keyring.identity
  const { book, chains } = await openWho(options)
  const heads = createHeads({ host, clock, logger, book, reach: chains, isCertified: book.certifies })
  const sync = createTrustSync({ host, clock, random: options.random, logger, book, self, reach: chains, heads, scopes: scopesFollowed })
  const meeting = createTrustMeeting({ ...options, self, book, reach: chains, isCertified: book.certifies })
  serveStatements({ host, logger, list: book.list })
  /** In the background: the statement is on disk, and others also learn of it when they ask. */
  let telling: Promise<unknown> = Promise.resolve()
  function tell(act: Promise<unknown>): void {
    telling = Promise.allSettled([telling, act])
  }
  function announce(): void {
    const told = sync.announce().catch((error: unknown) => logger.warn('statements not announced', { code: toMeshError(error).code }))
    tell(told)
  }
  const judge = createJudge(book, options.policy)
  const level = (key: Did, scope: string): Level => judge(scope).level(chains.subject(key))
  return {
    book,
    chains,
    sync,
    meeting,
    level,
    async consult(key, scope, { levelMin, maxAgeMs }) {
      const enough = (): boolean => level(key, scope) >= levelMin
      const age = enough() ? maxAgeMs.yes : maxAgeMs.no
      // All of it has the time of one refresh.
      const signal = clock.timeout(refreshTimeoutMs, 'asking for news')
      const [taken] = await Promise.all([meeting.lookup(key, { limited: true, enough, signal }), sync.refresh(scope, { maxAgeMs: age, signal })])
      // Who introduces since a moment may be fresh or not.
      if (taken > 0) await sync.refresh(scope, { maxAgeMs: age, signal })
    },
    async leave() {
      await new Promise<void>((resolve) => {
        const cancel = clock.after(leaveMsMax, resolve)
        void telling.then(() => {
          cancel()
          resolve()
        })
      })
    },
    async withdraw(fields) {
      const signed = await book.withdraw(fields)
      announce()
      return signed
    },
    standing(key) {
      try {
        chains.check(key)
        return undefined
      } catch (error) {
        const { code, message } = toMeshError(error)
        return { allow: false, code, reason: message }
      }
    },
    doors: {
      show: book.show,
      snapshot: judge,
      warrants: book.warrants,
      async attest(fields) {
        const signed = await book.attest({ ...fields, subject: chains.subject(fields.subject) })
        announce()
        tell(meeting.announce(fields.subject))
        // Somebody whom we now follow may have introduced others already.
        void sync.pull(fields.subject)
        return { id: signed.ref, seq: book.newestSeq(self) }
      },
      async revoke(id, kind = 'soft') {
        const signed = await book.revoke(id, kind)
        announce()
        void meeting.announce(signed.statement.to)
        return { id: signed.ref }
      },
      roots: () => ownWords(book.question(taskScope)),
      nameOf,
      meeting: meeting.status,
      simulate: (supposition, { scope = taskScope } = {}) =>
        simulate(
          book.question(scope),
          {
            ...supposition,
            add: supposition.add?.map((said) => ({ ...said, issuer: chains.subject(said.issuer), subject: chains.subject(said.subject) })) ?? [],
          },
          options.policy?.(),
        ),
      graph: ({ scope = taskScope, subject, nodesMax } = {}) =>
        viewGraph(judge(scope), { subject: subject === undefined ? undefined : chains.subject(subject), nodesMax, name: nameOf }),
      async explain(subject, { scope = taskScope, name = nameOf, signal } = {}) {
        const enough = (): boolean => level(subject, scope) >= TrustLevel.VERIFIED
        const [taken] = await Promise.all([meeting.lookup(subject, { signal, enough }), sync.refresh(scope, { maxAgeMs: explainAgeMsMax, signal })])
        if (taken > 0) await sync.refresh(scope, { maxAgeMs: explainAgeMsMax, signal })
        return options.policy?.().policy === 'flow'
          ? judge(scope).explain(chains.subject(subject), { name })
          : book.explain(chains.subject(subject), scope, { name })
      },
    },
  }
}

/** Each asks the other: a chain counts for those the book knows, a statement for those the chain names. */
async function openWho(options: TrustOptions): Promise<{ readonly book: TrustBook; readonly chains: KeyChains }> {
  const late: { book?: TrustBook } = {}
  const chains = await openKeyChains({
    ...options,
    store: options.store.sub('key-chains'),
    isKnown: (did) => late.book?.knows(did) ?? false,
    onChange: (keys) => late.book?.rekey(keys),
  })
  late.book = await openBook(options, chains)
  return { book: late.book, chains }
}

async function openBook({ store, keyring, clock, random, audit, events, controllerOf }: TrustOptions, keys: KeyBook): Promise<TrustBook> {
  return await openTrustBook({
    store: store.sub('trust'),
    keyring,
    clock,
    random,
    keys,
    scopes: scopesFollowed,
    controllerOf,
    async commit(change, ops) {
      await audit.record(entryOf(keyring.identity, change), ops)
      events.emit({ event: 'attestation', id: hex(change.id), issuer: change.issuer, subject: change.subject, change: change.event })
    },
  })
}

function entryOf(did: Did, { event, ...facts }: TrustChange): AuditEvent {
  if (event === 'issued') return attestationIssued({ did, ...facts })
  if (event === 'accepted') return attestationAccepted({ did, ...facts })
  return event === 'revoked' ? attestationRevoked({ did, ...facts, reason: '' }) : issuerContradicted({ did, ...facts })
}
