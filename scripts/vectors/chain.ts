import { equal, hex, keyFromDid } from '../../src/base/index.ts'
import { createSigner } from '../../src/crypto/index.ts'
import {
  chainLengthMax,
  chainRecordKey,
  type ChainStatement,
  commitmentOf,
  encodeChainRecord,
  openChainStatement,
  readChain,
  rankOf,
  recoveryWindowMs,
  signAgentRecord,
  type SeenStatement,
  signInception,
  signStatement,
  signSuccession,
} from '../../src/identity/index.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { anna, chance, flipped, keyringOf, now, type Vector, type Vectors } from './world.ts'

// Keys are seeds of 32 equal bytes: 1 first, 2 next, 3 after it; 9 recovery.
const seedOf = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const commit = (fill: number): Uint8Array => commitmentOf(createSigner(seedOf(fill)).publicKey)

const inception = (next: number, draw: number): ChainStatement =>
  openChainStatement(signInception(seedOf(1), { nextHash: commit(next), recoveryHash: commit(9), now, random: chance(draw) }).bytes)

const succession = (by: number, tip: ChainStatement, next: number, { at = now + 1_000, recovery }: { readonly at?: number; readonly recovery?: number } = {}) =>
  openChainStatement(
    signSuccession(seedOf(by), {
      tip,
      nextHash: commit(next),
      recoveryHash: recovery === undefined ? undefined : commit(recovery),
      now: at,
      random: chance(500 + by * 10 + next),
    }).bytes,
  )

const seen = (statement: ChainStatement, seenAt = now): SeenStatement => ({ ...statement, seenAt })

/** The agent of keys 1, 2, … lives at the node of seed 8. */
function agentVectors({ chain, key }: { readonly chain: readonly ChainStatement[]; readonly key: number }): Vectors {
  const node = keyringOf(8)
  const bytes = chain.map(({ signed }) => signed.bytes)
  const fields = { node, agent: keyringOf(key), identity: node.did, name: 'librarian', chain: bytes, now: now + 5_000, random: chance(700) }
  const value = signAgentRecord(fields)
  const seen = now + 6_000
  const vector = (comment: string, expect: string, record: Uint8Array, spec = '9.1', at = seen): Vector => ({
    comment,
    spec,
    expect,
    kind: 'agent-record',
    key: anna.publicKey,
    value: record,
    now: at,
  })
  const unsound = (comment: string, change: Partial<Parameters<typeof signAgentRecord>[0]>): Vector =>
    vector(comment, 'ERR_RECORD_INVALID', signAgentRecord({ ...fields, random: chance(700), ...change }))
  const parts = (record: Uint8Array): readonly Plain[] => decode(record, 8_192) as readonly Plain[]
  const [, delegation] = parts(signAgentRecord({ ...fields, random: chance(701) }))
  const [, , otherPlace] = parts(signAgentRecord({ ...fields, identity: keyringOf(7).did, random: chance(700) }))
  const [, own, place, statements] = parts(value) as [Plain, Plain, Plain, Plain]
  const weekMs = 7 * 86_400_000
  return {
    'agent-record': {
      ...vector('an agent and its node say where it lives', 'ok', value, '9'),
      agent: anna.publicKey,
      node: node.publicKey,
      name: 'librarian',
      seq: now + 5_000,
      expiresAt: now + 5_000 + weekMs,
    },
    'agent-record-expired': vector('after seven days and the skew', 'ERR_STATEMENT_EXPIRED', value, '9.1', now + 5_000 + weekMs + 120_001),
    'agent-record-other-key': { ...vector('under another key than the agent’s first', 'ERR_RECORD_INVALID', value), key: keyringOf(key).publicKey },
    'agent-record-old-key': unsound('signed by a key of the agent that is out of force', { agent: anna }),
    'agent-record-cut-chain': unsound('a chain that does not reach the key', { chain: bytes.slice(0, 1) }),
    'agent-record-other-delegation': vector(
      'a delegation that the agent does not name',
      'ERR_RECORD_INVALID',
      encode([1, delegation as Plain, place, statements]),
    ),
    'agent-record-other-node': vector('an agent that names another node', 'ERR_RECORD_INVALID', encode([1, own, otherPlace as Plain, statements])),
    'agent-record-altered': vector('a bit turned in the delegation', 'ERR_WIRE_MALFORMED', encode([1, flipped(own as Uint8Array, 0), place, statements])),
    'agent-record-forged': vector(
      'a bit turned in the node’s signature',
      'ERR_STATEMENT_SIGNATURE',
      encode([1, flipped(own as Uint8Array, 10), place, statements]),
    ),
  }
}

