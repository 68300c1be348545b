import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hex, utf8 } from '../../src/base/index.ts'
import type { TaskEvent } from '../../src/protocols/task/index.ts'
import type { TaskLogItem, TaskProgress } from '../../src/tasks/index.ts'
import { artefactOf, createStage, type Stage } from '../helpers/asking.ts'
import { codeOf } from '../helpers/raw-peer.ts'
import { acceptedEvent } from '../helpers/tasks.ts'

const line = (text: string): TaskEvent => ({ event: 'console', level: 'log', text })
const typesOf = (seen: readonly TaskProgress[]): readonly string[] => seen.map(({ type }) => type)
const settle = async (stage: Stage): Promise<void> => {
  await stage.clock.advance(0)
}
async function logOf(stage: Stage, id: string, follow = false): Promise<readonly TaskLogItem[]> {
  const items: TaskLogItem[] = []
  for await (const item of stage.asker.tasks.logs(id, { follow })) items.push(item)
  return items
}

describe('a task that is asked for', () => {
  test('is on disk before it is sent: where the disk fails nothing is sent', async () => {
    let isFull = false
    const stage = await createStage({ fault: (_write, durable) => (isFull && durable ? 'fail' : undefined) })
    isFull = true
    expect(await codeOf(stage.run())).toBe('ERR_STORE_FAILED')
    expect(stage.streams).toEqual([])
    isFull = false
    expect(typesOf(await stage.run())).toEqual(['asked', 'attempt', 'result'])
  })

  test('yields what its executor says, and is listed with times, log, result and the receipt both signed', async () => {
    const stage = await createStage()
    stage.script = async (stream) => {
      await stream.send(
        acceptedEvent,
        { event: 'queued', position: 3 },
        { event: 'running' },
        line('one'),
        { event: 'progress', permille: 500, note: 'half' },
        line('two'),
      )
      await stream.end({ sum: 42 })
    }
    const seen = await stage.run({ priority: 7, limits: { wallMs: 1_000 }, capabilities: ['file:write', 'file:read'], strict: false })
    expect(typesOf(seen)).toEqual(['asked', 'attempt', 'accepted', 'queued', 'running', 'console', 'progress', 'console', 'result'])
    expect(seen.at(-1)).toMatchObject({ ok: true, result: { sum: 42 }, receipt: { outcome: 'ok' } })
    const [task] = stage.asker.tasks.list()
    expect(task).toMatchObject({ status: 'done', executor: stage.executors[0], priority: 7, capabilities: ['file:read', 'file:write'], error: null })
    const id = task?.id ?? ''
    const described = await stage.asker.tasks.describe(id.slice(0, 6))
    expect(described).toMatchObject({ id, result: { sum: 42 }, progress: { fraction: 0.5, note: 'half' }, document: { id: task?.receipt } })
    expect((await logOf(stage, id)).map((item) => (item.type === 'line' ? item.text : item.type))).toEqual(['one', 'two', 'end'])
    expect(await stage.audited('task_requested')).toBe(1)
    expect(await stage.audited('receipt_countersigned')).toBe(1)
  })

  test('is refused before anything is sent when the order makes no sense', async () => {
    const stage = await createStage()
    const wrong = [
      { priority: 10 },
      { priority: 1.5 },
      { deadlineMs: 0 },
      { retries: 9 },
      { engine: 'perl' },
      { isolation: 'none' },
      { capabilities: ['root'] },
      { traceId: 'x' },
    ]
    for (const order of wrong) expect([order, await codeOf(stage.run(order as never))]).toEqual([order, 'ERR_USAGE'])
    for (const files of [
      [{ name: '../x', bytes: utf8('a') }],
      [{ name: 'a' }],
      [
        { name: 'a', bytes: utf8('1') },
        { name: 'a', bytes: utf8('2') },
      ],
    ]) {
      expect(await codeOf(stage.run({ files }))).toBe('ERR_USAGE')
    }
    expect(await codeOf(stage.run({ code: 'x'.repeat(256 * 1024 + 1) }))).toBe('ERR_WIRE_TOO_LARGE')
    expect(stage.asker.tasks.list()).toEqual([])
    expect(stage.streams).toEqual([])
  })

  test('keeps the end of a long log and says how much of it is gone', async () => {
    const stage = await createStage()
    stage.script = async (stream) => {
      await stream.send(acceptedEvent)
      for (let index = 0; index < 1_500; index++) await stream.send(line(`${index} ${'x'.repeat(1_000)}`))
      await stream.end(null)
    }
    await stage.run()
    const id = stage.asker.tasks.list()[0]?.id ?? ''
    const [cut, first, ...rest] = await logOf(stage, id)
    if (cut?.type !== 'cut' || first?.type !== 'line') throw new Error('the log does not say what was cut')
    expect(cut.lines).toBeGreaterThan(400)
    expect(first.n).toBe(cut.lines + 1)
    expect(rest.filter((item) => item.type === 'line')).toHaveLength(1_500 - cut.lines - 1)
    await stage.restart()
    expect((await logOf(stage, id)).slice(0, 2)).toEqual([cut, first])
  })
})

