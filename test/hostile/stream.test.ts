import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { concat, createSeededRandom, realClock } from '../../src/base/index.ts'
import { openStatement } from '../../src/identity/index.ts'
import { createNode, type MeshNode } from '../../src/node/index.ts'
import { chunkBytes } from '../../src/protocols/stream/index.ts'
import { createStreamChannel } from '../../src/protocols/stream/channel.ts'
import type { Link } from '../../src/protocols/klp/index.ts'
import { createRawPeer, type RawPeer } from '../helpers/raw-peer.ts'
import { openRawSending, type RawSendOptions, signOffer } from '../helpers/raw-sender.ts'

const body = createSeededRandom(1).bytes(3 * chunkBytes + 777)
let home: string
let dir: string
let node: MeshNode
let peer: RawPeer
let link: Link
let stop: AbortController

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'kindmesh-stream-'))
  node = await createNode({ dataDir: join(home, 'node') })
  peer = await createRawPeer(61)
  link = await peer.link(node.addresses())
})
afterAll(async () => {
  stop.abort()
  await node.stop()
  await peer[Symbol.asyncDispose]()
  await rm(home, { recursive: true, force: true })
})
beforeEach(async () => {
  dir = await mkdtemp(join(home, 'in-'))
})
afterEach(async () => {
  // What a test left unfinished counts against the next.
  await Promise.all(node.files.list().incoming.map(({ id }) => node.files.cancel(id)))
})

/** Lets the node take files into a fresh folder. */
async function receiving(from?: Parameters<MeshNode['files']['receive']>[0]['from']): Promise<AsyncDisposable> {
  stop = new AbortController()
  return await node.files.receive({ dir, signal: stop.signal, ...(from === undefined ? {} : { from }) })
}
const send = (options: RawSendOptions = {}, by = peer, over = link) => openRawSending(by, over, { body, ...options })
/** What the receiver says to an offer it does not take. */
async function refusal(options: RawSendOptions = {}, by = peer, over = link): Promise<string> {
  const event = await (await send(options, by, over)).next()
  return event?.event === 'refused' || event?.event === 'plain' ? event.code : String(event?.event)
}
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}
const parts = async (): Promise<readonly string[]> => (await readdir(dir)).filter((name) => name.endsWith('.part'))

test('an honest sender by hand gets a receipt that names its offer, and the file is there', async () => {
  await using _files = await receiving()
  const sending = await send({ name: 'honest.bin' })
  expect(await sending.next()).toEqual({ event: 'accepted', cursor: 0 })
  await sending.rest(body, 0)
  const events = await sending.all()
  const last = events.at(-1)
  if (last?.event !== 'received') throw new Error(`${last?.event ?? 'nothing'} came`)
  const receipt = openStatement('stream-receipt', last.receipt, { now: realClock.now(), lifetimeMsMax: 400 * 86_400_000 })
  expect([receipt.statement.from, receipt.statement.to]).toEqual([node.did, peer.keyring.did])
  expect(await readdir(dir)).toEqual(['honest.bin'])
  expect(Buffer.compare(await readFile(join(dir, 'honest.bin')), body)).toBe(0)
})

