import { type Did, equal, keyFromDid, MeshError } from '../base/index.ts'
import { bytesUpTo, codec, listOf, literal, row } from '../wire/index.ts'
import { type Chain, readChain } from './chain.ts'
import { chainLengthMax, type ChainStatement, chainStatementBytesMax, openChainStatement } from './chain-statements.ts'

/** A chain as one value: what is in force and, when frozen, the two rivals. Source: identity/v1 section 7. */
export const chainRecordBytesMax = 8_192

const recordCodec = codec(
  'chain record',
  row({ version: literal(1), statements: listOf(bytesUpTo(chainStatementBytesMax), chainLengthMax + 2) }),
  chainRecordBytesMax,
)

export const encodeChainRecord = ({ path, rivals }: Pick<Chain, 'path' | 'rivals'>): Uint8Array =>
  recordCodec.encode({ version: 1, statements: inOrder([...path, ...rivals]).map(({ signed }) => signed.bytes) })

/** The verified statements of a record. @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_IDENTITY_CHAIN */
export const openChainRecord = (bytes: Uint8Array): readonly ChainStatement[] => recordCodec.decode(bytes).statements.map(openChainStatement)

/** As they stand in a record: by seq, then by hash. */
const inOrder = <T extends ChainStatement>(statements: readonly T[]): readonly T[] =>
  statements.toSorted((a, b) => a.seq - b.seq || (a.signed.ref < b.signed.ref ? -1 : 1))

/**
 * The order of two records of one identity: at the first succession where they differ, a recovery is above a fork, a fork above an ordinary
 * one, any above none. A fork that no recovery can mend is above all. Source: identity/v1 section 7.
 */
export function rankOf({ recovered, fork }: Pick<Chain, 'recovered' | 'fork'>): number {
  if (fork === 'inception' || fork === 'recovery') return Number.MAX_SAFE_INTEGER
  const digits = [...recovered.map((isRecovery) => (isRecovery ? 3 : 1)), ...(fork === 'ordinary' ? [2] : [])]
  return digits.reduce((sum, digit, index) => sum + digit * 4 ** (chainLengthMax - 2 - index), 0)
}

/** How long a record stands unless it is put again. */
export const chainRecordLifetimeMs = 48 * 3_600_000

/** The rule of the DHT namespace `kindmesh-kel`: the key is the raw first key. */
export const chainRecordRule = (clock: { now(): number }): { check(key: Uint8Array, value: Uint8Array): { seq: number; expiresAt: number } } => ({
  check(key, value) {
    const statements = openChainRecord(value)
    const chain = readChain(statements.map((statement) => ({ ...statement, seenAt: 0 })))
    if (!equal(keyFromDid(chain.did), key)) throw new MeshError('ERR_RECORD_INVALID', 'the chain belongs under another key')
    if (!equal(encodeChainRecord(chain), value)) throw new MeshError('ERR_RECORD_INVALID', 'the record holds more than its chain, or in another order')
    if (chain.path.at(-1) !== undefined && (chain.path.at(-1)?.signed.statement.issuedAt ?? 0) > clock.now() + 120_000) {
      throw new MeshError('ERR_STATEMENT_FUTURE', 'the chain was continued in the future')
    }
    return { seq: rankOf(chain), expiresAt: clock.now() + chainRecordLifetimeMs }
  },
})

/** The DHT key of an identity's chain. */
export const chainRecordKey = (did: Did): Uint8Array => keyFromDid(did)
