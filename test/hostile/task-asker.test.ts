import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, MeshError, utf8 } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { sandboxLimitsDefault } from '../../src/sandbox/index.ts'
import { createTaskFolders } from '../../src/tasks/executor-files.ts'
import { tasksPerAskerMax, tasksTakenMax } from '../../src/tasks/executor.ts'
import { keyringOf, codeOf } from '../helpers/raw-peer.ts'
import { asker, createExecutorStage, fileOf, otherAsker } from '../helpers/executor-stage.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-test-tasks-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}
const pond = utf8('pond')

describe('an asker that lies about its files', () => {
  test.each([
    ['../escape', 'up a folder'],
    ['a/b', 'in a folder'],
    ['', 'none'],
    ['.hidden', 'hidden'],
    ['con', 'a device'],
    ['a\u202Etxt.exe', 'turned around'],
    ['x'.repeat(201), 'too long'],
    ['a\0b', 'with a NUL'],
    ['name. ', 'with an end that some disks drop'],
  ])('is refused a name that is %j: %s', async (name) => {
    const stage = await createExecutorStage({ workDir: folder })
    const sent = await stage.send(await stage.request({ artefacts: [fileOf(name, pond)] }), { chunks: [pond] })
    expect(sent).toMatchObject({ refused: 'ERR_TASK_FILES', events: [] })
  })

  test('is refused two names that are one on some disks, and more bytes than may come', async () => {
    const stage = await createExecutorStage({ workDir: folder })
    const twice = [fileOf('pond.txt', pond), fileOf('POND.txt', pond)]
    expect((await stage.send(await stage.request({ artefacts: twice }))).refused).toBe('ERR_TASK_FILES')
    const large = Array.from({ length: 2 }, (_, index) => ({ ...fileOf(`${index}`, pond), size: 40 << 20 }))
    expect((await stage.send(await stage.request({ artefacts: large }))).refused).toBe('ERR_TASK_FILES')
    expect(await readdir(folder)).toEqual([])
  })

  test.each([
    ['other bytes', [utf8('pund')], 'ERR_FILE_HASH'],
    ['a piece over its size', [utf8('pondpond')], 'ERR_PROTOCOL'],
    ['nothing more', [utf8('po'), new MeshError('ERR_NET_CLOSED', 'gone')], 'ERR_NET_CLOSED'],
    ['silence', [new MeshError('ERR_TIMEOUT', 'late')], 'ERR_TIMEOUT'],
  ] as const)('and sends %s runs nothing, leaves nothing, and has a receipt that says so', async (_what, chunks, code) => {
    const stage = await createExecutorStage({ workDir: folder })
    const request = await stage.request({ artefacts: [fileOf('pond.txt', pond)] })
    const sent = await stage.send(request, { chunks })
    expect(sent.refused).toBe(code)
    expect(sent.events.map(({ event }) => event)).toEqual(['accepted'])
    expect(stage.ran).toEqual([])
    await expect.poll(() => readdir(folder)).toEqual([])
    const again = await stage.send(stage.resume(request, 'attach'))
    expect(again.receipt).toMatchObject({ outcome: code === 'ERR_NET_CLOSED' ? 'ERR_TASK_CANCELLED' : code, artefactsIn: [] })
    expect(await stage.entries('code_execution_failed')).toBe(0)
  })

  test('cannot have more on the disk than its share, and hears when to come back', async () => {
    const stage = await createExecutorStage({ workDir: folder })
    const stuck: Promise<unknown>[] = []
    const half = { ...fileOf('large', pond), size: 60 << 20 }
    for (let index = 0; index < 4; index++) {
      const opened = await stage.request({ artefacts: [half] })
      stuck.push(stage.send(opened, { chunks: [pond, pond] }))
    }
    await Promise.all(stuck)
    // Those that broke off hold nothing any more.
    expect((await stage.send(await stage.request({ artefacts: [fileOf('pond', pond)] }), { chunks: [pond] })).receipt).toMatchObject({ outcome: 'ok' })
  })
})