describe('another attempt', () => {
  const overloaded: TaskEvent = { event: 'refused', code: 'ERR_OVERLOADED', message: 'full', retryAfterMs: 20_000 }

  test('follows a failure that may pass, not before the executor said, only when the order is idempotent, and no more often than it says', async () => {
    for (const [order, attempts] of [
      [{}, 1],
      [{ retries: 3 }, 1],
      [{ idempotent: true, retries: 0 }, 1],
      [{ idempotent: true }, 3],
      [{ idempotent: true, retries: 1 }, 2],
    ] as const) {
      const stage = await createStage()
      stage.script = async (stream) => {
        await stream.send(overloaded)
        await stream.close()
      }
      const begun = stage.clock.monotonic()
      expect(await codeOf(stage.run(order))).toBe('ERR_OVERLOADED')
      expect(stage.streams).toHaveLength(attempts)
      expect(stage.clock.monotonic() - begun).toBeGreaterThanOrEqual((attempts - 1) * 20_000)
      const [task] = stage.asker.tasks.list()
      expect(task).toMatchObject({ status: 'failed', error: { code: 'ERR_OVERLOADED' } })
      // Each is a request of its own: none is sent twice.
      expect(new Set(task?.attempts.map(({ id }) => id)).size).toBe(attempts)
    }
  })

  test('never follows a refusal that lasts', async () => {
    for (const code of ['ERR_TRUST_LOW', 'ERR_POLICY_DENIED', 'ERR_SANDBOX_UNAVAILABLE', 'ERR_SANDBOX_CODE']) {
      const stage = await createStage()
      stage.script = async (stream) => await stream.send({ event: 'refused', code, message: 'no', retryAfterMs: 0 })
      expect(await codeOf(stage.run({ idempotent: true, retries: 5 }))).toBe(code)
      expect(stage.streams).toHaveLength(1)
    }
  })

  test('follows a crash that both signed for, and the deadline ends them all', async () => {
    const stage = await createStage()
    let runs = 0
    stage.script = async (stream) => await (++runs < 3 ? stream.end('the worker died', { code: 'ERR_SANDBOX_CRASHED' }) : stream.end('well'))
    const seen = await stage.run({ idempotent: true })
    expect(typesOf(seen)).toEqual(['asked', 'attempt', 'retry', 'attempt', 'retry', 'attempt', 'result'])
    expect(seen.at(-1)).toMatchObject({ ok: true, result: 'well' })
    expect(await stage.audited('receipt_countersigned')).toBe(3)

    runs = 0
    const [failed] = (await stage.run()).slice(-1)
    expect(failed).toMatchObject({ type: 'result', ok: false, error: { code: 'ERR_SANDBOX_CRASHED' } })

    stage.script = async (stream) => await stream.send({ event: 'refused', code: 'ERR_OVERLOADED', message: 'full', retryAfterMs: 0 })
    const begun = stage.clock.now()
    expect(await codeOf(stage.run({ idempotent: true, retries: 8, deadlineMs: 3_000 }))).toBe('ERR_OVERLOADED')
    expect(stage.clock.now() - begun).toBeLessThan(3_000)
  })

  test('of a task for any peer goes to another one', async () => {
    const tried: number[] = []
    const stage = await createStage({
      executors: 3,
      choose: async (_order, { tried: before }) => {
        tried.push(before.length)
        const executor = stage.executors.find((did) => !before.includes(did))
        if (executor === undefined) throw new Error('all were tried')
        return { executor, why: 'not tried' }
      },
    })
    stage.script = async (stream) =>
      await (stage.streams.length < 3 ? stream.send({ event: 'refused', code: 'ERR_OVERLOADED', message: 'full', retryAfterMs: 0 }) : stream.end(1))
    await stage.run({ on: 'any', idempotent: true })
    expect(stage.streams).toEqual([
      ['request', 0],
      ['request', 1],
      ['request', 2],
    ])
    expect(tried).toEqual([0, 1, 2])
  })
})

