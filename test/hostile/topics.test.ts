import { expect, test } from 'vitest'
import { topicIdOf, topicLifetimeMsMax, topicMessageBytesMax } from '../../src/agents/topic-message.ts'
import { type TopicMessage, topicAuthorMessagesMax, topicReadersMax, topicsJoinedMax } from '../../src/agents/topics.ts'
import { createSeededRandom, type Did, hex, keyFromDid, minuteMs, secondMs } from '../../src/base/index.ts'
import { type Keyring, type Signed, signStatement } from '../../src/identity/index.ts'
import { createTestMesh, type TestMesh } from '../../src/testing/index.ts'
import { encode } from '../../src/wire/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { messagePayload, request } from '../helpers/raw-peer.ts'

const random = createSeededRandom(77)

interface Fields {
  readonly to?: Did
  readonly body?: string
  readonly issuedAt?: number
  readonly lifetimeMs?: number
  readonly payload?: Uint8Array
}

function said(keyring: Keyring, mesh: TestMesh, topic: string, fields: Fields = {}): Signed {
  const { to = topicIdOf(topic).audience, body = 'x', issuedAt = mesh.clock.now(), lifetimeMs = minuteMs, payload = messagePayload({ body }) } = fields
  return signStatement('message', { to, type: 'text', payload, issuedAt, expiresAt: issuedAt + lifetimeMs }, { keyring, random })
}

/** A reader of a topic, a neighbour of it who passes on, and a stranger who is only connected to the neighbour. */
async function world(
  seed: number,
): Promise<AsyncDisposable & { mesh: TestMesh; got: TopicMessage[]; stranger: Awaited<ReturnType<typeof createSimulatedPeer>> }> {
  const mesh = await createTestMesh({ nodes: 2, seed })
  const stranger = await createSimulatedPeer(mesh, seed + 500)
  await mesh.run(stranger.host.dial({ addresses: mesh.node(0).addresses() }))
  const got: TopicMessage[] = []
  await mesh.run(mesh.node(0).topics.subscribe('news'))
  const messages = await mesh.run(mesh.node(1).topics.subscribe('news'))
  void (async () => {
    for await (const message of messages) got.push(message)
  })().catch(() => undefined)
  return { mesh, got, stranger, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() }
}

test('what is forged, re-addressed, of another author, malformed, oversized, stale or from the future goes no further', async () => {
  await using w = await world(31)
  const { mesh, stranger, got } = w
  const { channel } = topicIdOf('news')
  const own = stranger.keyring
  const other = (await createSimulatedPeer(mesh, 600)).keyring
  const now = mesh.clock.now()
  const altered = said(own, mesh, 'news').bytes.slice()
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
  const bad: readonly Uint8Array[] = [
    altered,
    said(own, mesh, 'other topic').bytes,
    said(own, mesh, 'news', { to: mesh.node(1).did }).bytes,
    said(other, mesh, 'news').bytes,
    said(own, mesh, 'news', { payload: messagePayload({ body: 'x', agent: 'echo', expectsReply: true }) }).bytes,
    said(own, mesh, 'news', { payload: encode(['other']) }).bytes,
    said(own, mesh, 'news', { body: 'x'.repeat(17_000) }).bytes,
    new Uint8Array(topicMessageBytesMax + 1),
    said(own, mesh, 'news', { issuedAt: now - 5 * minuteMs }).bytes,
    said(own, mesh, 'news', { issuedAt: now + 3 * minuteMs }).bytes,
    said(own, mesh, 'news', { lifetimeMs: topicLifetimeMsMax + 1 }).bytes,
  ]
  for (const data of bad) await mesh.run(stranger.host.gossip(channel, data))
  await mesh.clock.advance(2_000)
  expect(got).toEqual([])
  await mesh.run(stranger.host.gossip(channel, said(own, mesh, 'news', { body: 'good' }).bytes))
  await mesh.clock.advance(2_000)
  expect(got.map(({ body, from }) => [body, from])).toEqual([['good', own.did]])
})

