import { type Did, fromHex, MeshError } from '../base/index.ts'
import type { VerifyBudget } from './book-budget.ts'
import type { SteadyTime } from './book-clock.ts'
import type { BookPool, Pooled } from './book-pool.ts'
import { type Held, recordKeyOf } from './book-record.ts'
import type { BookRoom } from './book-room.ts'
import type { BookState } from './book-state.ts'
import type { KeyBook, Refused, TrustBook, TrustChange } from './book-types.ts'
import { warrantsPerIssuerMax } from './book-warrants.ts'
import type { BookWriter } from './book-writer.ts'
import { checkTrustTime, isSignedItem, readTrustStatement, type SignedItem, type TrustItem, type TrustStatement } from './statements.ts'
import { contradict, makeWarrant, readWarrant } from './warrant.ts'

/** Statements that share one write to disk. */
const chunkMax = 64

/** Takes in what others say: what may count is verified and kept, what cannot yet is put aside as it came. */
export type BookIntake = Pick<TrustBook, 'accept' | 'acceptAll' | 'acceptWarrant' | 'settle'>

export interface BookIntakeOptions {
  readonly state: BookState
  readonly keys: KeyBook
  readonly time: SteadyTime
  readonly pool: BookPool
  readonly room: BookRoom
  readonly budget: VerifyBudget
  readonly writer: BookWriter
}

interface Intake {
  readonly kept: number
  readonly known: number
  readonly refused: readonly Refused[]
}

/** What becomes of one statement. */
type Verdict = 'known' | { readonly aside: Pooled } | Keep
interface Keep {
  readonly keep: Held
  readonly change: TrustChange | undefined
  readonly dropped: readonly Held[]
}

