import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, randomInt, silentLogger } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { openPrekeys, openReplayGuard, sealBox } from '../../src/envelope/index.ts'
import { createIncoming, freeBytes, type Incoming, openIntake, type ReceivedFile } from '../../src/files/index.ts'
import { diskReserveBytes } from '../../src/files/incoming.ts'
import { syncEveryBytes } from '../../src/files/part-file.ts'
import { chunkBytes } from '../../src/protocols/stream/index.ts'
import { createMemoryStore, type MemoryStore, type Store } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { signOffer } from '../helpers/raw-sender.ts'

const [anna, ben] = [keyringOf(1), keyringOf(2)]
const clock = createVirtualClock()
const secret = new Uint8Array(32).fill(1)
const transfer = new Uint8Array(16).fill(2)
const cuts = process.env['KINDMESH_TEST_LONG'] === undefined ? 40 : 1_000

/** A store that is cut off after so many writes: the one at the cut may or may not have landed, none after it does. */
function cutAfter(disk: MemoryStore, writes: number, lands: boolean): Store {
  let left = writes
  const view = (store: Store): Store => ({
    ...store,
    async durable(ops) {
      if (left-- > 0) return await store.durable(ops)
      if (left === -1 && lands) await store.durable(ops)
      throw new Error('the power is gone')
    },
    sub: (prefix) => view(store.sub(prefix)),
  })
  return view(disk)
}

interface Life {
  readonly incoming: Incoming
  readonly files: readonly ReceivedFile[]
  /** Offers the body and sends it; gives the cursor it began at, or throws as the receiver does. */
  send(body: Uint8Array, name?: string): Promise<number>
}

async function live(store: Store, dir: string, free = freeBytes): Promise<Life> {
  const random = createSeededRandom(1)
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring: ben, clock, random })
  const replay = await openReplayGuard({ store: store.sub('replay'), clock })
  const audit = await createAudit({ store, sign: ben.sign, did: ben.did, clock, logger: silentLogger })
  const intake = await openIntake({ keyring: ben, clock, random, audit, store, logger: silentLogger })
  const files: ReceivedFile[] = []
  const incoming = createIncoming({
    keyring: ben,
    clock,
    prekeys,
    replay,
    audit,
    intake,
    keys: { subject: (key) => key },
    freeBytes: free,
    decide: async () => ({ allow: true, grant: undefined }),
    onFile: (file) => files.push(file),
  })
  await incoming.receive({ dir })
  const { bundle } = await prekeys.current()
  return {
    incoming,
    files,
    async send(body, name = 'body.bin') {
      const offer = signOffer({ keyring: anna }, secret, { to: ben.did, body, transfer, name, issuedAt: clock.now() })
      const opened = await incoming.open(anna.did, sealBox(offer.bytes, { bundle, now: clock.now(), random: createSeededRandom(3) }))
      const sink = await opened.accept(() => undefined)
      try {
        for (let at = sink.cursor; at < body.length; at += chunkBytes) await sink.write(body.subarray(at, at + chunkBytes))
        await sink.finish()
        return sink.cursor
      } finally {
        await sink.close()
      }
    },
  }
}

async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'kindmesh-power-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

test('power lost at any write: the file is there once in the end, whole, with nothing beside it', async () => {
  const random = createSeededRandom(21)
  const body = random.bytes(syncEveryBytes + 5 * chunkBytes + 9)
  const places = new Set<string>()
  for (let cut = 0; cut < cuts; cut++) {
    await using dir = await folder()
    const disk = createMemoryStore()
    const writes = 1 + (cut % 7)
    const first = await live(cutAfter(disk, writes, random.fraction() < 0.5), dir.path).catch(() => undefined)
    const firstCode = first === undefined ? 'not started' : await codeOf(first.send(body))
    disk.crash()
    const second = await live(disk, dir.path)
    const startedAt = await second.send(body)
    places.add(`${firstCode} ${startedAt > 0}`)
    expect(await readdir(dir.path)).toEqual(['body.bin'])
    expect(Buffer.compare(sha256(await readFile(join(dir.path, 'body.bin'))), sha256(body))).toBe(0)
    expect(second.incoming.list()).toMatchObject([{ status: 'received', done: body.length, path: join(dir.path, 'body.bin') }])
    expect((first?.files.length ?? 0) + second.files.length).toBeLessThanOrEqual(1)
    // Offered again, it is received already.
    expect(await second.send(body)).toBe(body.length)
    expect(await readdir(dir.path)).toEqual(['body.bin'])
    await second.incoming.stop()
  }
  // Both are seen: lives that end before anything is kept, and lives whose work is gone on with.
  expect([...places].some((place) => place.endsWith('true'))).toBe(true)
  expect([...places].some((place) => place.endsWith('false'))).toBe(true)
})

test('a disk too full for the whole body is said before a byte is taken; what others are to bring counts as taken', async () => {
  await using dir = await folder()
  const body = createSeededRandom(4).bytes(3 * chunkBytes)
  let free = diskReserveBytes + body.length - 1
  const { incoming, send, files } = await live(createMemoryStore(), dir.path, async () => free)
  expect(await codeOf(send(body))).toBe('ERR_DISK_FULL')
  expect([await readdir(dir.path), incoming.list()]).toEqual([[], []])
  free++
  await send(body)
  expect(files).toMatchObject([{ name: 'body.bin', bytes: body.length }])
})

test('whatever of a part is spoiled while nobody writes, the body is whole in the end or refused', async () => {
  const random = createSeededRandom(5)
  const body = random.bytes(syncEveryBytes + 3 * chunkBytes)
  for (let round = 0; round < 8; round++) {
    await using dir = await folder()
    const disk = createMemoryStore()
    // The fourth write is of the first cursor; what comes after it is lost.
    const first = await live(cutAfter(disk, 4, true), dir.path)
    await codeOf(first.send(body))
    const part = (await readdir(dir.path)).find((name) => name.endsWith('.part'))
    if (part !== undefined) {
      await using file = await open(join(dir.path, part), 'r+')
      await file.write(random.bytes(1), 0, 1, randomInt(random, syncEveryBytes))
    }
    const second = await live(disk, dir.path)
    const code = await codeOf(second.send(body))
    expect(['ok', 'ERR_FILE_HASH']).toContain(code)
    if (code !== 'ok') expect(await codeOf(second.send(body))).toBe('ok')
    expect(await readdir(dir.path)).toEqual(['body.bin'])
    expect(Buffer.compare(await readFile(join(dir.path, 'body.bin')), body)).toBe(0)
    await second.incoming.stop()
  }
})