describe('offers that are not taken', () => {
  test('while nobody receives, and after; the stranger hears when to come back', async () => {
    const sending = await send()
    expect(await sending.next()).toMatchObject({ event: 'refused', code: 'ERR_NOT_RECEIVING', retryAfterMs: 1_000 })
    await (await receiving())[Symbol.asyncDispose]()
    expect(await refusal()).toBe('ERR_NOT_RECEIVING')
    expect(await readdir(dir)).toEqual([])
  })

  test('of somebody who is not among those named', async () => {
    await using _files = await receiving([node.did])
    expect(await refusal()).toBe('ERR_POLICY_DENIED')
    expect(await readdir(dir)).toEqual([])
  })

  test('made twice, altered, expired, of another kind, to another, or carried by another', async () => {
    await using _files = await receiving()
    const secret = new Uint8Array(32).fill(3)
    const good = signOffer(peer, secret, { to: node.did, body, name: 'once.bin' })
    const first = await send({ signed: good, secret })
    expect(await first.next()).toMatchObject({ event: 'accepted' })
    await first.rest(body, 0)
    await first.all()
    // The same box again, and the same statement in a box of its own.
    expect(await refusal({ signed: good, secret, sealed: first.sealed })).toBe('ERR_REPLAYED')
    expect(await refusal({ signed: good, secret })).toBe('ERR_REPLAYED')
    expect(await readdir(dir)).toEqual(['once.bin'])

    const altered = first.sealed.slice()
    altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
    expect(await refusal({ sealed: altered })).toBe('ERR_CRYPTO_OPEN')
    expect(await refusal({ sealed: new Uint8Array(900) })).toBe('ERR_WIRE_MALFORMED')
    expect(await refusal({ issuedAt: realClock.now() - 400_000 })).toBe('ERR_STATEMENT_EXPIRED')
    expect(await refusal({ lifetimeMs: 700_000 })).toBe('ERR_STATEMENT_LIFETIME')
    expect(await refusal({ kind: 'message' })).toBe('ERR_WIRE_MALFORMED')
    expect(await refusal({ signed: signOffer(peer, secret, { to: peer.keyring.did, body }), secret })).toBe('ERR_STATEMENT_AUDIENCE')
    await using other = await createRawPeer(62)
    expect(await refusal({ signed: signOffer(other, secret, { to: node.did, body }), secret })).toBe('ERR_STATEMENT_SENDER')
  })

  test('larger than one sender may have here, or than the disk has room for, before a byte is written', async () => {
    await using _files = await receiving()
    expect(await refusal({ size: 65 * 1024 ** 3 })).toBe('ERR_OVERLOADED')
    expect(await refusal({ size: 1024 ** 4 })).toBe('ERR_OVERLOADED')
    expect(await readdir(dir)).toEqual([])
    expect(node.files.list().incoming.filter(({ status }) => status !== 'received')).toEqual([])
  })

  test('more unfinished than one sender may have: the one that rested longest gives way, and no other sender’s', async () => {
    await using _files = await receiving()
    await using other = await createRawPeer(64)
    const theirs = await send({ name: 'theirs.bin' }, other, await other.link(node.addresses()))
    await theirs.next()
    theirs.stream.abort(new Error('cut'))
    for (let index = 0; index < 18; index++) {
      const sending = await send({ name: `${index}.bin` })
      expect(await sending.next()).toMatchObject({ event: 'accepted' })
      sending.stream.abort(new Error('cut'))
      await until(() => node.files.list().incoming.every(({ status }) => status !== 'receiving'))
    }
    const unfinished = node.files.list().incoming.filter(({ status }) => status === 'partial')
    expect(unfinished.map(({ name }) => name)).toEqual(['theirs.bin', ...Array.from({ length: 16 }, (_, index) => `${index + 2}.bin`)])
    expect(await parts()).toHaveLength(17)
  })

  test('more at a time than one sender may have', async () => {
    await using _files = await receiving()
    const open = []
    for (let index = 0; index < 4; index++) {
      const sending = await send({ name: `${index}.bin` })
      expect(await sending.next()).toMatchObject({ event: 'accepted' })
      open.push(sending)
    }
    expect(await refusal()).toBe('ERR_OVERLOADED')
    for (const sending of open) sending.stream.abort(new Error('enough'))
  })
})

