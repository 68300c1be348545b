import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSeededRandom, randomInt, realClock } from '../../src/base/index.ts'
import { createNode, type MeshNode } from '../../src/index.ts'
import { klpFrameBytesMax, klpProtocol } from '../../src/protocols/klp/index.ts'
import { encode } from '../../src/wire/index.ts'
import { codeOf, createRawPeer, signMessage, request } from '../helpers/raw-peer.ts'

let folder: string
const nodes: MeshNode[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-klp-'))
})
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
  await rm(folder, { recursive: true, force: true })
})

async function start(name: string): Promise<MeshNode> {
  const node = await createNode({ dataDir: join(folder, name), listen: ['/ip4/127.0.0.1/tcp/0'] })
  nodes.push(node)
  return node
}

test('a captured frame that is replayed, altered, re-addressed, carried by another, expired or too long-lived is refused with its own code, and the node goes on', async () => {
  const [anna, cleo] = await Promise.all([start('anna'), start('cleo')])
  await using ben = await createRawPeer(1)
  await using mallory = await createRawPeer(2)
  const link = await ben.link(anna.addresses())
  const now = realClock.now()

  const captured = ben.seal(signMessage(ben.keyring, { to: anna.did }), link)
  expect(await codeOf(request(link, captured))).toBe('ok')
  expect(await codeOf(request(link, captured))).toBe('ERR_REPLAYED')
  // Sealed anew, it is the same statement still.
  const signed = signMessage(ben.keyring, { to: anna.did })
  expect(await codeOf(request(link, ben.seal(signed, link)))).toBe('ok')
  expect(await codeOf(request(link, ben.seal(signed, link)))).toBe('ERR_REPLAYED')

  const random = createSeededRandom(3)
  for (let round = 0; round < 50; round++) {
    const altered = ben.seal(signMessage(ben.keyring, { to: anna.did }), link)
    const at = randomInt(random, altered.length)
    altered[at] = (altered[at] ?? 0) ^ (1 << randomInt(random, 8))
    expect(await codeOf(request(link, altered))).toMatch(/^ERR_(CRYPTO_OPEN|CRYPTO_INPUT|SEAL_PREKEY|SEAL_SUITE|WIRE_MALFORMED)$/)
  }

  expect(await codeOf(request(link, ben.seal(signMessage(ben.keyring, { to: cleo.did }), link)))).toBe('ERR_STATEMENT_AUDIENCE')
  const toCleo = await ben.link(cleo.addresses())
  expect(await codeOf(request(toCleo, captured))).toBe('ERR_SEAL_PREKEY')
  const byMallory = await mallory.link(anna.addresses())
  const fresh = ben.seal(signMessage(ben.keyring, { to: anna.did }), link)
  expect(await codeOf(request(byMallory, fresh))).toBe('ERR_STATEMENT_SENDER')
  // Nothing was taken from the right sender by the wrong one trying.
  expect(await codeOf(request(link, fresh))).toBe('ok')

  const attempt = (fields: Partial<Parameters<typeof signMessage>[1]>, kind?: Parameters<typeof signMessage>[2]): Promise<string> =>
    codeOf(request(link, ben.seal(signMessage(ben.keyring, { to: anna.did, ...fields }, kind), link)))
  expect(await attempt({ issuedAt: now - 600_000 })).toBe('ERR_STATEMENT_EXPIRED')
  expect(await attempt({ issuedAt: now + 600_000 })).toBe('ERR_STATEMENT_FUTURE')
  expect(await attempt({ lifetimeMs: 8 * 86_400_000 })).toBe('ERR_STATEMENT_LIFETIME')
  expect(await attempt({ lifetimeMs: 3_600_000, expectsReply: true, agent: 'echo' })).toBe('ERR_STATEMENT_LIFETIME')
  expect(await attempt({}, 'receipt')).toBe('ERR_WIRE_MALFORMED')
  const forged = { bytes: signMessage(ben.keyring, { to: anna.did }).bytes.slice() }
  forged.bytes[10] = (forged.bytes[10] ?? 0) ^ 1
  expect(await codeOf(request(link, ben.seal(forged, link)))).toBe('ERR_STATEMENT_SIGNATURE')
  expect(await codeOf(request(link, ben.seal({ bytes: new Uint8Array(100) }, link)))).toBe('ERR_WIRE_MALFORMED')
  expect(await attempt({ expectsReply: true, agent: 'nobody' })).toBe('ERR_AGENT_UNKNOWN')
  expect(await attempt({})).toBe('ok')
  expect((await anna.inbox.list({ limit: 100 })).length).toBe(4)
})