describe('a task that leaves what may not come back', () => {
  const collecting = async (leave: (out: string) => Promise<unknown>): Promise<string> => {
    const folders = createTaskFolders(join(folder, 'collect'))
    const made = await folders.make('aa')
    await leave(join(made.path, 'out'))
    const code = await codeOf(made.collect())
    await rm(join(folder, 'collect'), { recursive: true, force: true })
    return code
  }
  test('gives no link, no folder, no hidden name, no more than 32 files', async () => {
    expect(await collecting((out) => writeFile(join(out, 'fine'), 'x'))).toBe('ok')
    expect(await collecting((out) => symlink('/etc/passwd', join(out, 'passwd')))).toBe('ERR_TASK_FILES')
    expect(await collecting((out) => symlink('.', join(out, 'loop')))).toBe('ERR_TASK_FILES')
    expect(await collecting((out) => writeFile(join(out, '.profile'), 'x'))).toBe('ERR_TASK_FILES')
    expect(await collecting((out) => rm(out, { recursive: true }).then(() => createTaskFolders(out).make('bb')))).toBe('ERR_TASK_FILES')
    expect(await collecting((out) => Promise.all(Array.from({ length: 33 }, (_, index) => writeFile(join(out, `${index}`), 'x'))))).toBe('ERR_TASK_FILES')
  })
})