describe('an executor that goes away', () => {
  test('is asked for the same task again, never to run it again, and the result comes once', async () => {
    const stage = await createStage()
    stage.script = async (stream) => {
      if (stream.opened === 'request') {
        await stream.send(acceptedEvent, { event: 'running' }, line('before'))
        return stream.reset()
      }
      if (stage.streams.length < 4) return stream.reset()
      await stream.send(line('after'))
      await stream.end(7)
    }
    const seen = await stage.run({ limits: { wallMs: 60_000, cpuMs: 60_000 } })
    expect(seen.filter(({ type }) => type === 'result')).toHaveLength(1)
    expect(stage.streams.map(([kind]) => kind)).toEqual(['request', 'attach', 'attach', 'attach'])
    expect(await stage.audited('task_requested')).toBe(1)
    expect(await stage.audited('receipt_countersigned')).toBe(1)
  })

  test('leaves a lost task when it stays away or has forgotten it; when it tells later after all, the result is taken once', async () => {
    const stage = await createStage()
    stage.script = async (stream) => {
      await stream.send(acceptedEvent, { event: 'running' })
      stage.isCut = true
      stream.reset()
    }
    expect(await codeOf(stage.run())).toBe('ERR_TIMEOUT')
    const [task] = stage.asker.tasks.list()
    expect(task).toMatchObject({ status: 'lost' })
    const id = task?.id ?? ''
    await stage.restart()
    expect(stage.asker.tasks.list()[0]).toMatchObject({ id, status: 'lost' })
    stage.isCut = false
    stage.script = async (stream) => await stream.end('late')
    let hash = ''
    const original = stage.script
    stage.script = async (stream) => {
      hash = hex(stream.request.hash)
      await original(stream)
    }
    stage.asker.hint(stage.executors[0] ?? ('' as never), 'another')
    await settle(stage)
    expect(stage.asker.tasks.list()[0]).toMatchObject({ status: 'lost' })
    stage.asker.wake(stage.executors[0] ?? ('' as never))
    await stage.clock.advance(1_000)
    expect(await stage.asker.tasks.describe(id)).toMatchObject({ status: 'done', result: 'late' })
    const before = stage.streams.length
    stage.asker.hint(stage.executors[0] ?? ('' as never), hash)
    stage.asker.wake(stage.executors[0] ?? ('' as never))
    await stage.clock.advance(1_000)
    expect(stage.streams).toHaveLength(before)
    expect(await stage.audited('receipt_countersigned')).toBe(1)

    stage.script = async (stream) => {
      if (stream.opened === 'request') return stream.reset()
      await stream.send({ event: 'refused', code: 'ERR_TASK_LOST', message: 'not known', retryAfterMs: 0 })
    }
    expect(await codeOf(stage.run())).toBe('ERR_TASK_LOST')
    expect(stage.asker.tasks.list()[0]).toMatchObject({ status: 'lost' })
  })

  test('that was never reached leaves a failed task', async () => {
    const stage = await createStage()
    stage.isCut = true
    expect(await codeOf(stage.run())).toBe('ERR_NET_UNREACHABLE')
    expect(stage.asker.tasks.list()[0]).toMatchObject({ status: 'failed', error: { code: 'ERR_NET_UNREACHABLE' } })
  })
})

