import { MeshError } from '../base/index.ts'
import { csvFault, csvRecords } from './csv-records.ts'
import { checkScopes } from './statements.ts'
import { parseLevel, statementLevelName, type StatementLevelName } from './types.ts'

/** Lines of one import. Source: join/v1 section 14. */
export const seedsMax = 10_000

/** One identity to begin with, as a file names it. */
export interface Seed {
  /** In any spelling. */
  readonly peer: string
  readonly level: StatementLevelName
  readonly scopes: readonly string[]
  readonly depth: number | undefined
  /** Such as `90d`. */
  readonly expires: string | undefined
  readonly name: string | undefined
  readonly line: number
}

const columns = ['did', 'level', 'scope', 'depth', 'expires', 'name'] as const

/**
 * Identities to vouch for from a CSV with the header `did,level,scope,depth,expires,name`; only the first two columns must be there.
 * @throws ERR_TRUST_CSV with the line, and nothing was read
 */
export async function readSeeds(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<readonly Seed[]> {
  const seeds: Seed[] = []
  let places: ReadonlyMap<string, number> | undefined
  for await (const records of csvRecords(bytes)) {
    for (const { fields, line } of records) {
      if (places === undefined) {
        places = headerOf(fields, line)
        continue
      }
      if (seeds.length >= seedsMax) throw csvFault(line, `more than ${seedsMax} lines`, 'import it in parts')
      seeds.push(seedOf(fields, line, places))
    }
  }
  return seeds
}

function headerOf(fields: readonly string[], line: number): ReadonlyMap<string, number> {
  const places = new Map(fields.map((name, at) => [name.trim().toLowerCase(), at]))
  const unknown = [...places.keys()].find((name) => !columns.includes(name as (typeof columns)[number]))
  if (unknown !== undefined || !places.has('did') || !places.has('level')) {
    throw csvFault(
      line,
      unknown === undefined ? 'did and level are missing' : `there is no column '${unknown}'`,
      `the first line names the columns: ${columns.join(',')}`,
    )
  }
  return places
}

function seedOf(fields: readonly string[], line: number, places: ReadonlyMap<string, number>): Seed {
  const field = (name: (typeof columns)[number]): string | undefined => {
    const text = fields[places.get(name) ?? -1]?.trim()
    return text === undefined || text === '' ? undefined : text
  }
  const peer = field('did')
  if (peer === undefined) throw csvFault(line, 'no did', 'name an identity in the first column')
  const scopes = (field('scope') ?? '/task/run').split(/\s+/)
  const depth = field('depth')
  if (depth !== undefined && !/^[0-4]$/.test(depth)) throw csvFault(line, `'${depth}' is no depth`, '0 to 4')
  try {
    checkScopes(scopes)
    return {
      peer,
      level: levelOf(field('level') ?? ''),
      scopes,
      depth: depth === undefined ? undefined : Number(depth),
      expires: field('expires'),
      name: field('name'),
      line,
    }
  } catch (error) {
    if (error instanceof MeshError && error.code !== 'ERR_TRUST_CSV') throw csvFault(line, error.message, error.hint)
    throw error
  }
}

/** By name, or as the number statements carry. */
const levelOf = (text: string): StatementLevelName => statementLevelName(/^-?\d$/.test(text) ? parseNumber(text) : parseLevel(text))

function parseNumber(text: string): -1 | 0 | 1 | 2 | 3 | 4 {
  const level = Number(text)
  if (level < -1 || level > 4) throw new MeshError('ERR_USAGE', `'${text}' is no level`, { hint: '-1 to 4, or its name' })
  return level as -1 | 0 | 1 | 2 | 3 | 4
}