describe('an asker', () => {
  test('has a request run once, whoever sends it again, and asks again only for what is its own', async () => {
    const stage = await createExecutorStage()
    const request = await stage.request({ input: '7' })
    expect((await stage.send(request, { signs: false })).receipt).toMatchObject({ outcome: 'ok' })
    expect((await stage.send(request)).refused).toBe('ERR_REPLAYED')
    expect((await stage.send(request, { keyring: otherAsker })).refused).toBe('ERR_STATEMENT_SENDER')
    expect((await stage.send(stage.resume(request, 'attach', otherAsker), { keyring: otherAsker })).refused).toBe('ERR_TASK_LOST')
    expect((await stage.send(stage.resume(request, 'stop', otherAsker), { keyring: otherAsker })).refused).toBe('ERR_TASK_LOST')
    const resumed = stage.resume(request, 'attach')
    const again = await stage.send(resumed)
    expect(again.events.at(-1)).toMatchObject({ event: 'result', result: '7' })
    expect((await stage.send(resumed)).refused).toBe('ERR_REPLAYED')
    // It signed for it: the result is gone, the task is not run again.
    expect((await stage.send(stage.resume(request, 'attach'))).refused).toBe('ERR_TASK_LOST')
    expect(stage.ran).toHaveLength(1)
  })

  test('cannot take the place of another by the id of its task', async () => {
    const stage = await createExecutorStage()
    const request = await stage.request({ input: '7' })
    await stage.send(request, { signs: false })
    const { to, type, payload, issuedAt, expiresAt, id } = request.statement
    const same = signStatement('task', { to, type, payload, issuedAt, expiresAt, id }, { keyring: otherAsker, random: createSeededRandom(1) })
    expect((await stage.send(same, { keyring: otherAsker })).refused).toBe('ERR_REPLAYED')
    expect((await stage.send(stage.resume(request, 'attach'))).events.at(-1)).toMatchObject({ result: '7' })
  })

  test.each([
    ['a deadline in the past', { deadline: 1 }, 'ERR_TASK_DEADLINE'],
    ['a capability twice', { capabilities: ['file:read', 'file:read'] }, 'ERR_WIRE_MALFORMED'],
    ['a capability nobody grants', { capabilities: ['system:api'] }, 'ERR_POLICY_DENIED'],
    ['code that is not what its hash names', { codeHash: new Uint8Array(32) }, 'ERR_SANDBOX_CODE'],
    ['a bundle where none is taken', { bundle: new Uint8Array(9) }, 'ERR_POLICY_DENIED'],
    ['an engine that needs what is not there', { engine: 'command' }, 'ERR_SANDBOX_UNAVAILABLE'],
  ] as const)('is refused with %s before anything is done', async (_what, fields, code) => {
    const stage = await createExecutorStage()
    expect(await stage.send(await stage.request(fields))).toMatchObject({ refused: code, events: [] })
    expect(stage.ran).toEqual([])
    expect(await stage.entries('task_requested')).toBe(0)
  })

  test('that floods gets its places and no more, with a time to come back; another gets its own', async () => {
    const stage = await createExecutorStage({ slots: 1 })
    const leaving = new AbortController()
    const requests = await Promise.all(Array.from({ length: 40 }, (_, index) => stage.request({ code: 'endless', input: String(index) })))
    const sent = requests.map((request) => stage.send(request, { signal: leaving.signal }))
    await turns(200)
    expect(stage.executor.served.list()).toHaveLength(tasksPerAskerMax)
    const other = stage.send(await stage.request({ code: 'endless' }, otherAsker), { keyring: otherAsker, signal: leaving.signal })
    await turns(50)
    expect(stage.executor.served.list()).toHaveLength(tasksPerAskerMax + 1)
    // As soon as one of the flood ends, it is the other's turn.
    const [first] = stage.executor.served.list()
    stage.executor.served.stop(first?.id ?? '')
    await turns(50)
    expect(stage.executor.served.list().find(({ state }) => state === 'running')?.asker).toBe(otherAsker.did)
    leaving.abort(new MeshError('ERR_NET_CLOSED', 'gone'))
    const refused = (await Promise.all(sent)).filter((one) => one.refused === 'ERR_OVERLOADED')
    expect(refused).toHaveLength(40 - tasksPerAskerMax)
    await other
    expect(stage.executor.served.list()).toEqual([])
  })

  test('of whom there are many find a full house full, and everything empty when they have gone', async () => {
    const stage = await createExecutorStage({ slots: 1 })
    const leaving = new AbortController()
    const crowd = Array.from({ length: 12 }, (_, index) => keyringOf(600 + index))
    const requests = await Promise.all(
      crowd.flatMap((keyring) => Array.from({ length: 12 }, async () => ({ keyring, request: await stage.request({ code: 'endless' }, keyring) }))),
    )
    const sent = requests.map(({ keyring, request }) => stage.send(request, { keyring, signal: leaving.signal }))
    await turns(500)
    expect(stage.executor.served.list()).toHaveLength(tasksTakenMax)
    leaving.abort(new MeshError('ERR_NET_CLOSED', 'gone'))
    const refused = (await Promise.all(sent)).filter((one) => one.refused === 'ERR_OVERLOADED')
    expect(refused).toHaveLength(144 - tasksTakenMax)
    expect(stage.executor.served.list()).toEqual([])
  })

  test('that reads nothing holds its place no longer than its task may run', async () => {
    const clock = createVirtualClock()
    const stage = await createExecutorStage({ clock, slots: 1 })
    const lines = JSON.stringify(Array.from({ length: 500 }, () => 'x'))
    const request = await stage.request({ code: 'say', input: lines, limits: { ...sandboxLimitsDefault, wallMs: 2_000 } })
    // An asker whose stream takes nothing after the first line: the loop over the events rests.
    const task = await stage.executor.open(asker.did, await stage.seal(request))
    const events = task.run({ signal: new AbortController().signal, nextChunk: () => Promise.reject(new Error('none')) })[Symbol.asyncIterator]()
    for (let index = 0; index < 4; index++) await events.next()
    await clock.advance(1_000)
    expect(stage.executor.served.list()).toHaveLength(1)
    await clock.advance(8_000)
    expect(stage.executor.served.list()).toEqual([])
    await events.return?.()
    task.end()
  })
})
