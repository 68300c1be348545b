import type { Did } from '../base/index.ts'
import type { Attestation, StatementLevel } from './types.ts'

/** One statement of a CSV; times in ms, undefined where the field was empty. */
export interface CsvRow {
  readonly line: number
  readonly issuer: Did
  readonly subject: Did
  readonly level: StatementLevel
  readonly depth: number
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
  readonly scopes: readonly string[]
}

/** Statements in columns, so that a million of them are not a million objects. */
export interface CsvTable {
  push(row: CsvRow): void
  readonly size: number
  /** In order of when they were made, then of their lines; `seq` counts them. May be read more than once. */
  statements(): Iterable<Attestation>
}

/** When those spoke who say no time; finite, since the quota counts from it. */
const sinceEver = -8.64e15

export function createCsvTable(): CsvTable {
  const lines: number[] = []
  const words: number[] = []
  const issuers: Did[] = []
  const subjects: Did[] = []
  const scopes: (readonly string[])[] = []
  const madeAt: number[] = []
  const endsAt: number[] = []
  let isOrdered = true

  function attestation(at: number, seq: number): Attestation {
    const made = madeAt[at] ?? 0
    const word = words[at] ?? 0
    return {
      id: `line ${lines[at] ?? 0}`,
      issuer: issuers[at] as Did,
      subject: subjects[at] as Did,
      level: (Math.floor(word / 8) - 1) as StatementLevel,
      depth: word % 8,
      scopes: scopes[at] ?? [],
      issuedAt: made === sinceEver ? Infinity : made,
      expiresAt: endsAt[at] ?? 0,
      seq,
      firstSeenAt: made,
    }
  }
  return {
    push({ line, issuer, subject, level, depth, issuedAt = sinceEver, expiresAt = Infinity, scopes: covered }) {
      isOrdered &&= issuedAt >= (madeAt.at(-1) ?? sinceEver)
      lines.push(line)
      words.push((level + 1) * 8 + depth)
      issuers.push(issuer)
      subjects.push(subject)
      scopes.push(covered)
      madeAt.push(issuedAt)
      endsAt.push(expiresAt)
    },
    get size() {
      return lines.length
    },
    *statements() {
      const order = new Uint32Array(lines.length).map((_, at) => at)
      if (!isOrdered) order.sort((a, b) => (madeAt[a] ?? 0) - (madeAt[b] ?? 0) || a - b)
      for (let place = 0; place < order.length; place++) yield attestation(order[place] ?? 0, place + 1)
    },
  }
}
