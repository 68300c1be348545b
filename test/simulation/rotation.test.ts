import { expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, minuteMs, randomInt, secondMs, silentLogger } from '../../src/base/index.ts'
import { encodeChainRecord, type Keyring, openChainStatement, readChain } from '../../src/identity/index.ts'
import { assemble, type MeshRooms, recordRules } from '../../src/node/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createKeyMaker } from '../../src/testing/keys.ts'
import { createTestMesh, type TestMesh } from '../../src/testing/index.ts'
import { seen } from '../helpers/chain.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const chainTopic = '/kindmesh/kel/1'
const codeOf = (attempt: Promise<unknown>): Promise<string> =>
  attempt.then(
    () => 'ok',
    (error: unknown) => String((error as { readonly code?: unknown }).code),
  )

/** Everybody says something about node 1 and is connected to a few. */
async function meshThatKnowsOne(nodes: number, seed: number): Promise<TestMesh> {
  const mesh = await createTestMesh({ nodes, seed, loss: 0.02, latencyMs: [5, 80] })
  const { did } = mesh.node(1)
  const random = createSeededRandom(seed)
  for (const node of mesh.nodes) {
    for (let count = 0; count < 3; count++) await mesh.run(node.dial(mesh.node(randomInt(random, nodes)).addresses()[0] ?? '').catch(() => undefined))
    if (node.did !== did) await mesh.run(node.trust.attest({ subject: did, level: 2, scopes: ['/task/run'], lifetimeMs: 86_400_000 }))
  }
  return mesh
}

/** Another node on the same network, under any key. */
async function startUnder(mesh: TestMesh, keyring: Keyring): Promise<MeshRooms> {
  const store = createMemoryStore()
  const { clock } = mesh
  const host = await mesh.simulator.host(keyring.did, { store, rules: recordRules(clock), bootstrap: [] })
  const audit = await createAudit({ store, sign: keyring.sign, did: keyring.identity, keys: keyring.keys, clock, logger: silentLogger })
  const refuse = () => Promise.reject(new Error('none')) as never
  const sandboxes = { available: () => [], probe: async () => [], ready: refuse, get: refuse, stop: async () => undefined }
  return (await assemble({ store, keyring, sandboxes, audit, host, clock, random: createSeededRandom(77), logger: silentLogger })).node
}

test('a succession reaches fifty nodes within a minute, and nothing by the old key is taken after', async () => {
  await using mesh = await meshThatKnowsOne(50, 11)
  const { did, peerId } = mesh.node(1)
  const old = mesh.keyring(1)
  await mesh.run(mesh.rotate(1))
  expect(mesh.node(1).did).toBe(did)
  expect(mesh.node(1).peerId).not.toBe(peerId)
  await mesh.clock.advance(minuteMs)

  // A thief of the old key comes back under it.
  const thief = await mesh.run(startUnder(mesh, old))
  const others = mesh.nodes.filter((node) => node.did !== did)
  const refusals = await mesh.run(Promise.all(others.map((node) => codeOf(thief.dial(node.addresses()[0] ?? '')))))
  expect(refusals.filter((code) => code !== 'ERR_IDENTITY_SUPERSEDED')).toEqual([])
  // All reach her by the same name, and hold what they said of her.
  for (const node of others.slice(0, 6)) {
    expect(await mesh.run(codeOf(node.send(did, { body: 'hi' })))).toBe('ok')
    expect(node.trust.snapshot('/task/run').level(did)).toBe(2)
  }
  expect((await mesh.node(1).inbox.list({ limit: 100 })).map(({ body }) => body)).toEqual(Array.from({ length: 6 }, () => 'hi'))
}, 400_000)

test('two successions of one number freeze the identity wherever they are seen, and the proof travels', async () => {
  const seed = 12
  await using mesh = await meshThatKnowsOne(12, seed)
  const { did } = mesh.node(1)
  const [inception] = mesh.keyring(1).chain.map(openChainStatement)
  let at = inception?.signed.statement.issuedAt ?? 0
  // The same secrets in other hands: another succession by the same next key.
  const twin = createKeyMaker({ seed, clock: { now: () => at } })
  expect(twin.current(1).chain).toEqual(mesh.keyring(1).chain)
  at += 5 * secondMs
  const forged = twin.rotate(1).chain.map((bytes) => seen(openChainStatement(bytes)))
  await mesh.run(mesh.rotate(1))
  await mesh.clock.advance(20 * secondMs)

  const messenger = await mesh.simulator.host(keyringOf(99).did, {
    store: createMemoryStore(),
    rules: recordRules(mesh.clock),
    bootstrap: mesh.node(5).addresses(),
  })
  messenger.subscribe(chainTopic, () => 'accept')
  await mesh.run(messenger.dial({ addresses: mesh.node(5).addresses() }))
  await mesh.clock.advance(5 * secondMs)
  await mesh.run(messenger.gossip(chainTopic, encodeChainRecord(readChain(forged))))
  await mesh.clock.advance(minuteMs)
  const others = mesh.nodes.filter((node) => node.did !== did)
  expect(await mesh.run(Promise.all(others.map((node) => codeOf(node.send(did, { body: 'hi' })))))).toEqual(others.map(() => 'ERR_IDENTITY_FROZEN'))
  // She hears it from whomever she calls.
  expect(await mesh.run(codeOf(mesh.node(1).dial(mesh.node(3).addresses()[0] ?? '')))).toBe('ERR_IDENTITY_FROZEN')
}, 400_000)