test('a thousand replays of one message, also after the reader lost power and after gossip forgot: taken once', async () => {
  await using w = await world(32)
  const { mesh, stranger, got } = w
  const { channel } = topicIdOf('news')
  const { bytes } = said(stranger.keyring, mesh, 'news', { lifetimeMs: topicLifetimeMsMax })
  for (let n = 0; n < 500; n++) await mesh.run(stranger.host.gossip(channel, bytes))
  await mesh.clock.advance(2_000)
  expect(got).toHaveLength(1)
  mesh.crash(0)
  await mesh.restart(0)
  await mesh.run(stranger.host.dial({ addresses: mesh.node(0).addresses() }))
  const messages = await mesh.run(mesh.node(0).topics.subscribe('news'))
  const again: TopicMessage[] = []
  void (async () => {
    for await (const message of messages) again.push(message)
  })().catch(() => undefined)
  for (let n = 0; n < 500; n++) await mesh.run(stranger.host.gossip(channel, bytes))
  // Past its expiry, within the allowance for clocks, and past that.
  for (const ms of [topicLifetimeMsMax, 2 * minuteMs]) {
    await mesh.clock.advance(ms)
    await mesh.run(stranger.host.gossip(channel, bytes))
  }
  await mesh.clock.advance(2_000)
  expect(again).toEqual([])
})

test('a flood of one author is cut to its rate and leaves room for others', async () => {
  await using w = await world(33)
  const { mesh, stranger, got } = w
  const { channel } = topicIdOf('news')
  for (let n = 0; n < 10 * topicAuthorMessagesMax; n++) {
    await mesh.run(stranger.host.gossip(channel, said(stranger.keyring, mesh, 'news', { body: String(n) }).bytes))
  }
  await mesh.clock.advance(2_000)
  expect(got.length).toBeLessThanOrEqual(topicAuthorMessagesMax)
  expect(got.length).toBeGreaterThan(0)
  const before = got.length
  await mesh.run(mesh.node(0).topics.publish('news', { body: 'honest' }))
  await mesh.clock.advance(2_000)
  expect(got.slice(before).map(({ body }) => body)).toEqual(['honest'])
  const flood = Array.from({ length: topicAuthorMessagesMax + 1 }, () => mesh.node(1).topics.publish('quiet', { body: 'x' }, { waitMs: 0 }))
  const refused = (await mesh.run(Promise.allSettled(flood))).filter(({ status }) => status === 'rejected')
  expect(refused).toMatchObject([{ reason: { code: 'ERR_OVERLOADED' } }])
})

test('a node reads so many topics, by so many readers, and a reader that does not read is let go', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 34 })
  const { topics } = mesh.node(0)
  const slow = await mesh.run(topics.subscribe('0'))
  for (let n = 1; n < topicsJoinedMax; n++) await mesh.run(topics.subscribe(String(n)))
  await expect(mesh.run(topics.subscribe('one more'))).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
  for (let n = 1; n < topicReadersMax; n++) await mesh.run(topics.subscribe('0'))
  await expect(mesh.run(topics.subscribe('0'))).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
  for (let round = 0; round < 12; round++) {
    for (let n = 0; n < topicAuthorMessagesMax; n++) await mesh.run(topics.publish('0', { body: 'x' }, { waitMs: 0 }))
    await mesh.clock.advance(61 * secondMs)
  }
  let read = 0
  const reading = (async () => {
    for await (const _ of slow) read++
  })()
  await expect(mesh.run(reading)).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
  expect(read).toBe(1_024)
})

test('the id of a topic is 32 bytes of a hash, no name gives a key that is held here, and bad names are refused', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 35 })
  const { bytes, channel, audience } = topicIdOf('news')
  expect(channel).toBe(`/kindmesh/topic/1/${hex(bytes)}`)
  expect(hex(keyFromDid(audience))).toBe(hex(bytes))
  expect(topicIdOf('News').channel).not.toBe(channel)
  for (const name of ['', 'x'.repeat(129), 'a\nb', 'a\u0000', '\ud800']) expect(() => topicIdOf(name)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  // A type keeps what it promises here too.
  await expect(mesh.run(mesh.node(0).topics.publish('news', { type: 'capability_query', body: 'no JSON' }))).rejects.toMatchObject({ code: 'ERR_MESSAGE_TYPE' })
  // What was published is no message to anybody: its audience is the topic.
  const stranger = await createSimulatedPeer(mesh, 900)
  const link = await mesh.run(stranger.link(0))
  const sealed = stranger.seal(said(stranger.keyring, mesh, 'news'), stranger.bundleOf(link))
  await expect(mesh.run(request(link, sealed, { ttlMs: 5_000 }))).rejects.toMatchObject({ code: 'ERR_STATEMENT_AUDIENCE' })
})
