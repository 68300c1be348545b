import { expect, test } from 'vitest'
import { type Clock, createSeededRandom, hourMs, minuteMs, randomInt } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { newsOfStrangerMax, newsTopic } from '../../src/node/trust-news.ts'
import { createTestMesh, type TestMesh, type TestMeshOptions, type TestNode } from '../../src/testing/index.ts'
import { statementsPerStrangerMax } from '../../src/trust/book-room.ts'
import { makeWarrant } from '../../src/trust/index.ts'
import { attestationCodec } from '../../src/trust/statements.ts'
import { encode } from '../../src/wire/index.ts'
import { createSimulatedPeer, type SimulatedPeer } from '../helpers/klp.ts'
import { wordSandboxes } from '../helpers/task-sandboxes.ts'

const scopes = ['/task/run']
const lifetimeMs = 30 * 24 * hourMs
/** Time within which bad news are everywhere. */
const reachMs = minuteMs
const level = (node: TestNode, subject: TestNode): number => node.trust.snapshot('/task/run').level(subject.did)

/** A mesh whose nodes also know a few others of their own group. */
async function createWideMesh(options: TestMeshOptions, groups: readonly (readonly number[])[]): Promise<TestMesh> {
  const mesh = await createTestMesh(options)
  const random = createSeededRandom(options.seed)
  const links = groups.flatMap((group) => group.flatMap((index) => [1, 2].map(() => [index, group[randomInt(random, group.length)] ?? index] as const)))
  await mesh.run(Promise.all(links.filter(([from, to]) => from !== to).map(([from, to]) => mesh.node(from).dial(mesh.node(to).addresses()[0] ?? ''))))
  return mesh
}
/** `by` vouches for `subject`, all others follow `by`: they hold the subject for VERIFIED. Gives the id of the word. */
async function vouch(mesh: TestMesh, by: TestNode, subject: TestNode): Promise<string> {
  const { id } = await mesh.run(by.trust.attest({ subject: subject.did, level: 2, scopes, lifetimeMs }))
  const others = mesh.nodes.filter((node) => node !== by && node !== subject)
  await mesh.run(Promise.all(others.map((node) => node.trust.attest({ subject: by.did, level: 4, scopes, lifetimeMs }))))
  await mesh.until(() => others.every((node) => level(node, subject) === 2), reachMs)
  return id
}
const outcomeOf = async (asker: TestNode, on: TestNode, code: string): Promise<unknown> => {
  for await (const event of asker.tasks.run({ on: on.did, code, input: 1, limits: { wallMs: 600_000 }, retries: 0 })) {
    if (event.type === 'result') return event.ok ? event.result : event.error?.code
  }
  return 'nothing'
}

test('a revocation reaches 50 nodes within a minute, those across a partition within a minute after it healed, and one that was off when it is back; from then on nothing of the revoked is accepted', async () => {
  const late: { clock?: Clock } = {}
  const sandboxes = wordSandboxes(() => late.clock as Clock)
  const [left, right] = [Array.from({ length: 25 }, (_, index) => index), Array.from({ length: 25 }, (_, index) => 25 + index)]
  await using mesh = await createWideMesh({ nodes: 50, seed: 31, loss: 0.03, latencyMs: [5, 80], sandboxes }, [left, right])
  late.clock = mesh.clock
  const [anna, ben, off] = [mesh.node(7), mesh.node(8), 40]
  const id = await vouch(mesh, anna, ben)
  const executors = [mesh.node(3), mesh.node(30)]
  const running = executors.map((executor) => outcomeOf(ben, executor, 'endless').catch((error: unknown) => (error as { readonly code?: unknown }).code))
  await mesh.until(() => executors.every((executor) => executor.tasks.served.list()[0]?.state === 'running'), reachMs)

  mesh.crash(off)
  mesh.partition(left, right)
  await mesh.clock.advance(20_000)
  await mesh.run(anna.trust.revoke(id))
  const here = left.map(mesh.node).filter((node) => node !== anna && node !== ben)
  await mesh.until(() => here.every((node) => level(node, ben) === 0), reachMs)
  expect(await mesh.run(running[0] ?? Promise.resolve())).toBe('ERR_TRUST_LOW')
  await mesh.clock.advance(20_000)
  const there = right.filter((index) => index !== off).map(mesh.node)
  // Nobody over there has heard, nor could have.
  expect(there.filter((node) => level(node, ben) !== 2)).toEqual([])

  mesh.heal()
  await mesh.until(() => there.every((node) => level(node, ben) === 0), reachMs)
  await mesh.until(() => executors[1]?.tasks.served.list().length === 0, reachMs)
  expect(executors[1]?.tasks.served.history()).toMatchObject([{ outcome: 'ERR_TRUST_LOW' }])
  for (const executor of executors) {
    expect(await mesh.run(outcomeOf(ben, executor, 'say').catch((error: unknown) => (error as { readonly code?: unknown }).code))).toBe('ERR_TRUST_LOW')
  }

  const back = await mesh.restart(off)
  expect(level(back, ben)).toBe(2)
  await mesh.until(() => level(back, ben) === 0, reachMs)
})

test('who revokes while nobody is near is heard when somebody comes', async () => {
  await using mesh = await createTestMesh({ nodes: 5, seed: 32 })
  const [anna, ben] = [mesh.node(1), mesh.node(2)]
  const id = await vouch(mesh, anna, ben)
  mesh.partition([1])
  await mesh.clock.advance(10_000)
  expect(anna.peers()).toEqual([])
  await mesh.run(anna.trust.revoke(id))
  await mesh.clock.advance(10_000)
  mesh.heal()
  await mesh.until(() => [0, 3, 4].every((index) => level(mesh.node(index), ben) === 0), reachMs)
})

