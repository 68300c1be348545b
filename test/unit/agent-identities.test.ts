import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { agentCapabilities, base64, createSeededRandom, createVirtualClock, fromBase64, hex } from '../../src/base/index.ts'
import { createSigner } from '../../src/crypto/index.ts'
import { type AgentIdentities, agentIdentitiesMax } from '../../src/identity/agent-identities.ts'
import { openAgentIdentities, parseDid } from '../../src/identity/index.ts'
import { createMemoryStore, type Store } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const clock = createVirtualClock()
const open = (store: Store, { seed = 1, owner = 5 } = {}): Promise<AgentIdentities> =>
  openAgentIdentities({
    store: store.sub('identities'),
    keyring: keyringOf(owner),
    clock,
    random: createSeededRandom(seed),
    commit: (_change, ops) => store.durable(ops),
  })

describe('an identity', () => {
  test('is one key in three spellings, without a signature yet', async () => {
    const identities = await open(createMemoryStore())
    const made = await identities.generateAgentIdentity('librarian', ['llm:invoke', 'file:read', 'llm:invoke'])
    expect(made.did).toBe(`kind:agent:${made.publicKey}#ed25519`)
    expect([parseDid(made.did), parseDid(made.didKey), parseDid(made.peerId)]).toEqual([made.didKey, made.didKey, made.didKey])
    expect(made).toMatchObject({
      agentId: 'librarian',
      createdAt: clock.now(),
      lastUsed: clock.now(),
      capabilities: ['file:read', 'llm:invoke'],
      signatureCount: 0,
    })
    expect(identities.find('librarian')).toEqual(made)
    expect(identities.find('nobody')).toBeUndefined()
  })

  test('is refused for a bad name, a taken name or a capability nobody has, and nothing is kept', async () => {
    const store = createMemoryStore()
    const identities = await open(store)
    for (const name of ['', 'Anna', 'a b', '../a', 'a/b', '-a', 'x'.repeat(65), 'key0']) {
      const making = identities.generateAgentIdentity(name, [])
      if (name === 'key0') await making
      else await expect(making).rejects.toMatchObject({ code: 'ERR_USAGE' })
    }
    await expect(identities.generateAgentIdentity('anna', ['file:erase' as never])).rejects.toMatchObject({ code: 'ERR_USAGE' })
    // Two at once: one key, and it is not replaced.
    const [first, second] = await Promise.allSettled([identities.generateAgentIdentity('anna', []), identities.generateAgentIdentity('anna', [])])
    expect([first.status, second.status]).toEqual(['fulfilled', 'rejected'])
    expect(identities.list().map(({ agentId }) => agentId)).toEqual(['anna', 'key0'])
    expect((await open(store)).list()).toEqual(identities.list())
  })

  test('has the twelve capabilities of the document to choose from', () => {
    expect(agentCapabilities).toHaveLength(12)
    expect(new Set(agentCapabilities).size).toBe(12)
  })

  test('beyond the limit is refused', async () => {
    const identities = await open(createMemoryStore())
    await Promise.all(Array.from({ length: agentIdentitiesMax }, (_, index) => identities.generateAgentIdentity(`a${index}`, [])))
    await expect(identities.generateAgentIdentity('one-more', [])).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
  })
})

describe('the private key', () => {
  test('is in nothing that is handed out, nor readable in the store', async () => {
    const store = createMemoryStore()
    const identities = await open(store)
    const made = await identities.generateAgentIdentity('anna', [])
    // The first thing that this chance draws is the seed.
    const seed = createSeededRandom(1).bytes(32)
    expect(base64(createSigner(seed).publicKey)).toBe(made.publicKey)
    await identities.signMessage('anna', { a: 1 })
    const stored: string[] = []
    for await (const [, value] of store.range({})) stored.push(hex(value))
    expect(stored).toHaveLength(2)
    const shown = inspect([identities, made, identities.list()], { depth: 10, showHidden: true })
    for (const secret of [hex(seed), base64(seed), hex(seed.slice(0, 8))]) {
      expect(stored.join('\n')).not.toContain(secret)
      expect(shown).not.toContain(secret)
    }
  })

  test('does not open under another owner, another name, or altered', async () => {
    const store = createMemoryStore()
    const identities = await open(store)
    await identities.generateAgentIdentity('anna', [])
    const sealed = (await store.get('identities/key/anna')) ?? new Uint8Array()
    const failed = { code: 'ERR_STORE_FAILED' }
    await expect(open(store, { owner: 6 })).rejects.toMatchObject(failed)
    const renamed = createMemoryStore()
    await renamed.durable([{ type: 'put', key: 'identities/key/ben', value: sealed }])
    await expect(open(renamed)).rejects.toMatchObject(failed)
    for (let at = 0; at < sealed.length; at++) {
      const altered = createMemoryStore()
      await altered.durable([{ type: 'put', key: 'identities/key/anna', value: sealed.with(at, (sealed[at] ?? 0) ^ 1) }])
      await expect(open(altered), `byte ${at}`).rejects.toMatchObject(failed)
    }
  })
})