export function createBookIntake({ state, keys, time, pool, room, budget, writer }: BookIntakeOptions): BookIntake {
  const { own, index, warrants, isCertified } = state
  let settling: Promise<void> | undefined

  function verify(check: () => void, from: Did | undefined): void {
    budget.check(from)
    try {
      check()
    } catch (error) {
      budget.failed(from)
      throw error
    }
  }
  /** What is worth a signature check now: the rest waits until its issuer is certified. */
  function isWanted(statement: TrustStatement, issuer: Did, subject: Did): boolean {
    if (isCertified(issuer)) return true
    if (statement.kind === 'head') return (index.shelf(issuer)?.size ?? 0) > 0
    if (subject !== own) return false
    return statement.kind === 'attestation' || index.attestation(statement.revocation.attestationId)?.issuer === issuer
  }
  /** Cheap checks first, the signature last. */
  function examine(given: SignedItem, from: Did | undefined): Verdict {
    // A copy: the bytes handed over may be a small part of a frame that would be held with them.
    const item = { kind: given.kind, bytes: given.bytes.slice() }
    const { statement, verify: check } = readTrustStatement(item)
    const { signed } = statement
    const { issuer, subject } = index.parties(signed.statement.from, signed.statement.to)
    if (issuer === own) return 'known'
    const shelf = index.shelf(issuer)
    const known = statement.kind === 'head' ? shelf?.head : shelf?.get(statement.seq)
    if (known?.statement.signed.ref === signed.ref) return 'known'
    keys.check(signed.statement.from, signed.statement.issuedAt)
    if (statement.kind === 'attestation' && issuer === subject) throw new MeshError('ERR_TRUST_INVALID', 'nobody rates himself')
    checkTrustTime(statement, time.now())
    const conflict = known !== undefined && contradict(known.statement, statement) ? known : undefined
    if (conflict === undefined && statement.kind === 'head' && known !== undefined) {
      if (known.statement.signed.statement.issuedAt >= signed.statement.issuedAt) return 'known'
      if (known.statement.seq > statement.seq) throw new MeshError('ERR_RECORD_ROLLBACK', 'a head that goes back')
    }
    if (!isWanted(statement, issuer, subject)) return { aside: { item, issuer, subject, from } }
    const dropped = statement.kind === 'head' || known !== undefined ? [] : room.make(statement)
    verify(check, from)
    if (known !== undefined && statement.kind !== 'head') throw contradiction(known, item, statement)
    if (conflict !== undefined) throw contradiction(conflict, item, statement)
    return { keep: { item, statement, firstSeenAt: time.now() }, change: changeOf(statement, issuer, subject), dropped }
  }
  /** A statement about us was kept of somebody whose head waits aside. */
  async function adoptHead(issuer: Did): Promise<void> {
    if (!pool.has(issuer)) return
    for (const pooled of pool.take(issuer)) {
      if (pooled.item.kind === 'head') await one(pooled.item, pooled.from).catch(() => false)
      else pool.put(pooled)
    }
  }
  async function one(item: TrustItem, from: Did | undefined): Promise<boolean> {
    const verdict = await judged(item, from)
    if (typeof verdict === 'boolean') return verdict
    await keep(verdict)
    return true
  }
  /** Everything but keeping it; what is no statement to keep is dealt with. */
  async function judged(item: TrustItem, from: Did | undefined): Promise<boolean | Keep> {
    if (!isSignedItem(item)) return await takeWarrant(item.bytes, from)
    try {
      const verdict = examine(item, from)
      if (verdict === 'known') return false
      if ('keep' in verdict) return verdict
      pool.put(verdict.aside)
      return false
    } catch (error) {
      if (error instanceof Contradiction) await takeWarrant(error.warrant, from)
      throw error
    }
  }
  async function keep({ keep: held, change, dropped }: Keep): Promise<void> {
    await writer.keep(held, change, dropped)
    if (held.item.kind !== 'head') await adoptHead(index.partiesOf(held).issuer)
  }
  async function takeWarrant(given: Uint8Array, from: Did | undefined): Promise<boolean> {
    const { warrant, verify: check } = readWarrant(given.slice())
    const issuer = keys.subject(warrant.key)
    if (warrants.has(warrant.id) || warrants.countOf(issuer) >= warrantsPerIssuerMax) return false
    for (const { signed } of warrant.statements) keys.check(warrant.key, signed.statement.issuedAt)
    if (issuer !== own && !isCertified(issuer) && (index.shelf(issuer)?.size ?? 0) === 0) {
      pool.put({ item: { kind: 'warrant', bytes: warrant.bytes }, issuer, subject: issuer, from })
      return false
    }
    verify(check, from)
    const change = { event: 'contradicted', issuer, subject: issuer, id: fromHex(warrant.id), level: 0, scope: '' } as const
    await writer.keepWarrant({ warrant, firstSeenAt: time.now() }, change)
    return true
  }
  async function many(items: readonly TrustItem[], from: Did | undefined): Promise<Intake> {
    const sum = { kept: 0, known: 0, refused: [] as Refused[] }
    /** About to be written together, by where they go. */
    const pending = new Map<string, { readonly item: TrustItem; readonly verdict: Keep }>()
    async function flush(): Promise<void> {
      const group = [...pending.values()]
      pending.clear()
      const results = await Promise.allSettled(group.map(({ verdict }) => keep(verdict)))
      results.forEach((result, at) => {
        if (result.status === 'fulfilled') sum.kept++
        else sum.refused.push({ item: group[at]?.item as TrustItem, error: result.reason })
      })
    }
    for (const item of items) {
      try {
        let verdict = await judged(item, from)
        if (typeof verdict !== 'boolean' && pending.has(recordKeyOf(verdict.keep.statement))) {
          // Two for one place: the second is judged by the first.
          await flush()
          verdict = await judged(item, from)
        }
        if (typeof verdict !== 'boolean') pending.set(recordKeyOf(verdict.keep.statement), { item, verdict })
        else if (verdict) sum.kept++
        else sum.known++
      } catch (error) {
        sum.refused.push({ item, error })
      }
    }
    await flush()
    return sum
  }
  /** Takes in again what waited for its issuer to be certified. */
  async function promote(issuer: Did): Promise<void> {
    for (const { item, from } of pool.take(issuer)) {
      // What is false here was not the issuer's, or too much of it: nobody waits for an answer.
      if (!budget.isSpent(from)) await one(item, from).catch(() => false)
    }
  }
  async function settleOnce(): Promise<void> {
    for (;;) {
      const due = [...pool.issuers()].filter(isCertified)
      if (due.length === 0) return
      for (const issuer of due) await writer.inTurn(() => promote(issuer))
      state.answers.catchUp()
    }
  }
  return {
    accept: (item, { from } = {}) => writer.inTurn(() => one(item, from)),
    async acceptAll(items, { from } = {}) {
      const all = [...items]
      const sum = { kept: 0, known: 0, refused: [] as Refused[] }
      for (let start = 0; start < all.length; start += chunkMax) {
        const { kept, known, refused } = await writer.inTurn(() => many(all.slice(start, start + chunkMax), from))
        sum.kept += kept
        sum.known += known
        sum.refused.push(...refused)
      }
      return sum
    },
    acceptWarrant: (bytes, { from } = {}) => writer.inTurn(() => takeWarrant(bytes, from)),
    settle() {
      state.answers.catchUp()
      settling ??= settleOnce().finally(() => (settling = undefined))
      return settling
    },
  }
}

/** A refusal that proves something against the issuer. */
class Contradiction extends MeshError {
  readonly warrant: Uint8Array

  constructor(warrant: Uint8Array, message: string, statements: readonly [string, string]) {
    super('ERR_TRUST_INVALID', message, { details: { warrant: statements } })
    this.warrant = warrant
  }
}

/** Source: trust/v1 section 1.4. */
function contradiction(known: Held, item: SignedItem, statement: TrustStatement): MeshError {
  const refs = [known.statement.signed.ref, statement.signed.ref] as const
  const message = `the issuer signed two ${statement.kind === 'head' ? 'heads' : 'statements'} with seq ${statement.seq}`
  // Two keys of one identity: only who knows their chain can see it, so it proves nothing to others.
  if (!contradict(known.statement, statement)) return new MeshError('ERR_TRUST_INVALID', message)
  return new Contradiction(makeWarrant(known.item, item), message, refs)
}

function changeOf(statement: TrustStatement, issuer: Did, subject: Did): TrustChange | undefined {
  if (statement.kind === 'head') return undefined
  const { level, scopes } = statement.kind === 'attestation' ? statement.attestation : { level: 0, scopes: [] }
  const event = statement.kind === 'attestation' ? 'accepted' : 'revoked'
  return { event, issuer, subject, id: statement.signed.hash, level, scope: scopes.join(' ') }
}
