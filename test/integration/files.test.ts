import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createSeededRandom } from '../../src/base/index.ts'
import { type BodySource, createNode, type OutgoingTransfer } from '../../src/index.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'
import { clientOf, eventually, writeBody } from '../helpers/files.ts'
import { codeOf } from '../helpers/raw-peer.ts'

const main = fileURLToPath(new URL('../../scripts/run.mjs', import.meta.url))

/** `kindmesh receive` in a process of its own; resolves once it receives. */
async function receive(node: UpNode, dir: string, ...args: readonly string[]) {
  const child = spawn(process.execPath, [main, '--home', node.home, 'receive', '--dir', dir, '--jsonl', ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: Record<string, unknown>[] = []
  const ended: Promise<unknown> = once(child, 'close')
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => lines.push(JSON.parse(line) as Record<string, unknown>))
  await once(reader, 'line')
  return {
    lines,
    ended,
    async interrupt(): Promise<unknown> {
      child.kill('SIGINT')
      return await ended
    },
  }
}

test('send --file and receive --dir: acknowledged, told line by line, never over a file that is there; messages come through as well', async () => {
  await using ground = await createPlayground()
  const [anna, ben] = await Promise.all([ground.up('anna'), ground.up('ben')])
  const [dir, path] = [join(ground.folder, 'in'), join(ground.folder, 'photo.jpg')]
  await mkdir(dir)
  const hash = await writeBody(path, 3_000_000, 1)
  const client = await clientOf(anna)
  await client.dial({ target: ben.ticket })
  const receiving = await receive(ben, dir)
  const schema = 'kindmesh.receive/1'
  expect(receiving.lines).toEqual([{ schema, event: 'ready', dir }])

  const sent = await anna.run('send', ben.did, '--file', path, '--json')
  expect([sent.code, sent.json()]).toMatchObject([
    0,
    { schema: 'kindmesh.send/1', status: 'acknowledged', to: ben.did, name: 'photo.jpg', bytes: 3_000_000, done: 3_000_000, hash },
  ])
  const { id } = sent.json()
  await client.send({ to: ben.did, body: 'hello' })
  const again = await anna.run('send', ben.did, '--file', path, '--jsonl')
  expect(
    again.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { readonly schema: string }).schema),
  ).toEqual(expect.arrayContaining(['kindmesh.send-progress/1', 'kindmesh.send/1']))
  await eventually(async () => (receiving.lines.length >= 4 ? true : undefined))
  expect(receiving.lines.slice(1)).toEqual([
    { schema, event: 'file', id, from: anna.did, name: 'photo.jpg', path: join(dir, 'photo.jpg'), bytes: 3_000_000, hash },
    { schema, event: 'message', id: expect.any(String), from: anna.did, messageType: 'text', body: 'hello', receivedAt: expect.any(Number) },
    expect.objectContaining({ event: 'file', name: 'photo (2).jpg', hash }),
  ])
  expect(await receiving.interrupt()).toEqual([0, null])
  expect(Buffer.compare(await readFile(join(dir, 'photo (2).jpg')), await readFile(path))).toBe(0)
  expect((await readdir(dir)).toSorted()).toEqual(['photo (2).jpg', 'photo.jpg'])

  // Nobody receives any more: it stays queued, is listed so, and can be called off.
  for await (const line of client.sendFile({ to: ben.did, path })) {
    if (!('error' in line) || line.error === undefined) continue
    expect(line).toMatchObject({ status: 'queued', done: 0, error: { code: 'ERR_NOT_RECEIVING' } })
    expect((await anna.run('transfers', '--cancel', line.id, '--json')).json()).toMatchObject({ cancelled: true })
    break
  }
  const { outgoing } = (await anna.run('transfers', '--json')).json() as { readonly outgoing: readonly OutgoingTransfer[] }
  expect(outgoing.map(({ status }) => status)).toEqual(['acknowledged', 'acknowledged', 'cancelled'])
  const other = await clientOf(ben)
  expect((await other.transfers()).incoming).toMatchObject([{ id, status: 'received', path: join(dir, 'photo.jpg') }, { status: 'received' }])
  expect(await client.cancelTransfer('0'.repeat(32))).toMatchObject({ cancelled: false })
  expect(await codeOf(client.sendFile({ to: ben.did, path: join(ground.folder, 'none') }).next())).toBe('ERR_USAGE')
  expect(await codeOf(other.receiveFiles({ dir: join(ground.folder, 'none') }).next())).toBe('ERR_USAGE')
  expect((await client.auditTail({ limit: 50 })).entries.filter(({ event }) => event === 'file_sent')).toHaveLength(2)
  expect((await other.auditTail({ limit: 50 })).entries.filter(({ event }) => event === 'file_received')).toHaveLength(2)
}, 120_000)