test('a frame over the limit and a length of 2^32-1 end that stream only', async () => {
  const anna = await start('anna')
  await using ben = await createRawPeer(1)
  const { did } = await ben.host.dial({ addresses: anna.addresses() })
  for (const bytes of [new Uint8Array(klpFrameBytesMax + 1), new Uint8Array(8 << 20)]) {
    // This side allows itself more than the protocol does.
    const stream = await ben.host.open(did, klpProtocol, { frameBytesMax: 16 << 20 })
    await stream.send(bytes).catch(() => undefined)
    const read = async (): Promise<void> => {
      for await (const _frame of stream.frames);
    }
    await codeOf(read())
  }
  const link = await ben.link(anna.addresses())
  expect(await codeOf(request(link, ben.seal(signMessage(ben.keyring, { to: anna.did }), link)))).toBe('ok')
})

test('ten thousand malformed frames later an honest request is served', async () => {
  const anna = await start('anna')
  await using ben = await createRawPeer(1)
  const { did } = await ben.host.dial({ addresses: anna.addresses() })
  const random = createSeededRandom(4)
  const hello = encode([0, [1], [], [], [], 1_048_576, (await ben.hello()).bundle, []])
  let sent = 0
  while (sent < 10_000) {
    const stream = await ben.host.open(did, klpProtocol, { frameBytesMax: klpFrameBytesMax })
    const kind = sent % 3
    if (kind > 0) await stream.send(hello)
    if (kind > 1) await stream.send(encode([1, [], 0]))
    // The first bad frame ends a stream; the rest find it closed.
    const frames = Array.from({ length: 50 }, () =>
      random.fraction() < 0.5
        ? random.bytes(randomInt(random, 200))
        : encode([randomInt(random, 12), randomInt(random, 99), random.bytes(randomInt(random, 64))]),
    )
    await Promise.allSettled(frames.map((frame) => stream.send(frame)))
    sent += frames.length
    stream.abort(new Error('next'))
  }
  const link = await ben.link(anna.addresses())
  expect(await codeOf(request(link, ben.seal(signMessage(ben.keyring, { to: anna.did }), link)))).toBe('ok')
})

test('a thousand replays across reconnects and a restart: none is taken', async () => {
  const anna = await start('anna')
  await using ben = await createRawPeer(1)
  let link = await ben.link(anna.addresses())
  const captured = Array.from({ length: 100 }, (_, index) =>
    ben.seal(signMessage(ben.keyring, { to: anna.did, body: String(index), lifetimeMs: 600_000 }), link),
  )
  expect(new Set(await Promise.all(captured.map((sealed) => codeOf(request(link, sealed)))))).toEqual(new Set(['ok']))
  const replay = async (): Promise<void> => {
    expect(new Set(await Promise.all(captured.map((sealed) => codeOf(request(link, sealed)))))).toEqual(new Set(['ERR_REPLAYED']))
  }
  for (let round = 0; round < 5; round++) {
    await link.close()
    link = await ben.link(anna.addresses())
    await replay()
  }
  await anna.stop()
  nodes.length = 0
  const again = await start('anna')
  link = await ben.link(again.addresses())
  for (let round = 0; round < 5; round++) await replay()
  expect(await again.inbox.list({ limit: 1_000 })).toHaveLength(100)
})