describe('signing', () => {
  test('is checked by anybody with the public key, and counted with its time', async () => {
    const identities = await open(createMemoryStore())
    const { publicKey, did } = await identities.generateAgentIdentity('anna', [])
    await clock.advance(1_000)
    const signature = await identities.signMessage('anna', { b: [1], a: { c: 'x' } }, { audience: 'ben' })
    expect(fromBase64(signature)).toHaveLength(64)
    expect(await identities.verifySignature({ a: { c: 'x' }, b: [1] }, signature, publicKey, { audience: 'ben' })).toBe(true)
    expect(await identities.verifySignature({ a: { c: 'x' }, b: [1] }, signature, did, { audience: 'ben' })).toBe(true)
    expect(await identities.verifySignature({ a: { c: 'x' }, b: [1] }, signature, publicKey)).toBe(false)
    expect(await identities.verifySignature({ a: { c: 'y' }, b: [1] }, signature, publicKey, { audience: 'ben' })).toBe(false)
    expect(await identities.verifySignature({ a: Number.NaN }, signature, 'no key')).toBe(false)
    expect(identities.find('anna')).toMatchObject({ signatureCount: 1, lastUsed: clock.now() })
  })

  test('what cannot be signed is refused and not counted', async () => {
    const identities = await open(createMemoryStore())
    await identities.generateAgentIdentity('anna', [])
    await expect(identities.signMessage('anna', { a: undefined })).rejects.toMatchObject({ code: 'ERR_JSON_INVALID' })
    await expect(identities.signMessage('anna', 'x'.repeat(1 << 20))).rejects.toMatchObject({ code: 'ERR_WIRE_TOO_LARGE' })
    await expect(identities.signMessage('ben', {})).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
    expect(identities.find('anna')?.signatureCount).toBe(0)
  })

  test('many at once are each counted once, and the count survives a restart', async () => {
    const store = createMemoryStore()
    const identities = await open(store)
    await Promise.all([identities.generateAgentIdentity('anna', []), identities.generateAgentIdentity('ben', [])])
    const signatures = await Promise.all(Array.from({ length: 500 }, (_, index) => identities.signMessage(index % 5 === 0 ? 'ben' : 'anna', { index })))
    expect(new Set(signatures).size).toBe(500)
    expect(identities.list().map(({ signatureCount }) => signatureCount)).toEqual([400, 100])
    expect((await open(store)).list()).toEqual(identities.list())
  })

  test('after a power cut at any write the count is at least that of signatures handed out, and never falls', async () => {
    for (let cut = 1; cut <= 25; cut++) {
      // From write `cut` on nothing reaches the disk: what says so fails, as a disk without power does.
      const store = createMemoryStore({ fault: (write) => (write >= cut ? 'fail' : undefined) })
      const identities = await open(store).catch(() => undefined)
      await identities?.generateAgentIdentity('anna', []).catch(() => undefined)
      const results = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => (identities as AgentIdentities).signMessage('anna', index)))
      const handedOut = results.filter(({ status }) => status === 'fulfilled').length
      expect(handedOut).toBe(Math.min(20, Math.max(0, cut - 2)))
      store.crash()
      expect((await open(store)).find('anna')?.signatureCount ?? 0).toBeGreaterThanOrEqual(handedOut)
    }
  })

  test('the time of last use does not go back with the clock', async () => {
    const identities = await open(createMemoryStore())
    await identities.generateAgentIdentity('anna', [])
    const { lastUsed } = identities.find('anna') ?? {}
    clock.jump(-3_600_000)
    await identities.signMessage('anna', 1)
    expect(identities.find('anna')).toMatchObject({ lastUsed, signatureCount: 1 })
    clock.jump(3_600_000)
  })
})
