import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, MeshError, randomInt } from '../../src/base/index.ts'
import { createLink, creditBytes, type Hello, klpFrameBytesMax, klpProtocol, requestsInFlightMax } from '../../src/protocols/klp/index.ts'
import { decodeFrame, encodeFrame } from '../../src/protocols/klp/frames.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { encode, type Plain } from '../../src/wire/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { answering, echo } from '../helpers/answering.ts'
import { codeOf, keyringOf, signMessage, request } from '../helpers/raw-peer.ts'
import { createStreamPair } from '../helpers/stream-pair.ts'

const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const hello: Hello = {
  versions: [1],
  wants: [],
  manifest: { capabilities: ['message'], roles: [], ttlMs: 3_600_000, presence: 'online' },
  credit: creditBytes,
  bundle: new Uint8Array(),
  evidence: [],
}
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('many large answers ready at once all arrive, and the link lives on', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 1 })
  const waiting: (() => void)[] = []
  mesh.node(0).agents.register({
    name: 'large',
    receive: async () => {
      await new Promise<void>((resolve) => waiting.push(resolve))
      return 'x'.repeat(60_000)
    },
  })
  const asked = Promise.all(Array.from({ length: requestsInFlightMax }, () => codeOf(mesh.node(1).ask(mesh.node(0).did, 1, { agent: 'large' }))))
  await mesh.until(() => waiting.length === requestsInFlightMax)
  for (const goOn of waiting) goOn()
  expect(new Set(await mesh.run(asked))).toEqual(new Set(['ok']))
  await mesh.run(mesh.node(1).send(mesh.node(0).did, { body: 'still here' }))
})

test('a peer that reads none of its large answers makes a node hold the window and no more', async () => {
  const clock = createVirtualClock()
  const [own, peer] = createStreamPair(anna, ben)
  own.stuck = true
  await peer.send(encodeFrame({ frame: 0, ...hello }))
  await peer.send(encodeFrame({ frame: 1, answers: [], validUntil: 0 }))
  own.stuck = false
  const link = await createLink({
    stream: own,
    clock,
    hello: async () => hello,
    judge: async () => ({ answers: [], validUntil: 0 }),
    ...answering(async () => new Uint8Array(100_000)),
  })
  own.stuck = true
  for (let rid = 0; rid < 200; rid++) await peer.send(encodeFrame({ frame: 2, rid, ttlsMs: [1_000], sealed: new Uint8Array(1) }))
  await nextTurn()
  await nextTurn()
  const written = own.sent.slice(2).reduce((sum, frame) => sum + frame.length, 0)
  expect(written).toBeGreaterThan(900_000)
  expect(written).toBeLessThanOrEqual(1 << 20)
  await peer.close()
  await link.closed
})

test('requests written in one turn leave in one segment, and so do their answers', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 2 })
  const [left, right] = await Promise.all([createSimulatedPeer(mesh, 21), createSimulatedPeer(mesh, 22)])
  right.plane(echo)
  const link = await mesh.run(left.host.learn(right.keyring.did, right.host.addresses()).then(() => left.plane().link(right.keyring.did)))
  await mesh.clock.advance(1_000)
  const before = mesh.simulator.trace.events
  const answers = await mesh.run(Promise.all(Array.from({ length: 64 }, (_, index) => request(link, Uint8Array.of(index)))))
  expect(answers.map(({ sealed }) => sealed[0])).toEqual(Array.from({ length: 64 }, (_, index) => index))
  expect(mesh.simulator.trace.events - before).toBe(2)
})

test('two thousand requests over a lossy network are each answered once, within the credit', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 3, loss: 0.1, latencyMs: [5, 80] })
  const [left, right] = await Promise.all([createSimulatedPeer(mesh, 23), createSimulatedPeer(mesh, 24)])
  const served = new Map<number, number>()
  let atOnce = 0
  let most = 0
  right.plane(async (sealed) => {
    most = Math.max(most, ++atOnce)
    const number = new DataView(sealed.buffer, sealed.byteOffset).getUint32(0)
    served.set(number, (served.get(number) ?? 0) + 1)
    await mesh.clock.sleep(number % 50)
    atOnce--
    return sealed.slice(0, 4)
  })
  await left.host.learn(right.keyring.did, right.host.addresses())
  const link = await mesh.run(left.plane().link(right.keyring.did))
  const numbered = (number: number): Uint8Array => {
    const bytes = new Uint8Array(4 + (number % 9) * 1_000)
    new DataView(bytes.buffer).setUint32(0, number)
    return bytes
  }
  const answers = await mesh.run(Promise.all(Array.from({ length: 2_000 }, (_, number) => request(link, numbered(number), { ttlMs: 600_000 }))))
  expect(answers.every(({ sealed }, number) => new DataView(sealed.buffer, sealed.byteOffset).getUint32(0) === number)).toBe(true)
  expect([...served.values()].every((times) => times === 1) && served.size === 2_000).toBe(true)
  expect(most).toBeGreaterThan(100)
  expect(most).toBeLessThanOrEqual(requestsInFlightMax)
})

