import { type Did, equal } from '../base/index.ts'
import type { Held } from './book-record.ts'
import { fingerprintOf } from './statements.ts'
import { levelCaution } from './types.ts'

/** Everything held of one issuer, in order of seq. */
export interface Shelf {
  readonly size: number
  /** Highest seq, 0 for none. */
  readonly newest: number
  readonly head: Held | undefined
  get(seq: number): Held | undefined
  /** Statements above a seq, in order. */
  above(seq: number): readonly Held[]
  /** Attestations about a subject. */
  countAbout(subject: Did): number
  /** What a head over all that is held would say now. */
  summary(now: number): {
    readonly seq: number
    readonly count: number
    readonly fingerprint: Uint8Array
    readonly warnings: number
    readonly warningsRoot: Uint8Array
  }
  /** Time of issue of the newest head whose warnings are all held; undefined when there is none. Source: trust/v1 section 1.7. */
  readonly confirmedAt: number | undefined
  readonly isWhole: boolean
  add(held: Held, subject: Did): void
  addHead(head: Held): void
  remove(held: Held, subject: Did): void
}

export function createShelf(): Shelf {
  const bySeq = new Map<number, Held>()
  const seqs: number[] = []
  const subjects = new Map<Did, number>()
  /** Revocations, distrust and cautions, in order of seq. */
  const bad: Held[] = []
  let head: Held | undefined
  let confirmedAt: number | undefined
  let whole: { readonly head: Held; readonly size: number; readonly isWhole: boolean } | undefined

  const hashesOf = (held: readonly Held[]): readonly Uint8Array[] => held.map(({ statement }) => statement.signed.hash)
  const above = (seq: number): readonly Held[] => seqs.slice(indexAbove(seqs, seq)).flatMap((at) => bySeq.get(at) ?? [])
  const upTo = (seq: number): readonly Held[] => seqs.slice(0, indexAbove(seqs, seq)).flatMap((at) => bySeq.get(at) ?? [])
  const livingOn = (at: number, seqMax: number): readonly Held[] =>
    bad.filter(({ statement }) => statement.seq <= seqMax && statement.signed.statement.expiresAt > at)
  /** A head counts only where no warning that it names is missing: else whoever holds one back would make its issuer look fresh. */
  function confirm(): void {
    if (head?.statement.kind !== 'head') return
    const { head: said, seq, signed } = head.statement
    const { issuedAt } = signed.statement
    if (said.warnings !== undefined) {
      const held = livingOn(issuedAt, seq)
      if (held.length !== said.warnings.count || !equal(fingerprintOf(hashesOf(held)), said.warnings.root)) return
    }
    confirmedAt = Math.max(confirmedAt ?? 0, issuedAt)
  }
  function bump(subject: Did, by: number): void {
    const count = (subjects.get(subject) ?? 0) + by
    if (count > 0) subjects.set(subject, count)
    else subjects.delete(subject)
  }
  return {
    get size() {
      return bySeq.size
    },
    get newest() {
      return seqs.at(-1) ?? 0
    },
    get head() {
      return head
    },
    get confirmedAt() {
      return confirmedAt
    },
    get isWhole() {
      if (head?.statement.kind !== 'head') return false
      if (whole?.head !== head || whole.size !== bySeq.size) {
        const { seq, head: said } = head.statement
        const held = upTo(seq)
        whole = { head, size: bySeq.size, isWhole: held.length === said.count && equal(fingerprintOf(hashesOf(held)), said.fingerprint) }
      }
      return whole.isWhole
    },
    get: (seq) => bySeq.get(seq),
    above,
    countAbout: (subject) => subjects.get(subject) ?? 0,
    summary(now) {
      const warnings = livingOn(now, Infinity)
      return {
        seq: seqs.at(-1) ?? 0,
        count: seqs.length,
        fingerprint: fingerprintOf(hashesOf(above(-1))),
        warnings: warnings.length,
        warningsRoot: fingerprintOf(hashesOf(warnings)),
      }
    },
    add(held, subject) {
      const { seq, kind } = held.statement
      if (!bySeq.has(seq)) seqs.splice(indexAbove(seqs, seq), 0, seq)
      bySeq.set(seq, held)
      if (kind === 'attestation') bump(subject, 1)
      if (!isWarning(held)) return
      bad.push(held)
      bad.sort((a, b) => a.statement.seq - b.statement.seq)
      confirm()
    },
    addHead(newer) {
      head = newer
      confirm()
    },
    remove(held, subject) {
      const { seq, kind } = held.statement
      if (bySeq.get(seq) !== held) return
      bySeq.delete(seq)
      seqs.splice(indexAbove(seqs, seq) - 1, 1)
      if (kind === 'attestation') bump(subject, -1)
    },
  }
}

/** What one would rather not have others hear. */
export const isWarning = ({ statement }: Held): boolean =>
  statement.kind === 'revocation' || (statement.kind === 'attestation' && statement.attestation.level <= levelCaution)

/** Index of the first entry above `seq`. */
function indexAbove(sorted: readonly number[], seq: number): number {
  if ((sorted.at(-1) ?? -1) <= seq) return sorted.length
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? Infinity) <= seq) low = middle + 1
    else high = middle
  }
  return low
}
