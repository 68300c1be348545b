import { type Did, equal, hourMs, keyFromDid, MeshError } from '../base/index.ts'
import { chainBytesMax, chainLengthMax, type ChainStatement, commitmentOf } from './chain-statements.ts'

/** How long after a succession was first seen here the recovery key may still override it. Source: identity/v1 section 6. */
export const recoveryWindowMs = 72 * hourMs

/** A verified statement and when this reader first saw it, ms; 0 for one it has no memory of. */
export interface SeenStatement extends ChainStatement {
  readonly seenAt: number
}

/** A key of an identity. In force from `from` until before `until`, ms by the statements' own times; never in force when both are equal. */
export interface ChainKey {
  readonly key: Did
  readonly from: number
  readonly until: number | undefined
}

/** What the statements of one identity amount to. */
export interface Chain {
  readonly did: Did
  readonly current: Did
  /** Of the statement that put `current` in force; of the fork when frozen. */
  readonly seq: number
  readonly status: 'active' | 'frozen'
  readonly keys: readonly ChainKey[]
  /** The statements in force, first to last. */
  readonly path: readonly SeenStatement[]
  /** Two that dispute one place, the earliest seen; none while active. */
  readonly rivals: readonly SeenStatement[]
  /** Successions that a recovery overrode, at most two for each; kept for when they were first seen. */
  readonly beaten: readonly SeenStatement[]
  /** For each succession in force whether the recovery key signed it. */
  readonly recovered: readonly boolean[]
  /** What the rivals of a frozen chain are. */
  readonly fork: 'inception' | 'ordinary' | 'recovery' | undefined
}

const invalid = (message: string): MeshError => new MeshError('ERR_IDENTITY_CHAIN', message)

/**
 * The state of an identity from its statements, in whatever order they are given; what has no place in the chain is left out.
 * Pure. Source: identity/v1 section 6. @throws ERR_IDENTITY_CHAIN without exactly one owner and an inception, ERR_WIRE_TOO_LARGE over a limit
 */
export function readChain(statements: readonly SeenStatement[]): Chain {
  const all = distinct(statements)
  const inceptions = all.filter(({ seq }) => seq === 0)
  const [first] = inceptions
  if (first === undefined) throw invalid('a chain without its inception')
  if (all.some(({ did }) => did !== first.did)) throw invalid('statements of different identities')
  if (inceptions.length > 1) return stateOf({ did: first.did, path: [], recovered: [], beaten: [], rivals: earliest(inceptions), fork: 'inception' })

  const path: SeenStatement[] = [first]
  const recovered: boolean[] = []
  const beaten: SeenStatement[] = []
  let recoveryHash = first.recoveryHash
  for (;;) {
    const tip = path.at(-1) as SeenStatement
    const heirs = all.filter((statement) => follows(statement, tip) && !path.some(({ key }) => key === statement.key))
    const ordinary = heirs.filter(({ key }) => isCommitted(key, tip.nextHash))
    // The recovery key is used up when it is shown: its statement names the one after it.
    const recoveries = heirs.filter(({ key, recoveryHash: after }) => after !== undefined && isCommitted(key, recoveryHash))
    const recovery = inTime(recoveries, ordinary)
    const isRecovery = recovery.length > 0
    const [heir, rival] = isRecovery ? recovery : ordinary
    if (heir === undefined) return stateOf({ did: first.did, path, recovered, beaten, rivals: [], fork: undefined })
    if (rival !== undefined) {
      const fork = isRecovery ? 'recovery' : 'ordinary'
      return stateOf({ did: first.did, path, recovered, beaten, rivals: earliest(isRecovery ? recovery : ordinary), fork })
    }
    if (isRecovery) beaten.push(...earliest(ordinary))
    path.push(heir)
    recovered.push(isRecovery)
    recoveryHash = heir.recoveryHash ?? recoveryHash
  }
}

/** The recovery key's hash that the end of a chain answers to: the last one committed. */
export const recoveryHashOf = ({ path }: Chain): Uint8Array | undefined => path.findLast(({ recoveryHash }) => recoveryHash !== undefined)?.recoveryHash

const follows = (statement: SeenStatement, tip: SeenStatement): boolean =>
  statement.seq === tip.seq + 1 &&
  statement.prev !== undefined &&
  equal(statement.prev, tip.signed.hash) &&
  statement.signed.statement.issuedAt >= tip.signed.statement.issuedAt

/** Recoveries that came no later than the window after what they override: after the one succession, or after the moment a fork was known. */
function inTime(recoveries: readonly SeenStatement[], ordinary: readonly SeenStatement[]): readonly SeenStatement[] {
  const seen = ordinary.map(({ seenAt }) => seenAt).sort((a, b) => a - b)
  const since = seen[1] ?? seen[0]
  return since === undefined ? recoveries : recoveries.filter(({ seenAt }) => seenAt <= since + recoveryWindowMs)
}

/** The two seen first: enough to prove a fork, and to know since when it is known. */
const earliest = (rivals: readonly SeenStatement[]): readonly SeenStatement[] => rivals.toSorted((a, b) => a.seenAt - b.seenAt).slice(0, 2)

const isCommitted = (key: Did, hash: Uint8Array | undefined): boolean => hash !== undefined && equal(commitmentOf(keyFromDid(key)), hash)

/** @throws ERR_WIRE_TOO_LARGE */
function stateOf(found: Pick<Chain, 'did' | 'path' | 'recovered' | 'beaten' | 'rivals' | 'fork'>): Chain {
  const { did, path, beaten, rivals } = found
  if (path.length > chainLengthMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a chain of ${path.length} statements exceeds ${chainLengthMax}`)
  const bytes = path.reduce((sum, { signed }) => sum + signed.bytes.length, 0)
  if (bytes > chainBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a chain of ${bytes} bytes exceeds ${chainBytesMax}`)
  const tip = path.at(-1)
  const forkedAt = rivals.length === 0 ? undefined : Math.min(...rivals.map(({ signed }) => signed.statement.issuedAt))
  const keys = [...keysOf(path, forkedAt), ...[...rivals, ...beaten].filter(({ key }) => !path.some((held) => held.key === key)).map(neverInForce)]
  return {
    ...found,
    current: tip?.key ?? did,
    seq: rivals[0]?.seq ?? tip?.seq ?? 0,
    status: rivals.length > 0 ? 'frozen' : 'active',
    keys: keys.filter(({ key }, index) => keys.findIndex((other) => other.key === key) === index),
  }
}

const neverInForce = ({ key, signed }: SeenStatement): ChainKey => ({ key, from: signed.statement.issuedAt, until: signed.statement.issuedAt })

/** The first key counts from the beginning of time: it spoke before its inception was made. */
const keysOf = (path: readonly SeenStatement[], forkedAt: number | undefined): readonly ChainKey[] =>
  path.map(({ key, signed }, index) => ({
    key,
    from: index === 0 ? 0 : signed.statement.issuedAt,
    until: path[index + 1]?.signed.statement.issuedAt ?? forkedAt,
  }))

/** Each statement once, as it was seen first. */
function distinct(statements: readonly SeenStatement[]): readonly SeenStatement[] {
  const found = new Map<string, SeenStatement>()
  for (const statement of statements) {
    const known = found.get(statement.signed.ref)
    if (known === undefined || statement.seenAt < known.seenAt) found.set(statement.signed.ref, statement)
  }
  return bySeq([...found.values()])
}

const bySeq = (statements: readonly SeenStatement[]): readonly SeenStatement[] =>
  statements.toSorted((a, b) => a.seq - b.seq || (a.signed.ref < b.signed.ref ? -1 : 1))