test('names that would leave the folder, hide or overwrite become plain names in it', async () => {
  await using _files = await receiving()
  await writeFile(join(dir, 'mine.txt'), 'mine')
  await mkdir(join(dir, 'sub'))
  const names = [
    '../escaped.txt',
    '../../../../tmp/kindmesh-escaped',
    '.hidden',
    'sub/inside.txt',
    'mine.txt',
    'mine.txt',
    'nul\u0000byte',
    'CON',
    '..',
    'x'.repeat(255),
  ]
  for (const name of names) {
    const sending = await send({ name })
    await sending.next()
    await sending.rest(body, 0)
    expect((await sending.all()).at(-1)).toMatchObject({ event: 'received' })
  }
  expect((await readdir(dir)).toSorted()).toEqual(
    [
      '_.._.._.._tmp_kindmesh-escaped',
      '_CON',
      '_escaped.txt',
      'file',
      'hidden',
      'mine (2).txt',
      'mine (3).txt',
      'mine.txt',
      'nul_byte',
      'sub',
      'sub_inside.txt',
      'x'.repeat(200),
    ].toSorted(),
  )
  expect(await readdir(join(dir, 'sub'))).toEqual([])
  expect(await readFile(join(dir, 'mine.txt'), 'utf8')).toBe('mine')
})

describe('bodies that are not what was offered', () => {
  test('a body with another hash gets no name and leaves nothing behind', async () => {
    await using _files = await receiving()
    const sending = await send({ hash: new Uint8Array(32).fill(1) })
    await sending.next()
    await sending.rest(body, 0)
    expect((await sending.all()).at(-1)).toMatchObject({ event: 'refused', code: 'ERR_FILE_HASH' })
    expect(await readdir(dir)).toEqual([])
  })

  test('chunks too long, too short, left out, twice, in another order or of another stream end it; none is written as something else', async () => {
    await using _files = await receiving()
    const chunks = [0, 1, 2, 3].map((index) => body.subarray(index * chunkBytes, (index + 1) * chunkBytes))
    const [a, b] = chunks as [Uint8Array, Uint8Array]
    for (const [what, bytes, code] of [
      ['long', concat(a, new Uint8Array(1)), 'ERR_PROTOCOL'],
      ['short', a.subarray(1), 'ERR_PROTOCOL'],
      ['empty', new Uint8Array(), 'ERR_PROTOCOL'],
    ] as const) {
      const sending = await send()
      await sending.next()
      await sending.chunk(bytes)
      expect([what, (await sending.all()).at(-1)]).toMatchObject([what, { event: 'refused', code }])
    }
    const secret = new Uint8Array(32).fill(4)
    for (const order of [[1], [0, 0], [0, 2], [1, 0]]) {
      const signed = signOffer(peer, secret, { to: node.did, body })
      const sending = await send({ signed, secret })
      await sending.next()
      const channel = createStreamChannel(secret, 'to-receiver', signed.hash)
      const frames = chunks.map((chunk) => channel.seal(chunk))
      for (const index of order) await sending.stream.send(frames[index] ?? b).catch(() => undefined)
      expect([order, (await sending.all()).at(-1)]).toMatchObject([order, { event: 'refused', code: 'ERR_CRYPTO_OPEN' }])
      // A frame of one stream is nothing in the next.
      const other = await send({ secret })
      await other.next()
      await other.stream.send(frames[0] ?? b).catch(() => undefined)
      expect((await other.all()).at(-1)).toMatchObject({ event: 'refused', code: 'ERR_CRYPTO_OPEN' })
    }
    expect((await readdir(dir)).filter((name) => !name.endsWith('.part'))).toEqual([])
  })

  test('what is sent behind the end is not read, and the file is what was offered', async () => {
    await using _files = await receiving()
    const sending = await send({ name: 'end.bin' })
    await sending.next()
    await sending.rest(body, 0)
    for (let more = 0; more < 40; more++) if (!(await sending.chunk(new Uint8Array(chunkBytes)))) break
    // Who breaks the rule may miss the receipt; what was offered is there all the same.
    await until(() => node.files.list().incoming.some(({ name, status }) => name === 'end.bin' && status === 'received'))
    expect((await readFile(join(dir, 'end.bin'))).length).toBe(body.length)
  })

  test('an end that never comes leaves a part and no file', async () => {
    await using _files = await receiving()
    const transfer = new Uint8Array(16).fill(6)
    const sending = await send({ name: 'cut.bin', transfer })
    await sending.next()
    await sending.chunk(body.subarray(0, chunkBytes))
    await sending.stream.close()
    const again = await send({ name: 'cut.bin', transfer })
    // What came before the cut is kept; the rest is wanted.
    expect(await again.next()).toEqual({ event: 'accepted', cursor: chunkBytes })
    again.stream.abort(new Error('enough'))
    expect(await readdir(dir)).toEqual(await parts())
  })
})