test('a file for a peer that is off is queued, also over a restart of the sender, and arrives once both are up and the other receives', async () => {
  await using ground = await createPlayground()
  const [path, dir] = [join(ground.folder, 'letter.txt'), join(ground.folder, 'in')]
  await mkdir(dir)
  await writeFile(path, 'see you')
  let ben = await ground.up('ben')
  let anna = await ground.up('anna')
  await (await clientOf(anna)).dial({ target: ben.ticket })
  await ben.end('SIGTERM')
  const queued = await anna.run('send', ben.did, '--file', path, '--json')
  expect([queued.code, queued.json()]).toMatchObject([0, { status: 'queued', bytes: 7 }])
  await anna.end('SIGKILL')
  anna = await ground.up('anna')
  ben = await ground.up('ben')
  const receiving = await receive(ben, dir, '--count', '1')
  await (await clientOf(anna)).dial({ target: ben.ticket })
  // It ends by itself after one file.
  expect(await receiving.ended).toEqual([0, null])
  expect(receiving.lines.at(-1)).toMatchObject({ event: 'file', id: queued.json()['id'], name: 'letter.txt' })
  expect(await readFile(join(dir, 'letter.txt'), 'utf8')).toBe('see you')
  const client = await clientOf(anna)
  const [transfer] = await eventually(async () => {
    const { outgoing } = await client.transfers()
    return outgoing[0]?.status === 'acknowledged' ? outgoing : undefined
  })
  expect(transfer).toMatchObject({ id: queued.json()['id'], status: 'acknowledged' })
}, 120_000)

test('the library sends a path or a body of its own, refuses a source that changed, and survives a part that was spoiled', async () => {
  await using ground = await createPlayground()
  await using anna = await createNode({ dataDir: ground.home('anna') })
  await using ben = await createNode({ dataDir: ground.home('ben') })
  const dir = join(ground.folder, 'in')
  await mkdir(dir)
  await anna.dial(ben.ticket())
  const body = createSeededRandom(4).bytes(5_000_000)
  let opened: number[] = []
  let isCut = false
  const source: BodySource = {
    name: 'made.bin',
    size: body.length,
    async *open(offset) {
      opened.push(offset)
      yield body.subarray(offset, offset + 2_000_000)
      if (isCut) throw new Error('the body is cut')
      yield body.subarray(offset + 2_000_000)
    },
  }
  const last = async (states: AsyncIterable<OutgoingTransfer>): Promise<OutgoingTransfer | undefined> => {
    let state: OutgoingTransfer | undefined
    for await (state of states);
    return state
  }
  {
    await using files = await ben.files.receive({ dir, from: [anna.did] })
    expect(await last(anna.files.send(ben.did, source, { name: '../made up.bin', mediaType: 'application/octet-stream' }))).toMatchObject({
      status: 'acknowledged',
      done: body.length,
      receipt: expect.any(String),
    })
    for await (const file of files) {
      expect(file).toMatchObject({ from: anna.did, name: '_made up.bin', bytes: body.length })
      break
    }
    expect(opened).toEqual([0, 0])
    await expect(ben.files.receive({ dir })).rejects.toMatchObject({ code: 'ERR_USAGE' })

    // Cut in the middle, its part spoiled on the disk: what does not fit its hash is thrown away, and the next attempt brings it whole.
    opened = []
    const sending = anna.files.send(ben.did, source, { name: 'spoiled.bin', wait: true })
    await sending.next()
    isCut = true
    const part = await eventually(async () => (await readdir(dir)).find((name) => name.endsWith('.part')))
    await eventually(async () =>
      ben.files.list().incoming.some(({ name, status, done }) => name === 'spoiled.bin' && status === 'partial' && done > 0) ? true : undefined,
    )
    const { done = 0 } = ben.files.list().incoming.find(({ name }) => name === 'spoiled.bin') ?? {}
    await truncate(join(dir, part), 0)
    await truncate(join(dir, part), done)
    isCut = false
    expect(await last(sending)).toMatchObject({ status: 'acknowledged' })
    expect(Buffer.compare(await readFile(join(dir, 'spoiled.bin')), body)).toBe(0)
  }

  const path = join(ground.folder, 'changing.txt')
  await writeFile(path, 'first')
  for await (const state of anna.files.send(ben.did, path)) if (state.error?.code === 'ERR_NOT_RECEIVING') break
  await writeFile(path, 'second')
  await using _files = await ben.files.receive({ dir })
  const failed = await eventually(async () => anna.files.list().outgoing.find(({ status }) => status === 'failed'))
  expect(failed).toMatchObject({ name: 'changing.txt', error: { code: 'ERR_FILE_CHANGED' } })
  expect(await readdir(dir)).not.toContain('changing.txt')
}, 120_000)
