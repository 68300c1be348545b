import { expect, test } from 'vitest'
import { createSeededRandom, keyFromDid, minuteMs } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import type { Host } from '../../src/net/index.ts'
import { recordRules } from '../../src/node/index.ts'
import { headNamespace } from '../../src/node/trust-reach.ts'
import { meetFrameBytesMax, type MeetItem, meetProtocol } from '../../src/protocols/att-meet/codec.ts'
import { putAtMeeting } from '../../src/protocols/att-meet/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { headRecordKey, TrustLevel } from '../../src/trust/index.ts'
import { attestationCodec } from '../../src/trust/statements.ts'
import { encode } from '../../src/wire/index.ts'
import { keysNear } from '../helpers/keys-near.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const dayMs = 86_400_000
const scopes = ['/task/run']

const attest = (mesh: TestMesh, by: TestNode, of: TestNode, level: 2 | 3 | -1 = 2): Promise<{ readonly id: string }> =>
  mesh.run(by.trust.attest({ subject: of.did, level, scopes, depth: level === 3 ? 3 : level === 2 ? 1 : 0, lifetimeMs: 30 * dayMs }))

test('what an introducer who is gone said about a stranger is found where the stranger`s key leads', async () => {
  await using mesh = await createTestMesh({ nodes: 8, seed: 31 })
  const [, reader, introducer, stranger] = mesh.nodes as [TestNode, TestNode, TestNode, TestNode]
  await mesh.clock.advance(1_000)
  await attest(mesh, introducer, stranger)
  await mesh.clock.advance(20_000)
  mesh.crash(2)
  await mesh.clock.advance(20_000)
  // Trusted from now on only: nothing of its words was ever pulled.
  await attest(mesh, reader, introducer, 3)
  expect((await mesh.run(reader.trust.explain(stranger.did))).level).toBe(TrustLevel.BASIC)
})

test('a chain of which every link is gone is found link by link', async () => {
  await using mesh = await createTestMesh({ nodes: 9, seed: 32 })
  const [, reader, first, second, middle, stranger] = mesh.nodes as [TestNode, TestNode, TestNode, TestNode, TestNode, TestNode]
  await mesh.clock.advance(1_000)
  await attest(mesh, first, middle)
  await attest(mesh, second, middle)
  await attest(mesh, middle, stranger)
  await mesh.clock.advance(20_000)
  for (const index of [2, 3, 4]) mesh.crash(index)
  await mesh.clock.advance(20_000)
  for (const introducer of [first, second]) await attest(mesh, reader, introducer, 3)
  expect((await mesh.run(reader.trust.explain(stranger.did))).level).toBe(TrustLevel.BASIC)
})

test('one who signs two heads that cannot both be true is known by it to those who keep his head, and introduces nobody any more', async () => {
  await using mesh = await createTestMesh({ nodes: 6, seed: 35 })
  const [, reader, introducer, stranger] = mesh.nodes as [TestNode, TestNode, TestNode, TestNode]
  await attest(mesh, introducer, stranger)
  await attest(mesh, reader, introducer, 3)
  await mesh.clock.advance(5_000)
  expect((await mesh.run(reader.trust.explain(stranger.did))).level).toBe(TrustLevel.BASIC)
  const keyring = mesh.keyring(2)
  const random = createSeededRandom(7)
  const later = Number.MAX_SAFE_INTEGER - 1
  const head = (fingerprint: number): Uint8Array => {
    const payload = encode([1, later, 2, new Uint8Array(32).fill(fingerprint)])
    const times = { issuedAt: mesh.clock.now(), expiresAt: mesh.clock.now() + dayMs }
    return signStatement('head', { to: keyring.did, type: 'head', payload, ...times }, { keyring, random }).bytes
  }
  // Told to the mesh from two places, by whoever it may be.
  for (const fingerprint of [1, 2]) {
    const rules = recordRules(mesh.clock)
    const host = await mesh.simulator.host(keyringOf(600 + fingerprint).did, { store: createMemoryStore(), rules })
    await mesh.run(host.dial({ addresses: mesh.node(0).addresses() }))
    await mesh.run(host.publish(headNamespace, headRecordKey(introducer.did), head(fingerprint)))
    await mesh.clock.advance(1_000)
  }
  expect(reader.trust.warrants().map(({ issuer }) => issuer)).toEqual([introducer.did])
  expect((await mesh.run(reader.trust.explain(stranger.did))).level).toBe(TrustLevel.UNKNOWN)
})