export function chainVectors(): Vectors {
  const first = inception(2, 401)
  const second = succession(2, first, 3)
  const third = succession(3, second, 4, { at: now + 2_000, recovery: 10 })
  const rival = succession(2, first, 7, { at: now + 900 })
  const recovery = succession(9, first, 5, { at: now + 3_000, recovery: 10 })
  const window = now + recoveryWindowMs

  const statement = (comment: string, { signed, did, key, seq }: ChainStatement): Vector => ({
    comment,
    spec: '4',
    expect: 'ok',
    kind: 'chain-statement',
    signed: signed.bytes,
    did: keyFromDid(did),
    key: keyFromDid(key),
    seq,
    hash: signed.ref,
  })
  const unsound = (comment: string, expect: string, signed: Uint8Array, spec = '4.1'): Vector => ({ comment, spec, expect, kind: 'chain-statement', signed })
  const made = (kind: 'inception' | 'succession', by: number, to: number, payload: Plain): Uint8Array =>
    signStatement(
      kind,
      { to: keyringOf(to).did, type: '', payload: encode(payload), issuedAt: now, expiresAt: now + 1_000 },
      { keyring: keyringOf(by), random: chance(600 + by) },
    ).bytes
  const chain = (comment: string, spec: string, statements: readonly SeenStatement[]): Vector => {
    const { did, current, seq, status, keys } = readChain(statements)
    return {
      comment,
      spec,
      expect: 'ok',
      kind: 'chain',
      statements: statements.map(({ signed, seenAt }) => ({ signed: signed.bytes, seenAt })),
      did: keyFromDid(did),
      current: keyFromDid(current),
      seq,
      status,
      keys: keys.map(({ key, from, until }) => [keyFromDid(key), from, until ?? null]),
    }
  }
  const refusedChain = (comment: string, spec: string, expect: string, statements: readonly ChainStatement[]): Vector => ({
    comment,
    spec,
    expect,
    kind: 'chain',
    statements: statements.map(({ signed }) => ({ signed: signed.bytes, seenAt: now })),
  })
  const fat = [first]
  for (let index = 1; index < chainLengthMax; index++) {
    fat.push(succession(index === 1 ? 2 : 20 + index, fat.at(-1) as ChainStatement, 21 + index, { recovery: 60 + index }))
  }
  const state = readChain([seen(first), seen(second), seen(third)])
  const record = encodeChainRecord(state)
  const inRecord = (comment: string, statements: readonly ChainStatement[]): Vector => {
    const found = readChain(statements.map((item) => seen(item)))
    const value = encodeChainRecord(found)
    return { comment, spec: '7.2', expect: 'ok', kind: 'chain-record', key: chainRecordKey(found.did), value, now: now + 10_000, seq: rankOf(found) }
  }
  const refusedRecord = (comment: string, value: Uint8Array, spec = '7.1', expect = 'ERR_RECORD_INVALID', at = now + 10_000): Vector => ({
    comment,
    spec,
    expect,
    kind: 'chain-record',
    key: anna.publicKey,
    value,
    now: at,
  })
  const swapped = encode([1, [second.signed.bytes, first.signed.bytes]])
  if (equal(swapped, record)) throw new RangeError(hex(swapped))
  return {
    ...agentVectors({ chain: [first, second], key: 2 }),
    inception: statement('an inception', first),
    'inception-altered': unsound('an inception with a bit turned in its signature', 'ERR_STATEMENT_SIGNATURE', flipped(first.signed.bytes, 10), '4'),
    'inception-of-another': unsound('an inception about another key', 'ERR_IDENTITY_CHAIN', made('inception', 1, 2, [1, commit(2), commit(9)])),
    'inception-next-is-recovery': unsound('one key as next and recovery', 'ERR_IDENTITY_CHAIN', made('inception', 1, 1, [1, commit(2), commit(2)])),
    'inception-next-is-own': unsound('its own key as the next', 'ERR_IDENTITY_CHAIN', made('inception', 1, 1, [1, commit(1), commit(9)])),
    succession: statement('a succession by the next key', second),
    'succession-new-recovery': statement('a succession that names another recovery key', third),
    'succession-number-0': unsound(
      'a succession with the number of an inception',
      'ERR_IDENTITY_CHAIN',
      made('succession', 2, 1, [1, 0, first.signed.hash, commit(3), null]),
    ),
    'succession-own-key': unsound(
      'a succession of a key by itself',
      'ERR_IDENTITY_CHAIN',
      made('succession', 1, 1, [1, 1, first.signed.hash, commit(3), null]),
    ),
    'succession-number-26': unsound(
      'a number beyond the longest chain',
      'ERR_WIRE_MALFORMED',
      made('succession', 2, 1, [1, 26, first.signed.hash, commit(3), null]),
    ),
    'succession-as-inception': unsound(
      'a succession said to be an inception',
      'ERR_WIRE_MALFORMED',
      made('inception', 2, 2, [1, 1, first.signed.hash, commit(3), null]),
    ),
    chain: chain('three keys, one after another', '5', [seen(first), seen(second), seen(third)]),
    'chain-any-order': chain('the same in another order, one twice', '6.4', [seen(third), seen(first), seen(second), seen(third)]),
    'chain-wrong-next': chain('a key that was not committed to has no place', '6', [seen(first), seen(succession(6, first, 7))]),
    'chain-wrong-prev': chain('a succession of another inception has no place', '6', [seen(first), seen(succession(2, { ...first, signed: third.signed }, 8))]),
    'chain-key-used-before': chain('a key of the chain does not come back', '6', [
      seen(first),
      ...((back) => [seen(back), seen(succession(3, back, 2, { at: now + 1_500 }))])(second),
      seen(succession(2, succession(3, second, 2, { at: now + 1_500 }), 8, { at: now + 1_600 })),
    ]),
    'chain-recovery': chain('the recovery key continues a chain that nobody disputes, however late', '6.1', [seen(first), seen(recovery, window * 2)]),
    'chain-recovery-in-time': chain('the recovery key overrides a succession 72 hours after it was seen', '6.2', [
      seen(first),
      seen(second),
      seen(third),
      seen(recovery, window),
    ]),
    'chain-recovery-late': chain('a millisecond later it does not', '6.1', [seen(first), seen(second), seen(third), seen(recovery, window + 1)]),
    'chain-recovery-names-none': chain('a recovery that names no other recovery key has no place', '6', [seen(first), seen(succession(9, first, 5))]),
    'chain-fork': chain('two successions for one place freeze the identity', '6.3', [seen(first), seen(second), seen(rival)]),
    'chain-fork-mended': chain('a recovery in time mends it', '6.2', [seen(first), seen(second), seen(rival, now + 5_000), seen(recovery, window + 5_000)]),
    'chain-fork-mended-late': chain('a late one does not', '6.1', [seen(first), seen(second), seen(rival, now + 5_000), seen(recovery, window + 5_001)]),
    'chain-two-recoveries': chain('two recoveries freeze it', '6.3', [seen(first), seen(recovery), seen(succession(9, first, 6, { recovery: 11 }))]),
    'chain-two-inceptions': chain('two inceptions freeze it', '6.3', [seen(first), seen(inception(3, 402))]),
    'chain-no-inception': refusedChain('without its inception', '6', 'ERR_IDENTITY_CHAIN', [second]),
    'chain-two-identities': refusedChain('statements of two identities', '6', 'ERR_IDENTITY_CHAIN', [
      first,
      openChainStatement(signInception(seedOf(4), { nextHash: commit(5), recoveryHash: commit(6), now, random: chance(403) }).bytes),
    ]),
    'chain-too-many-bytes': refusedChain('26 statements that each name a recovery key', '4.2', 'ERR_WIRE_TOO_LARGE', fat),
    'chain-record': inRecord('a chain as a record', [first, second, third]),
    'chain-record-fork': inRecord('a fork as a record: it ranks above the succession', [first, second, rival]),
    'chain-record-recovery': inRecord('a recovery as a record: it ranks above the fork', [first, recovery]),
    'chain-record-two-inceptions': inRecord('nothing ranks above two inceptions', [first, inception(3, 402)]),
    'chain-record-order': refusedRecord('statements in another order', swapped),
    'chain-record-stray': refusedRecord('a statement that has no place', encode([1, [first.signed.bytes, succession(6, first, 7).signed.bytes]])),
    'chain-record-other-key': { ...refusedRecord('under the key in force instead of the first', record), key: keyFromDid(state.current) },
    'chain-record-future': refusedRecord('a succession more than two minutes ahead', record, '6.7', 'ERR_STATEMENT_FUTURE', now - 120_000),
  }
}
