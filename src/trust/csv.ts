import type { Did } from '../base/index.ts'
import { csvFault, type CsvRecord, csvRecords } from './csv-records.ts'
import { createCsvTable, type CsvRow } from './csv-table.ts'
import { narrowByFlow, type TrustPolicy } from './flow-policy.ts'
import { introducerDepthMax } from './limits.ts'
import { computeTrust, type TrustSnapshot } from './rule.ts'
import { checkScopes } from './statements.ts'
import { depthDefault, type StatementLevel } from './types.ts'

/** Statements in one CSV. Source: trust/v1 section 3.7. */
export const csvStatementsMax = 2_000_000
/** Length of an id in a CSV. Source: trust/v1 section 3.7. */
export const csvIdCharsMax = 256

/** The columns of a CSV of statements; `depth`, `iat` and `exp` may be absent or empty. */
export const csvColumns = ['iss', 'sub', 'level', 'depth', 'iat', 'exp', 'scope'] as const
type Column = (typeof csvColumns)[number]
const optional: ReadonlySet<Column> = new Set(['depth', 'iat', 'exp'])

export interface CsvQuestion {
  /** Any string that the CSV uses as an id. */
  readonly root: string
  readonly scope: string
  readonly now: number
  /** `gate` unless given. */
  readonly policy?: TrustPolicy | undefined
  /** Under policy `flow`: how far the root relies on an introducer, 0 to 120. */
  readonly reliance?: ReadonlyMap<Did, number> | undefined
  readonly signal?: AbortSignal | undefined
}

/** An answer from a CSV: its ids stand where a node has DIDs, `line 7` where it has ids of statements. */
export interface CsvAnswer {
  readonly snapshot: TrustSnapshot
  /** Statements that were asked. */
  readonly statements: number
  /** Statements with an `iat` after `now`: not yet made, so they count for nothing. */
  readonly later: number
  /** Everybody above UNKNOWN or below it, the root first. */
  readonly levels: Readonly<Record<string, number>>
}

/**
 * Asks the rule about the statements in a CSV instead of those of a node. An empty `depth` is the default of the level, an empty `iat` means since ever and without ageing, an empty
 * `exp` for ever. Of several lines of one issuer about one subject in one scope the one with the latest `iat` counts, then the last. Source: trust/v1 section 3.7.
 * @throws ERR_TRUST_CSV with the number of the line, ERR_TRUST_INVALID for a scope that is no command path, ERR_ABORTED
 */
export async function computeTrustFromCsv(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, question: CsvQuestion): Promise<CsvAnswer> {
  const { root, scope, now, policy = 'gate', signal } = question
  checkScopes([scope])
  const table = createCsvTable()
  let read: ((record: CsvRecord) => CsvRow) | undefined
  let later = 0
  for await (const records of csvRecords(bytes)) {
    signal?.throwIfAborted()
    for (const record of records) {
      if (read === undefined) {
        read = createReader(record)
        continue
      }
      const row = read(record)
      if (table.size >= csvStatementsMax) {
        throw csvFault(record.line, `more than ${csvStatementsMax} statements`, 'cut the file to the part of the network you ask about')
      }
      if (row.issuedAt !== undefined && row.issuedAt > now) later++
      else table.push(row)
    }
  }
  if (read === undefined) throw csvFault(1, 'no header', `begin with ${csvColumns.join(',')}`)
  const asked = { root: root as Did, scope, now, attestations: { [Symbol.iterator]: () => table.statements()[Symbol.iterator]() } }
  const gate = computeTrust(asked)
  const snapshot = policy === 'flow' ? narrowByFlow(gate, { ...asked, reliance: question.reliance }) : gate
  return { snapshot, statements: table.size, later, levels: levelsOf(snapshot) }
}

/** An id may be `__proto__`: fromEntries makes it a key like any other. */
const levelsOf = (snapshot: TrustSnapshot): Readonly<Record<string, number>> =>
  Object.fromEntries(snapshot.subjects().flatMap((id) => (snapshot.level(id) === 0 ? [] : [[id, snapshot.level(id)] as const])))

