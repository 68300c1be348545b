import { dayMs, type Did, equal, keyFromDid, MeshError, type Random } from '../base/index.ts'
import { bytesUpTo, codec, did, listOf, literal, row, textUpTo } from '../wire/index.ts'
import { readChain } from './chain.ts'
import { chainLengthMax, type ChainStatement, chainStatementBytesMax, openChainStatement } from './chain-statements.ts'
import type { Keyring } from './keyring.ts'
import { openStatement, type Signed, signStatement } from './statement.ts'

/** Longest life of a delegation to an agent and of the agent's word where it lives. Source: identity/v1 section 9. */
export const agentRecordLifetimeMs = 7 * dayMs
/** One statement of an agent record. */
export const agentStatementBytesMax = 512
export const agentRecordBytesMax = 8_192
const nameCharsMax = 64

const grantCodec = codec('agent delegation', row({ version: literal(1), subject: did, command: literal('/agent/*') }), 128)
const placeCodec = codec('agent place', row({ version: literal(1), name: textUpTo(nameCharsMax) }), 384)
const recordCodec = codec(
  'agent record',
  row({
    version: literal(1),
    delegation: bytesUpTo(agentStatementBytesMax),
    place: bytesUpTo(agentStatementBytesMax),
    chain: listOf(bytesUpTo(chainStatementBytesMax), chainLengthMax),
  }),
  agentRecordBytesMax,
)

/** Where an agent lives, by its own word and its node's. */
export interface AgentRecord {
  /** The agent's first key. */
  readonly agent: Did
  readonly key: Did
  /** Its node's first key, and the key its node signed with. */
  readonly node: Did
  readonly nodeKey: Did
  readonly name: string
  readonly chain: readonly ChainStatement[]
  readonly delegatedAt: number
  readonly issuedAt: number
  readonly expiresAt: number
}

type Signing = Pick<Keyring, 'did' | 'sign'>

/** Both sign: the node delegates to the agent's key, the agent says where it lives. Source: identity/v1 section 9. */
export function signAgentRecord({
  node,
  agent,
  identity,
  name,
  chain,
  now,
  random,
}: {
  readonly node: Signing
  readonly agent: Signing
  /** The node's first key. */
  readonly identity: Did
  readonly name: string
  readonly chain: readonly Uint8Array[]
  readonly now: number
  readonly random: Random
}): Uint8Array {
  const life = { issuedAt: now, expiresAt: now + agentRecordLifetimeMs }
  const grant = grantCodec.encode({ version: 1, subject: identity, command: '/agent/*' })
  const delegation = signStatement('delegation', { to: agent.did, type: 'agent', payload: grant, ...life }, { keyring: node, random })
  const payload = placeCodec.encode({ version: 1, name })
  const place = signStatement('agent', { to: identity, type: 'agent', payload, refs: [delegation.hash], ...life }, { keyring: agent, random })
  return recordCodec.encode({ version: 1, delegation: delegation.bytes, place: place.bytes, chain })
}

/** Reads and verifies a record by itself: whether the node's key is in force the reader asks elsewhere. @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_IDENTITY_CHAIN, ERR_RECORD_INVALID */
export function openAgentRecord(bytes: Uint8Array, now: number): AgentRecord {
  const record = recordCodec.decode(bytes)
  const statements = record.chain.map(openChainStatement)
  const chain = readChain(statements.map((statement) => ({ ...statement, seenAt: 0 })))
  const delegation = openStatement('delegation', record.delegation, { now, lifetimeMsMax: agentRecordLifetimeMs })
  const place = openStatement('agent', record.place, { now, lifetimeMsMax: agentRecordLifetimeMs })
  const { subject } = grantCodec.decode(delegation.statement.payload)
  const { name } = placeCodec.decode(place.statement.payload)
  check(chain.status === 'active' && chain.path.length === statements.length, 'its chain of keys is not whole, or holds more')
  check(place.statement.from === chain.current, 'it is not signed by the key in force of the agent')
  check(delegation.statement.to === chain.current && namesOnly(place, delegation), 'the delegation is to another key')
  check(place.statement.to === subject, 'the agent names another node than the one that delegates')
  return {
    agent: chain.did,
    key: chain.current,
    node: subject,
    nodeKey: delegation.statement.from,
    name,
    chain: statements,
    delegatedAt: delegation.statement.issuedAt,
    issuedAt: place.statement.issuedAt,
    expiresAt: Math.min(place.statement.expiresAt, delegation.statement.expiresAt),
  }
}

const namesOnly = ({ statement: { refs } }: Signed, delegation: Signed): boolean => refs.length === 1 && equal(refs[0] ?? new Uint8Array(), delegation.hash)

function check(holds: boolean, otherwise: string): void {
  if (!holds) throw new MeshError('ERR_RECORD_INVALID', `an agent record of which ${otherwise}`)
}

/** The rule of the DHT namespace `kindmesh-agent`: the key is the agent's raw first key. */
export const agentRecordRule = (clock: { now(): number }): { check(key: Uint8Array, value: Uint8Array): { seq: number; expiresAt: number } } => ({
  check(key, value) {
    const record = openAgentRecord(value, clock.now())
    if (!equal(keyFromDid(record.agent), key)) throw new MeshError('ERR_RECORD_INVALID', 'the agent record belongs under another key')
    return { seq: record.issuedAt, expiresAt: record.expiresAt }
  },
})