/** Distrust by anybody about anybody, well signed. */
function slander(by: SimulatedPeer, subject: TestNode['did'], seq: number, now: number): Uint8Array {
  const payload = attestationCodec.encode({ version: 1, level: -1, scopes, depth: 0, evidence: undefined, seq, prev: undefined })
  const random = createSeededRandom(seq)
  const signed = signStatement('attestation', { to: subject, type: 'attestation', payload, issuedAt: now, expiresAt: now + lifetimeMs }, { ...by, random })
  return encode(['attestation', signed.bytes])
}

test('what a stranger floods the topic with is neither kept nor passed on, but for a few words about those known here; what is forged is not passed on at all', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 33 })
  await vouch(mesh, mesh.node(1), mesh.node(2))
  const [mallory, listener] = [await createSimulatedPeer(mesh, 41), await createSimulatedPeer(mesh, 42)]
  const heard: Uint8Array[] = []
  listener.host.subscribe(newsTopic, ({ data }) => {
    heard.push(data)
    return 'ignore'
  })
  mallory.host.subscribe(newsTopic, () => 'ignore')
  await mesh.run(Promise.all([mallory, listener].map(({ host }) => host.dial({ addresses: mesh.node(0).addresses() }))))
  const kept = (): readonly number[] => mesh.nodes.map((node) => node.trust.show().filter(({ issuer }) => issuer === mallory.keyring.did).length)
  const flood = async (subject: (count: number) => TestNode['did'], spoil = false): Promise<number> => {
    const before = heard.length
    for (let count = 0; count < 100; count++) {
      const bytes = slander(mallory, subject(count), mesh.clock.now() + count, mesh.clock.now())
      await mesh.run(mallory.host.gossip(newsTopic, spoil ? bytes.with(60, (bytes[60] ?? 0) ^ 1) : bytes))
    }
    await mesh.clock.advance(5_000)
    return heard.length - before
  }
  const strangers = await Promise.all(Array.from({ length: 100 }, async (_, index) => (await createSimulatedPeer(mesh, 100 + index)).keyring.did))
  expect(await flood((count) => strangers[count] ?? mallory.keyring.did)).toBe(0)
  expect(await flood(() => mesh.node(2).did, true)).toBe(0)
  expect(kept()).toEqual([0, 0, 0])
  const about = await flood(() => mesh.node(2).did)
  expect(about).toBeGreaterThan(0)
  expect(about).toBeLessThanOrEqual(newsOfStrangerMax)
  // A node keeps a few words of anybody about itself.
  expect(kept()).toEqual([0, 0, statementsPerStrangerMax])
})

test('two words of one issuer that contradict each other end what it vouched for wherever it is followed, whoever tells of them', async () => {
  await using mesh = await createTestMesh({ nodes: 4, seed: 35 })
  const [anna, ben] = [mesh.node(1), mesh.node(2)]
  await vouch(mesh, anna, ben)
  const mallory = await createSimulatedPeer(mesh, 41)
  mallory.host.subscribe(newsTopic, () => 'ignore')
  await mesh.run(mallory.host.dial({ addresses: mesh.node(0).addresses() }))
  const twice = [1, 2].map((seed) => {
    const payload = attestationCodec.encode({ version: 1, level: seed, scopes, depth: 0, evidence: undefined, seq: 7, prev: undefined })
    const fields = { to: mallory.keyring.did, type: 'attestation', payload, issuedAt: mesh.clock.now(), expiresAt: mesh.clock.now() + lifetimeMs }
    return { kind: 'attestation' as const, bytes: signStatement('attestation', fields, { keyring: mesh.keyring(1), random: createSeededRandom(seed) }).bytes }
  })
  const [first, second] = twice as [(typeof twice)[0], (typeof twice)[0]]
  await mesh.run(mallory.host.gossip(newsTopic, encode(['warrant', makeWarrant(first, second)])))
  await mesh.until(() => [0, 3].every((index) => mesh.node(index).trust.warrants().length === 1 && level(mesh.node(index), ben) === 0), reachMs)
})

test('left alone for two hours, a mesh holds what leans on heads of an hour; for one whose head cannot be had that is over', async () => {
  await using mesh = await createTestMesh({ nodes: 4, seed: 34 })
  const [root, namer, named] = [mesh.node(1), mesh.node(2), mesh.node(3)]
  await mesh.run(root.trust.attest({ subject: namer.did, level: 4, scopes: ['/task/run', '/authority/task'], depth: 3, lifetimeMs }))
  await mesh.run(namer.trust.attest({ subject: named.did, level: 4, scopes: ['/task/run', '/authority/task'], lifetimeMs }))
  await mesh.until(() => level(root, named) === 4, reachMs)
  await mesh.run(root.dial(namer.addresses()[0] ?? ''))
  for (let passed = 0; passed < 2 * hourMs; passed += 10 * minuteMs) {
    await mesh.clock.advance(10 * minuteMs)
    expect(level(root, named), `after ${passed} ms`).toBe(4)
  }
  mesh.crash(2)
  await mesh.clock.advance(2 * hourMs)
  expect(level(root, named)).toBeLessThan(4)
})
