import { describe, expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, type Did, type MeshError, silentLogger } from '../../src/base/index.ts'
import type { ChainStatement } from '../../src/identity/index.ts'
import { createSimulator } from '../../src/net/index.ts'
import { createEventHub, type NodeEvent } from '../../src/node/events.ts'
import { chainNamespace, type KeyChains, openKeyChains } from '../../src/node/key-chains.ts'
import { recordRules } from '../../src/node/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { inception, succession } from '../helpers/chain.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const coded = (code: string): MeshError => expect.objectContaining({ code }) as MeshError
const codeOf = (act: () => void): string => {
  try {
    act()
    return 'ok'
  } catch (error) {
    return (error as MeshError).code
  }
}

async function world(store: MemoryStore = createMemoryStore()) {
  const clock = createVirtualClock({ start: 1_000_000 })
  const simulator = createSimulator({ seed: 3, clock })
  const keyring = keyringOf(60)
  const host = await simulator.host(keyring.did, { store: createMemoryStore(), rules: recordRules(clock), bootstrap: [] })
  const audit = await createAudit({ store, sign: keyring.sign, did: keyring.did, clock, logger: silentLogger })
  const events = createEventHub()
  const heard: NodeEvent[] = []
  events.on((event) => heard.push(event))
  const changed: Did[] = []
  const chains: KeyChains = await openKeyChains({
    store: store.sub('key-chains'),
    keyring,
    host,
    clock,
    random: createSeededRandom(4),
    logger: silentLogger,
    audit,
    events,
    isKnown: () => false,
    onChange: (keys) => changed.push(...keys),
  })
  return { chains, store, clock, audit, heard, changed }
}

const first = inception(1, 2, 9)
const second = succession(2, first, 3)
const rival = succession(2, first, 7)
const all: readonly ChainStatement[] = [first, second]

describe('what a node knows about keys', () => {
  test('a key stands for itself until a chain says whose it is; then the old one is refused and what it said before stays', async () => {
    const { chains, heard, changed, audit } = await world()
    expect([chains.subject(second.key), chains.currentKnown(first.key)]).toEqual([second.key, first.key])
    expect(await chains.learn(all)).toBe(true)
    expect(await chains.learn(all)).toBe(false)
    expect([chains.subject(second.key), chains.currentKnown(first.key), chains.currentKnown(second.key)]).toEqual([first.did, second.key, second.key])
    expect(codeOf(() => chains.check(first.key))).toBe('ERR_IDENTITY_SUPERSEDED')
    expect(codeOf(() => chains.check(first.key, 1_999))).toBe('ok')
    expect(codeOf(() => chains.check(first.key, 2_000))).toBe('ERR_IDENTITY_SUPERSEDED')
    expect(codeOf(() => chains.check(second.key))).toBe('ok')
    expect(heard).toEqual([{ event: 'identity', did: first.did, key: second.key, seq: 1, status: 'active' }])
    expect(changed).toEqual(expect.arrayContaining([first.key, second.key]))
    expect((await audit.tail({ limit: 5 })).map(({ event }) => event)).toEqual(['key_rotated'])
  })

  test('is on disk: after a power cut an older chain takes nothing back', async () => {
    const before = await world()
    await before.chains.learn(all)
    before.store.crash()
    const { chains } = await world(before.store)
    expect(codeOf(() => chains.check(first.key))).toBe('ERR_IDENTITY_SUPERSEDED')
    expect(await chains.learn([first])).toBe(false)
    await expect(chains.meet(first.key, [first.signed.bytes])).rejects.toThrow(coded('ERR_IDENTITY_SUPERSEDED'))
    await chains.meet(second.key, [first.signed.bytes, second.signed.bytes])
  })

  test('a fork refuses every key, says so in the log, and outlives a restart', async () => {
    const before = await world()
    await before.chains.learn(all)
    await before.chains.learn([first, rival])
    expect(before.heard.at(-1)).toMatchObject({ status: 'frozen', seq: 1 })
    expect((await before.audit.tail({ limit: 5 })).map(({ event }) => event)).toEqual(['key_rotated', 'identity_frozen'])
    before.store.crash()
    const { chains } = await world(before.store)
    for (const key of [first.key, second.key]) expect(codeOf(() => chains.check(key))).toBe('ERR_IDENTITY_FROZEN')
    expect(codeOf(() => chains.check(first.key, 1_999))).toBe('ok')
    await expect(chains.current(first.did)).rejects.toThrow(coded('ERR_IDENTITY_FROZEN'))
  })

  test('refuses a chain that does not lead to the peer, one with the key of another identity, and one from the future', async () => {
    const { chains, clock } = await world()
    await expect(chains.meet(keyringOf(61).did, [first.signed.bytes])).rejects.toThrow(coded('ERR_IDENTITY_CHAIN'))
    await chains.learn(all)
    const other = inception(5, 2, 6)
    await expect(chains.learn([other, succession(2, other, 8)])).rejects.toThrow(coded('ERR_IDENTITY_CHAIN'))
    await expect(chains.learn([first, second, succession(3, second, 4, { now: clock.now() + 120_001 })])).rejects.toThrow(coded('ERR_STATEMENT_FUTURE'))
    expect(chains.currentKnown(first.did)).toBe(second.key)
  })

  test('the DHT namespace has the rule of chains', () => {
    expect(recordRules(createVirtualClock())).toHaveProperty(chainNamespace)
  })
})