function createReader({ fields: header, line: headerLine }: CsvRecord): (record: CsvRecord) => CsvRow {
  const names = header.map((name) => name.trim().toLowerCase())
  const [iss, sub, level, depth, iat, exp, scope] = csvColumns.map((name) => {
    const at = names.indexOf(name)
    if (at === -1 && !optional.has(name)) throw csvFault(headerLine, `no column '${name}' in the header`, `begin with ${csvColumns.join(',')}`)
    if (at !== names.lastIndexOf(name)) throw csvFault(headerLine, `two columns '${name}'`, 'keep one')
    return at
  }) as [number, number, number, number, number, number, number]
  const scopesRead = new Map<string, readonly string[]>()
  const idsRead = new Map<string, Did>()

  return ({ fields, line }) => {
    if (fields.length !== header.length) {
      throw csvFault(
        line,
        `${fields.length} fields, the header has ${header.length}`,
        'quote a field that has a comma in it; leave a field empty rather than out',
      )
    }
    const said = levelOf(fields[level] ?? '', line)
    return {
      line,
      issuer: idOf(fields[iss] ?? '', 'iss', line),
      subject: idOf(fields[sub] ?? '', 'sub', line),
      level: said,
      scopes: scopesOf(fields[scope] ?? '', line),
      depth: depthOf(fields[depth], line) ?? depthDefault(said),
      issuedAt: timeOf(fields[iat], 'iat', line),
      expiresAt: timeOf(fields[exp], 'exp', line),
    }
  }

  /** One string for each id, so that a big file does not hold it a million times. */
  function idOf(text: string, column: Column, line: number): Did {
    const known = idsRead.get(text)
    if (known !== undefined) return known
    if (text === '' || text.length > csvIdCharsMax) {
      throw csvFault(line, `${column} has ${text.length} characters`, `an id has 1 to ${csvIdCharsMax} characters`)
    }
    // A copy: a slice would keep the whole piece of the file it is from.
    const own = Buffer.from(text).toString() as Did
    idsRead.set(own, own)
    return own
  }

  function scopesOf(text: string, line: number): readonly string[] {
    const known = scopesRead.get(text)
    if (known !== undefined) return known
    const scopes = text.split(' ').filter((word) => word !== '')
    try {
      checkScopes(scopes)
    } catch {
      throw csvFault(line, `'${text.slice(0, 64)}' is no scope`, 'a command path such as /task/run, or / for all; several with a space between')
    }
    scopesRead.set(Buffer.from(text).toString(), scopes)
    return scopes
  }
}

function levelOf(text: string, line: number): StatementLevel {
  const level = /^\s*(-1|[0-4])(?:\.0+)?\s*$/.exec(text)?.[1]
  if (level === undefined) throw csvFault(line, `'${text.slice(0, 64)}' is no level`, '-1 is distrust, 0 caution, 1 basic, 2 verified, 3 trusted, 4 authority')
  return Number(level) as StatementLevel
}

/** More than the rule knows says no more than that. */
function depthOf(text: string | undefined, line: number): number | undefined {
  if (text === undefined || text.trim() === '') return undefined
  const depth = /^\s*(\d{1,9})(?:\.0+)?\s*$/.exec(text)?.[1]
  if (depth === undefined) {
    throw csvFault(line, `'${text.slice(0, 64)}' is no depth`, `a whole number from 0 to ${introducerDepthMax}, or nothing for the default of the level`)
  }
  return Math.min(Number(depth), introducerDepthMax)
}

function timeOf(text: string | undefined, column: Column, line: number): number | undefined {
  if (text === undefined || text.trim() === '') return undefined
  const at = /^\s*-?\d+(?:\.\d*)?(?:e\+?\d{1,2})?\s*$/i.test(text) ? Math.round(Number(text) * 1_000) : NaN
  if (!(Math.abs(at) <= 8.64e15)) throw csvFault(line, `'${text.slice(0, 64)}' is no time (${column})`, 'seconds since 1970, or nothing')
  return at
}