test('each of ten thousand malformed frames ends its own link with a code; the link beside it is served', async () => {
  const clock = createVirtualClock()
  const random = createSeededRandom(11)
  const judge = async () => ({ answers: [], validUntil: 0 })
  const valid = [encodeFrame({ frame: 0, ...hello }), encodeFrame({ frame: 1, answers: [], validUntil: 0 }), encodeFrame({ frame: 6, code: 'x', message: '' })]
  const [honestEnd, honestPeer] = createStreamPair(anna, ben)
  const [honest] = await Promise.all([
    createLink({ stream: honestEnd, clock, hello: async () => hello, judge, ...answering(echo) }),
    createLink({ stream: honestPeer, clock, hello: async () => hello, judge, ...answering(echo) }),
  ])
  const malformed = (): Uint8Array => {
    const kind = randomInt(random, 4)
    if (kind === 0) return random.bytes(randomInt(random, 100))
    if (kind === 1) return encode([randomInt(random, 20), randomInt(random, 20), 'x', random.bytes(3)])
    if (kind === 2) return encode(Array.from({ length: randomInt(random, 10) }, (): Plain => randomInt(random, 9)))
    const cut = encodeFrame({ frame: 2, rid: 1, ttlsMs: [1], sealed: new Uint8Array(20) })
    return cut.subarray(0, randomInt(random, cut.length))
  }
  let refused = 0
  const codes = new Set<string>()
  for (let count = 0; count < 10_000; count++) {
    const [own, peer] = createStreamPair(anna, ben)
    const greeted = randomInt(random, 3)
    for (const frame of valid.slice(0, greeted)) await peer.send(frame)
    await peer.send(malformed())
    const made = createLink({ stream: own, clock, hello: async () => hello, judge, ...answering(echo) })
    const link = await made.catch((error: unknown) => {
      expect(error).toBeInstanceOf(MeshError)
      return undefined
    })
    // Some noise happens to be an answer nobody waits for: such a link stays up until the peer leaves.
    await nextTurn()
    const last = decodeFrame(own.sent.at(-1) ?? new Uint8Array())
    if (last.frame === 6) {
      refused++
      codes.add(last.code)
    }
    await peer.close()
    await link?.closed
  }
  expect(refused).toBeGreaterThan(9_000)
  expect([...codes].sort()).toEqual(['ERR_PROTOCOL', 'ERR_WIRE_MALFORMED'])
  expect((await request(honest, Uint8Array.of(7))).sealed).toEqual(Uint8Array.of(7))
})

test('a link whose heartbeat is not answered is dropped, and the next message opens another', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 4 })
  const peer = await createSimulatedPeer(mesh, 25)
  let mute = true
  let opened = 0
  // Says hello and grants, then falls silent.
  peer.host.handle(klpProtocol, { frameBytesMax: klpFrameBytesMax, inboundStreamsMax: 4 }, async (stream) => {
    opened++
    const bundle = (await peer.prekeys.current()).bundle.bytes
    await stream.send(encodeFrame({ frame: 0, ...hello, bundle }))
    await stream.send(encodeFrame({ frame: 1, answers: [{ name: 'message', answer: 'granted', reason: '', alternative: '', limits: [] }], validUntil: 1e15 }))
    for await (const bytes of stream.frames) {
      const frame = decodeFrame(bytes)
      if (frame.frame === 7 && !mute) await stream.send(encodeFrame({ frame: 8, rid: frame.rid }))
    }
  })
  await mesh.run(peer.host.dial({ addresses: mesh.node(0).addresses() }))
  expect(await mesh.run(codeOf(mesh.node(0).ask(peer.keyring.did, 'there?', { timeoutMs: 1_000 })))).toBe('ERR_TIMEOUT')
  await mesh.clock.advance(60_000)
  mute = false
  await mesh.run(mesh.node(0).ping(peer.keyring.did))
  expect(opened).toBe(2)
  // Answered heartbeats keep it.
  await mesh.clock.advance(300_000)
  await mesh.run(mesh.node(0).ping(peer.keyring.did))
  expect(opened).toBe(2)
})

test('a send called off before a link is opened fails as called off, and harms nobody', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 5, connected: false })
  const { did } = mesh.node(1)
  const reason = new MeshError('ERR_ABORTED', 'changed my mind')
  // The unreachable peer must not surface as a rejection that nobody handles.
  expect(await mesh.run(codeOf(mesh.node(0).ask(did, 1, { signal: AbortSignal.abort(reason) })))).toBe('ERR_ABORTED')
  const controller = new AbortController()
  const asked = codeOf(mesh.node(0).ask(did, 1, { signal: controller.signal }))
  controller.abort(reason)
  expect(await mesh.run(asked)).toBe('ERR_ABORTED')
  await mesh.clock.advance(60_000)
})

