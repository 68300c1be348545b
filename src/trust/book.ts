import type { Did } from '../base/index.ts'
import { partiesOf } from '../identity/index.ts'
import { createVerifyBudget } from './book-budget.ts'
import { createSteadyTime } from './book-clock.ts'
import { evidenceOf } from './book-evidence.ts'
import { createBookIntake } from './book-intake.ts'
import { createOwnWord } from './book-own.ts'
import { createBookPool } from './book-pool.ts'
import { createBookRecords } from './book-record.ts'
import { createBookRoom } from './book-room.ts'
import { createBookState } from './book-state.ts'
import { readBook } from './book-read.ts'
import type { KeyBook, TrustBook, TrustBookOptions } from './book-types.ts'
import { createBookWriter } from './book-writer.ts'
import { isSignedItem } from './statements.ts'
import { TrustLevel } from './types.ts'

/** Every key stands for itself. */
const plainKeys: KeyBook = { subject: (key) => key, check: () => undefined }

/** Opens what this node knows about trust. @throws ERR_TRUST_DAMAGED when a statement of its own cannot be read */
export async function openTrustBook(options: TrustBookOptions): Promise<TrustBook> {
  const { store, keyring, clock, random, keys = plainKeys, scopes = ['/task/run'], controllerOf, commit } = options
  const own = keyring.identity
  const records = createBookRecords(keyring)
  const read = await readBook({ store, records, keyring })
  const time = createSteadyTime({ clock, store, records, start: read.highestTime })
  const pool = createBookPool()
  const state = createBookState({ own, keys, clock, now: time.now, scopes, controllerOf, computed: () => pool.size > 0 && void Promise.resolve().then(settle) })
  state.load(read.held, read.warrants, read.damaged)
  const { index, answers } = state
  const writer = createBookWriter({ store, commit, records, state, time })
  const word = createOwnWord({ state, keys, keyring, clock, random, time, writer })
  const intake = createBookIntake({ state, keys, time, pool, room: createBookRoom(state), budget: createVerifyBudget(clock), writer })
  const settle = (): Promise<void> => intake.settle()
  const shelfOf = (key: Did) => index.shelf(keys.subject(key))

  return {
    ...intake,
    attest: word.attest,
    revoke: word.revoke,
    withdraw: word.withdraw,
    revokedAt: (issuer, id, about) => index.voidFrom(keys.subject(issuer), id, about),
    warrants: () => [...state.warrants.all()].map(({ warrant, issuer, firstSeenAt }) => ({ ...warrant, issuer, firstSeenAt })),
    snapshot(scope) {
      time.keep()
      return answers.snapshot(scope)
    },
    question: state.question,
    explain: (subject, scope, how) => answers.exact(scope).explain(subject, how),
    onChange: answers.onChange,
    experience: state.experience,
    setDerived: state.derive,
    head: async (issuer) => (keys.subject(issuer) === own ? await word.head() : shelfOf(issuer)?.head?.statement.signed),
    newestSeq: (issuer) => shelfOf(issuer)?.newest ?? 0,
    coverage(issuer) {
      const shelf = shelfOf(issuer)
      return { seq: shelf?.newest ?? 0, count: shelf?.size ?? 0, isWhole: shelf?.isWhole ?? false }
    },
    async *list(issuer, afterSeq) {
      if (keys.subject(issuer) === own) await word.head()
      const shelf = shelfOf(issuer)
      if (shelf?.head !== undefined) yield shelf.head.item
      for (const { item } of shelf?.above(afterSeq) ?? []) yield item
    },
    *items({ issuers, from = 0, to = Infinity } = {}) {
      for (const held of index.order.range(from, to)) {
        const { issuer } = index.partiesOf(held)
        if (issuers !== undefined && !issuers.has(issuer)) continue
        const { signed } = held.statement
        const { issuedAt, expiresAt } = signed.statement
        yield { ...held.item, id: signed.ref, issuedAt, expiresAt, issuer }
      }
    },
    about: (subject) => [...index.about(keys.subject(subject))].map(({ item }) => item),
    evidence: (limits) => evidenceOf(state, time.now(), limits),
    introducers(scope) {
      const now = answers.current(scope)
      return now.subjects().filter((subject) => subject !== own && !state.isDerived(subject) && now.level(subject) >= TrustLevel.VERIFIED)
    },
    certifies: state.isCertified,
    show() {
      const revoked = new Set([...index.revocations()].map(({ issuer, attestationId }) => `${issuer} ${attestationId}`))
      return [...index.attestations()].filter(({ issuer, id }) => !revoked.has(`${issuer} ${id}`))
    },
    knows: (did) => index.about(did).size > 0 || (index.shelf(did)?.size ?? 0) > 0,
    rekey(changed) {
      if (index.concerns(changed)) state.reread()
    },
    parties(item) {
      const parties = isSignedItem(item) ? partiesOf(item.kind, item.bytes) : undefined
      return parties === undefined ? undefined : { from: keys.subject(parties.from), to: keys.subject(parties.to) }
    },
    asideCount: () => pool.size,
    damaged: [...read.damaged],
  }
}