test('a storer that lost what was left with it gets it again within half a day', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 33 })
  const [, introducer, stranger] = mesh.nodes as [TestNode, TestNode, TestNode]
  await attest(mesh, introducer, stranger)
  await mesh.until(() => mesh.node(0).trust.meeting().held === 1, minuteMs)
  await mesh.clock.advance(5 * minuteMs)
  mesh.crash(0)
  const hub = await mesh.restart(0)
  await mesh.clock.advance(10 * minuteMs)
  expect(hub.trust.meeting().held).toBe(0)
  await mesh.clock.advance(13 * 60 * minuteMs)
  expect(hub.trust.meeting().held).toBe(1)
})

test('a hundred sybils around a stranger`s key, that swallow, garble, forge and slander, keep nobody from what introducers said', async () => {
  const honest = 20
  await using mesh = await createTestMesh({ nodes: honest, seed: 34 })
  const [hub, stranger, ...rest] = mesh.nodes as [TestNode, TestNode, ...TestNode[]]
  const introducers = rest.slice(0, 2)
  const readers = rest.slice(2)
  const random = createSeededRandom(5)
  const slander = Array.from({ length: 40 }, (_, index): MeetItem => {
    const keyring = keyringOf(500 + index)
    const payload = attestationCodec.encode({ version: 1, level: -1, scopes, depth: 0, evidence: undefined, seq: 1, prev: undefined })
    const times = { issuedAt: mesh.clock.now(), expiresAt: mesh.clock.now() + dayMs }
    return { kind: 'attestation', bytes: signStatement('attestation', { to: stranger.did, type: 'attestation', payload, ...times }, { keyring, random }).bytes }
  })
  const forged = slander.map(({ kind, bytes }) => [kind, bytes.with(110, (bytes[110] ?? 0) ^ 1)] as const)
  const answers = [undefined, random.bytes(200), encode(forged), encode(slander.map(({ kind, bytes }) => [kind, bytes] as const))]
  const sybils: Host[] = []
  for (const [index, did] of keysNear(sha256(keyFromDid(stranger.did)), 100, 6).entries()) {
    const host = await mesh.simulator.host(did, { store: createMemoryStore(), rules: recordRules(mesh.clock), place: `203.0.${index % 3}` })
    host.handle(meetProtocol, { frameBytesMax: meetFrameBytesMax, inboundStreamsMax: 64 }, async (stream) => {
      const answer = answers[index % answers.length]
      for await (const _ of stream.frames) if (answer !== undefined) await stream.send(answer)
    })
    await mesh.run(host.dial({ addresses: hub.addresses() }))
    sybils.push(host)
  }
  // They are first.
  for (const [index, sybil] of sybils.slice(0, 20).entries()) {
    for (const node of [hub, ...readers.slice(0, 5)]) {
      await mesh.run(putAtMeeting(sybil, node.did, slander.slice(2 * index, 2 * index + 2), { signal: mesh.clock.timeout(5_000) }).catch(() => []))
    }
  }
  for (const introducer of introducers) await attest(mesh, introducer, stranger)
  await mesh.clock.advance(20_000)
  mesh.crash(2)
  mesh.crash(3)
  await mesh.clock.advance(20_000)
  let found = 0
  for (const reader of readers) {
    for (const introducer of introducers) await attest(mesh, reader, introducer, 3)
    const { level, vetoes } = await mesh.run(reader.trust.explain(stranger.did))
    expect(vetoes).toEqual([])
    if (level === TrustLevel.VERIFIED) found++
  }
  expect(found / readers.length).toBeGreaterThanOrEqual(0.99)
})