describe('the transfer of another', () => {
  test('is not reached by its id: each sender has its own part and its own file', async () => {
    await using _files = await receiving()
    await using other = await createRawPeer(63)
    const otherLink = await other.link(node.addresses())
    const transfer = new Uint8Array(16).fill(7)
    const mine = await send({ name: 'mine.bin', transfer })
    await mine.next()
    await mine.chunk(body.subarray(0, chunkBytes))
    const theirs = await send({ name: 'theirs.bin', transfer, body: new Uint8Array(10) }, other, otherLink)
    expect(await theirs.next()).toEqual({ event: 'accepted', cursor: 0 })
    await theirs.rest(new Uint8Array(10), 0)
    expect((await theirs.all()).at(-1)).toMatchObject({ event: 'received' })
    await mine.rest(body, chunkBytes)
    expect((await mine.all()).at(-1)).toMatchObject({ event: 'received' })
    expect((await readdir(dir)).toSorted()).toEqual(['mine.bin', 'theirs.bin'])
  })

  test('cannot be gone on with under another hash or size, and is received once however often it is offered', async () => {
    await using _files = await receiving()
    const transfer = new Uint8Array(16).fill(8)
    const begun = await send({ name: 'begun.bin', transfer })
    await begun.next()
    expect(await refusal({ transfer, body: new Uint8Array(5) })).toBe('ERR_FILE_CHANGED')
    expect(await refusal({ transfer, hash: new Uint8Array(32) })).toBe('ERR_FILE_CHANGED')
    const again = await send({ name: 'begun.bin', transfer })
    const accepted = await again.next()
    if (accepted?.event !== 'accepted') throw new Error(`${accepted?.event ?? 'nothing'} came`)
    await again.rest(body, accepted.cursor)
    expect((await again.all()).at(-1)).toMatchObject({ event: 'received' })
    // The newer stream took the place of the older.
    expect((await begun.all()).at(-1)).toMatchObject({ event: 'refused', code: 'ERR_NET_CLOSED' })
    for (let time = 0; time < 3; time++) expect(await (await send({ name: 'begun.bin', transfer })).next()).toMatchObject({ event: 'received' })
    expect(await readdir(dir)).toEqual(['begun.bin'])
  })
})

test('a file on its way is told off when receiving ends, and goes on from there when it begins again', async () => {
  const files = await receiving()
  const transfer = new Uint8Array(16).fill(9)
  const sending = await send({ name: 'pause.bin', transfer })
  await sending.next()
  await sending.chunk(body.subarray(0, chunkBytes))
  await sending.chunk(body.subarray(chunkBytes, 2 * chunkBytes))
  await until(() => node.files.list().incoming.some(({ name, done }) => name === 'pause.bin' && done === 2 * chunkBytes))
  await files[Symbol.asyncDispose]()
  expect((await sending.all()).at(-1)).toMatchObject({ event: 'refused', code: 'ERR_NOT_RECEIVING' })
  await using _again = await receiving()
  const next = await send({ name: 'pause.bin', transfer })
  expect(await next.next()).toEqual({ event: 'accepted', cursor: 2 * chunkBytes })
  await next.rest(body, 2 * chunkBytes)
  expect((await next.all()).at(-1)).toMatchObject({ event: 'received' })
})
