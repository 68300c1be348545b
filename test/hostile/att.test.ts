import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, keyFromDid, MeshError, silentLogger } from '../../src/base/index.ts'
import type { Host, HostStream, StreamHandler } from '../../src/net/index.ts'
import { fetchStatements, serveStatements, type StatementItem } from '../../src/protocols/att/index.ts'
import { createTestMesh } from '../../src/testing/index.ts'
import { decode, encode } from '../../src/wire/index.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { createStreamPair, type PairedStream } from '../helpers/stream-pair.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 100_000 : 1_000_000
const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const item: StatementItem = { kind: 'attestation', bytes: new Uint8Array(40).fill(7) }
const ask = encode([keyFromDid(anna), 5])
const batch = (more: boolean, items: readonly StatementItem[] = [item]): Uint8Array => encode([more, items.map(({ kind, bytes }) => [kind, bytes])])
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** What the protocol makes of one stream, without a network. */
function served(list: () => AsyncIterable<StatementItem>): StreamHandler {
  let handler: StreamHandler | undefined
  const host: Pick<Host, 'handle'> = { handle: (_protocol, _options, handle) => (handler = handle) }
  serveStatements({ host: host as Host, logger: silentLogger, list })
  if (handler === undefined) throw new Error('nothing was registered')
  return handler
}
const hostOf = (stream: HostStream): Host => ({ open: async () => stream }) as unknown as Host
const never = new AbortController().signal

test('each of many malformed questions ends its stream and nothing else', async () => {
  const random = createSeededRandom(1)
  const handler = served(async function* () {
    yield item
  })
  let answered = 0
  for (let count = 0; count < inputs / 4; count++) {
    const [own, peer] = createStreamPair(anna, ben)
    const question = fuzzed([ask], random)
    await peer.send(question)
    const done = handler(own)
    await nextTurn()
    await peer.close()
    await done
    if (own.sent.length > 0) {
      answered++
      const plain = decode(question, 128) as readonly unknown[]
      expect(plain).toHaveLength(2)
    }
  }
  expect(answered).toBeLessThan(inputs / 8)
  const [own, peer] = createStreamPair(anna, ben)
  await peer.send(ask)
  const done = handler(own)
  await nextTurn()
  await peer.close()
  await done
  expect(own.sent).toEqual([batch(false)])
})

test('each of many malformed answers is a coded error to the one who asked', async () => {
  const random = createSeededRandom(2)
  let taken = 0
  for (let count = 0; count < inputs / 4; count++) {
    const [own, peer] = createStreamPair(anna, ben)
    const answer = fuzzed([batch(false), batch(true), batch(false, [])], random)
    await peer.send(answer)
    await peer.send(answer)
    await peer.close()
    try {
      const items = await fetchStatements(hostOf(own), ben, { issuer: anna, afterSeq: 0, signal: never })
      taken++
      for (const { kind, bytes } of items) {
        expect(['attestation', 'revocation', 'head']).toContain(kind)
        expect(bytes.length).toBeLessThanOrEqual(1_536)
      }
    } catch (error) {
      if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
    }
  }
  expect(taken).toBeLessThan(inputs / 8)
})

test('a list that never ends is left after its limit', async () => {
  const [own, peer] = createStreamPair(anna, ben)
  for (let count = 0; count < 200; count++) await peer.send(batch(true))
  expect(await codeOf(fetchStatements(hostOf(own), ben, { issuer: anna, afterSeq: 0, signal: never }))).toBe('ERR_PROTOCOL')
  await expect(peer.send(batch(true))).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
})

test('one who does not answer is left when the signal says so', async () => {
  const clock = createVirtualClock()
  const [own] = createStreamPair(anna, ben)
  const asked = codeOf(fetchStatements(hostOf(own), ben, { issuer: anna, afterSeq: 0, signal: clock.timeout(4_000) }))
  await clock.advance(4_000)
  expect(await asked).toBe('ERR_TIMEOUT')
})

test('statements travel in batches of 64, the last one says so, and a slow reader is waited for', async () => {
  const handler = served(async function* () {
    for (let count = 0; count < 130; count++) yield item
  })
  const [own, peer] = createStreamPair(anna, ben)
  own.stuck = true
  await peer.send(ask)
  void handler(own)
  await nextTurn()
  expect(own.sent).toHaveLength(1)
  const [free, reader]: readonly [PairedStream, PairedStream] = createStreamPair(anna, ben)
  await reader.send(ask)
  void handler(free)
  await nextTurn()
  expect(
    free.sent.map((frame) => (decode(frame, 1 << 17) as readonly [boolean, readonly unknown[]]).map((part) => (Array.isArray(part) ? part.length : part))),
  ).toEqual([
    [true, 64],
    [true, 64],
    [false, 2],
  ])
})

test('a node takes no statement from a peer that serves forgeries, noise and statements about strangers', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 3 })
  const random = createSeededRandom(3)
  const mallory = await createSimulatedPeer(mesh, 41)
  const real = mesh.node(1)
  await mesh.run(real.trust.attest({ subject: mallory.keyring.did, level: 2, scopes: ['/task/run'], lifetimeMs: 86_400_000 }))
  const genuine = await mesh.run(
    mallory.host.dial({ addresses: real.addresses() }).then(() => fetchStatements(mallory.host, real.did, { issuer: real.did, afterSeq: 0, signal: never })),
  )
  expect(genuine.map(({ kind }) => kind)).toEqual(['head', 'attestation'])
  serveStatements({
    host: mallory.host,
    logger: silentLogger,
    async *list() {
      for (const { kind, bytes } of genuine) {
        yield { kind, bytes }
        yield { kind, bytes: bytes.with(20, (bytes[20] ?? 0) ^ 1) }
        yield { kind: kind === 'head' ? 'attestation' : 'head', bytes }
        yield { kind, bytes: random.bytes(200) }
        yield { kind, bytes: new Uint8Array() }
      }
    },
  })
  await mesh.run(mallory.link(0))
  await mesh.clock.advance(20_000)
  expect(mesh.node(0).trust.show()).toEqual([])
  expect(await mesh.run(codeOf(real.send(mesh.node(0).did, { body: 'hello' })))).toBe('ok')
})