describe('the asker’s own end', () => {
  test('a power cut while it waits: started again it has the result, once, whenever it is cut', async () => {
    for (const at of ['sent', 'accepted', 'told', 'signed'] as const) {
      const stage = await createStage()
      const reached = Promise.withResolvers<void>()
      let runs = 0
      stage.script = async (stream) => {
        if (stream.opened === 'request') {
          runs++
          if (at !== 'sent') await stream.send(acceptedEvent, { event: 'running' }, line('hello'))
          if (at === 'told' || at === 'signed') {
            const receipt = await stream.receipt('ok', '"done"')
            await stream.send({ event: 'result', result: '"done"', message: '', limit: '', receipt })
            if (at === 'signed') await stream.countersignature()
          }
          reached.resolve()
          return await stream.left()
        }
        await stream.end('done')
      }
      const id = await stage.start()
      await reached.promise
      if (at === 'accepted') await stage.clock.advance(300)
      await stage.restart()
      await stage.clock.advance(5_000)
      expect([at, await stage.asker.tasks.describe(id)]).toMatchObject([at, { status: 'done', result: 'done' }])
      expect([at, runs, await stage.audited('receipt_countersigned')]).toEqual([at, 1, 1])
      const streams = stage.streams.length
      await stage.restart()
      await stage.clock.advance(5_000)
      expect(stage.streams).toHaveLength(streams)
      expect(await stage.asker.tasks.describe(id)).toMatchObject({ status: 'done', result: 'done', executor: stage.executors[0] })
    }
  })

  test('leaving the loop and calling off stop the task, and its executor signs for that', async () => {
    for (const how of ['leave', 'abort', 'stop'] as const) {
      const stage = await createStage()
      stage.script = async (stream) => {
        if (stream.opened === 'stop') return await stream.end('stopped by its asker', { code: 'ERR_TASK_CANCELLED' })
        await stream.send(acceptedEvent, { event: 'running' })
        await stream.left()
      }
      const controller = new AbortController()
      const running = async (): Promise<void> => {
        for await (const progress of stage.asker.tasks.run(
          { on: stage.executors[0] ?? 'any', code: 'for (;;);', input: null },
          { signal: controller.signal },
        )) {
          if (progress.type !== 'running') continue
          if (how === 'leave') break
          if (how === 'abort') controller.abort()
          else void stage.asker.tasks.stop(stage.asker.tasks.list()[0]?.id ?? '')
        }
      }
      expect([how, await codeOf(stage.clock.run(running()))]).toEqual([how, how === 'abort' ? 'ERR_ABORTED' : 'ok'])
      await stage.clock.advance(1_000)
      expect(stage.streams.map(([kind]) => kind)).toEqual(['request', 'stop'])
      expect(stage.asker.tasks.list()[0]).toMatchObject({ status: 'cancelled' })
      expect((await stage.asker.tasks.describe(stage.asker.tasks.list()[0]?.id ?? '')).document).toMatchObject({ outcome: 'ERR_TASK_CANCELLED' })
    }
  })

  test('stopping the node leaves what goes on to its next start', async () => {
    const stage = await createStage()
    stage.script = async (stream) => {
      await stream.send(acceptedEvent, { event: 'running' })
      await stream.left()
    }
    const id = await stage.start()
    await stage.clock.advance(10)
    await stage.asker.stop()
    expect(stage.streams.map(([kind]) => kind)).toEqual(['request'])
    stage.script = async (stream) => await stream.end(5)
    await stage.restart()
    await stage.clock.advance(100)
    expect(await stage.asker.tasks.describe(id)).toMatchObject({ status: 'done', result: 5 })
  })
})

describe('files', () => {
  test('go in the order of the request and come back into the folder, where none is written over', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-asker-'))
    try {
      const stage = await createStage()
      const big = new Uint8Array(200_000).map((_, index) => index % 251)
      await writeFile(join(folder, 'big.bin'), big)
      await writeFile(join(folder, 'out.txt'), 'mine')
      const got: Buffer[] = []
      const answer = utf8('answer')
      stage.script = async (stream) => {
        await stream.send(acceptedEvent)
        const total = stream.request.fields.artefacts.reduce((sum, { size }) => sum + size, 0)
        for (let at = 0; at < total; at += got.at(-1)?.length ?? 0) got.push(Buffer.from(await stream.chunk()))
        const [out, empty] = [artefactOf('out.txt', answer), artefactOf('empty', new Uint8Array())]
        await stream.send(
          { event: 'artefact', ...out },
          { event: 'chunk', bytes: answer.slice(0, 2) },
          { event: 'chunk', bytes: answer.slice(2) },
          { event: 'artefact', ...empty },
        )
        await stream.end(null, { artefacts: [out, empty] })
      }
      const seen = await stage.run({ files: [{ path: join(folder, 'big.bin') }, { name: 'b', bytes: utf8('second') }], out: folder })
      expect(Buffer.concat(got)).toEqual(Buffer.concat([big, utf8('second')]))
      expect(got.every(({ length }) => length <= 64 * 1024)).toBe(true)
      expect(seen.at(-1)).toMatchObject({
        artefacts: [
          { name: 'out.txt', path: join(folder, 'out (2).txt') },
          { name: 'empty', bytes: 0 },
        ],
      })
      expect(await readFile(join(folder, 'out (2).txt'), 'utf8')).toBe('answer')
      expect(await readFile(join(folder, 'out.txt'), 'utf8')).toBe('mine')
      expect((await readdir(folder)).toSorted()).toEqual(['big.bin', 'empty', 'out (2).txt', 'out.txt'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('that change before they are sent end the task with a word about it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-asker-'))
    try {
      const stage = await createStage()
      const path = join(folder, 'a.txt')
      await writeFile(path, 'one')
      stage.script = async (stream) => {
        await writeFile(path, 'two')
        await stream.send(acceptedEvent)
        await stream.left()
      }
      expect(await codeOf(stage.run({ files: [{ path }] }))).toBe('ERR_FILE_CHANGED')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