test('the time given to a question covers the opening of the link', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 6 })
  const peer = await createSimulatedPeer(mesh, 26)
  // It takes the stream and says nothing.
  peer.host.handle(klpProtocol, { frameBytesMax: klpFrameBytesMax, inboundStreamsMax: 4 }, () => new Promise(() => undefined))
  await mesh.run(peer.host.dial({ addresses: mesh.node(0).addresses() }))
  const start = mesh.clock.monotonic()
  expect(await mesh.run(codeOf(mesh.node(0).ask(peer.keyring.did, 'x', { timeoutMs: 700 })))).toBe('ERR_TIMEOUT')
  expect(mesh.clock.monotonic() - start).toBeLessThan(800)
})

test('an agent whose error names an impossible time to come back costs one request, not the link', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 7 })
  for (const [index, retryAfterMs] of ['soon', -1, 1.5, 1e12, Number.NaN, null].entries()) {
    mesh
      .node(0)
      .agents.register({ name: `busy${index}`, receive: () => Promise.reject(new MeshError('ERR_OVERLOADED', 'later', { details: { retryAfterMs } })) })
    expect(await mesh.run(codeOf(mesh.node(1).ask(mesh.node(0).did, 1, { agent: `busy${index}` })))).toBe('ERR_OVERLOADED')
  }
})

test('an agent that answers what is no plain data, or too much, is told apart from a broken peer', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 8 })
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  const cases: readonly (readonly [string, unknown, string])[] = [
    ['function', () => 1, 'ERR_AGENT_FAILED'],
    ['bigint', 10n, 'ERR_AGENT_FAILED'],
    ['cycle', cycle, 'ERR_AGENT_FAILED'],
    ['long', 'x'.repeat(70_000), 'ERR_WIRE_TOO_LARGE'],
    ['nothing', undefined, 'ok'],
    ['lone', '\ud800', 'ok'],
  ]
  for (const [name, result, code] of cases) {
    mesh.node(0).agents.register({ name, receive: async () => result })
    expect([name, await mesh.run(codeOf(mesh.node(1).ask(mesh.node(0).did, 1, { agent: name })))]).toEqual([name, code])
  }
})

test('a flood of pings nobody reads the answers of, and of replays, leaves the node serving others', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 9 })
  const mallory = await createSimulatedPeer(mesh, 27)
  const { did } = await mesh.run(mallory.host.dial({ addresses: mesh.node(0).addresses() }))
  const stream = await mesh.run(mallory.host.open(did, klpProtocol, { frameBytesMax: klpFrameBytesMax }))
  const bundle = (await mallory.prekeys.current()).bundle.bytes
  await mesh.run(stream.send(encodeFrame({ frame: 0, ...hello, bundle })))
  await mesh.run(
    stream.send(encodeFrame({ frame: 1, answers: [{ name: 'message', answer: 'granted', reason: '', alternative: '', limits: [] }], validUntil: 0 })),
  )
  const link = await mesh.run(mallory.link(0))
  const captured = mallory.seal(signMessage(mallory.keyring, { to: did, issuedAt: mesh.clock.now() }), mallory.bundleOf(link))
  expect(await mesh.run(codeOf(request(link, captured)))).toBe('ok')
  for (let round = 0; round < 20; round++) {
    for (let rid = 0; rid < 1_000; rid++) stream.send(encodeFrame({ frame: 7, rid })).catch(() => undefined)
    const replays = Promise.all(Array.from({ length: 50 }, () => codeOf(request(link, captured))))
    expect(new Set(await mesh.run(replays))).toEqual(new Set(['ERR_REPLAYED']))
    expect(await mesh.run(codeOf(mesh.node(1).send(did, { body: String(round) })))).toBe('ok')
  }
  expect((await mesh.node(0).inbox.list({ limit: 100 })).map(({ body }) => body)).toEqual(['hi', ...Array.from({ length: 20 }, (_, round) => String(round))])
})

test('two that open a link to each other at one moment both get their answers', async () => {
  for (let seed = 0; seed < 20; seed++) {
    await using mesh = await createTestMesh({ nodes: 2, seed, connected: false, loss: seed % 2 === 0 ? 0 : 0.05 })
    const [left, right] = [mesh.node(0), mesh.node(1)]
    for (const node of mesh.nodes) await node.agents.add('echo')
    const talk = async (from: typeof left, to: typeof left): Promise<unknown> => {
      await from.dial(to.ticket())
      return (await from.ask(to.did, 'crossing')).reply
    }
    expect(await mesh.run(Promise.all([talk(left, right), talk(right, left), talk(left, right)]))).toEqual(['crossing', 'crossing', 'crossing'])
  }
})
