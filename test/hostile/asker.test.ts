import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { utf8 } from '../../src/base/index.ts'
import { type TaskEvent, taskArtefactBytesMax } from '../../src/protocols/task/index.ts'
import { artefactOf, createStage, type EndOptions, type ScriptedStream } from '../helpers/asking.ts'
import { codeOf } from '../helpers/raw-peer.ts'
import { acceptedEvent } from '../helpers/tasks.ts'

const running: readonly TaskEvent[] = [acceptedEvent, { event: 'running' }]
const body = utf8('what it left')
const file = artefactOf('left.txt', body)

/** What the asker makes of a result, and whether it signed for it. */
async function judged(lie: (stream: ScriptedStream) => Promise<void>, order = {}): Promise<{ readonly code: string; readonly signed: number }> {
  const stage = await createStage()
  stage.script = async (stream) => {
    if (stream.opened !== 'request') return await stream.send({ event: 'refused', code: 'ERR_TASK_LOST', message: '', retryAfterMs: 0 })
    await stream.send(...running)
    await lie(stream)
  }
  const code = await codeOf(stage.run(order))
  return { code, signed: await stage.audited('receipt_countersigned') }
}
const told = async (stream: ScriptedStream, receipt: Uint8Array, result: string | undefined): Promise<void> =>
  await stream.send({ event: 'result', result, message: '', limit: '', receipt })

describe('an executor that lies about the result', () => {
  const ends = (facts: EndOptions['facts']) => async (stream: ScriptedStream) => await stream.end(42, { facts: facts ?? {} })
  const zeros = new Uint8Array(32)

  test('gets no signature: another result, another outcome, a receipt that is none, more than was granted, other files', async () => {
    const lies: Readonly<Record<string, (stream: ScriptedStream) => Promise<void>>> = {
      'another result': async (stream) => await told(stream, await stream.receipt('ok', '41'), '42'),
      'no result': async (stream) => await told(stream, await stream.receipt('ok', '42'), undefined),
      'a result of a failure': async (stream) => await told(stream, await stream.receipt('ERR_SANDBOX_THREW', undefined), '42'),
      'a failure with a result': async (stream) => await told(stream, await stream.receipt('ERR_SANDBOX_THREW', '42'), '42'),
      'other code': ends({ codeHash: zeros }),
      'other input': ends({ inputHash: zeros }),
      'another request': ends({ requestHash: zeros }),
      'a weaker level': ends({ isolation: 'native' }),
      'another engine': ends({ engine: 'wasm' }),
      'a capability nobody asked for': ends({ capabilities: ['vault:access'] }),
      'files nobody sent': ends({ artefactsIn: [zeros] }),
      'files that never came': ends({ artefactsOut: [file] }),
    }
    for (const [name, lie] of Object.entries(lies)) expect([name, await judged(lie)]).toEqual([name, { code: 'ERR_RECEIPT_INVALID', signed: 0 }])
    expect(await judged(async (stream) => await stream.end(42, { facts: { strict: false } }), { strict: true })).toEqual({
      code: 'ERR_RECEIPT_INVALID',
      signed: 0,
    })
    expect(await judged(ends({}))).toEqual({ code: 'ok', signed: 1 })
    expect((await judged(async (stream) => await told(stream, utf8('signed, honestly'), '42'))).signed).toBe(0)
    expect(await judged(async (stream) => await told(stream, await stream.receipt('ok', '{'), '{'))).toEqual({ code: 'ERR_SANDBOX_RESULT', signed: 0 })
  })

  test('gets no second signature for another receipt: what was signed first stands', async () => {
    const stage = await createStage()
    const signed: Uint8Array[] = []
    stage.script = async (stream) => {
      await stream.send(...running)
      await told(stream, await stream.receipt('ok', '"first"'), '"first"')
      signed.push(await stream.countersignature())
      stream.reset()
    }
    const seen = await stage.run()
    expect(seen.at(-1)).toMatchObject({ result: 'first' })
    const id = stage.asker.tasks.list()[0]?.id ?? ''
    stage.script = async (stream) => await stream.end('second')
    await stage.restart()
    stage.asker.wake(stage.executors[0] ?? ('' as never))
    await stage.clock.advance(1_000)
    expect(await stage.asker.tasks.describe(id)).toMatchObject({ status: 'done', result: 'first' })
    expect([signed.length, await stage.audited('receipt_countersigned')]).toEqual([1, 1])
  })
})

describe('an executor that keeps its asker waiting', () => {
  const wallMs = 5_000
  const second = 1_000
  const cases: Readonly<Record<string, { readonly say: (stream: ScriptedStream, sleep: () => Promise<void>) => Promise<void>; readonly mostMs: number }>> = {
    'says nothing': { say: async () => undefined, mostMs: 60 * second },
    'accepts and says nothing': { say: async (stream) => await stream.send(acceptedEvent), mostMs: 600 * second },
    'begins and says nothing': { say: async (stream) => await stream.send(...running), mostMs: wallMs + 30 * second },
    'goes on printing': {
      say: async (stream, sleep) => {
        await stream.send(...running)
        for (;;) {
          await sleep()
          await stream.send({ event: 'console', level: 'log', text: 'x' }, { event: 'progress', permille: 1, note: '' })
        }
      },
      mostMs: wallMs + 30 * second,
    },
    'goes on queueing and beginning': {
      say: async (stream, sleep) => {
        for (;;) {
          await sleep()
          await stream.send(acceptedEvent, { event: 'queued', position: 1 }, { event: 'running' })
        }
      },
      mostMs: (60 + 600 + 60) * second + wallMs,
    },
  }

  test('is given up in a time that was known before, and the task is lost', async () => {
    for (const [name, { say, mostMs }] of Object.entries(cases)) {
      const stage = await createStage()
      stage.script = async (stream) => {
        if (stream.opened === 'request') await say(stream, () => stage.clock.sleep(second))
        await stream.left()
      }
      const begun = stage.clock.monotonic()
      expect([name, await codeOf(stage.run({ limits: { wallMs, cpuMs: wallMs } }))]).toEqual([name, 'ERR_TIMEOUT'])
      // It is told so before, which it may let us wait for as well.
      expect([name, stage.clock.monotonic() - begun <= mostMs + 11 * second]).toEqual([name, true])
      expect(stage.asker.tasks.list()[0]).toMatchObject({ status: 'lost' })
    }
  })

  test('a deadline counts before all that', async () => {
    const stage = await createStage()
    stage.script = async (stream) => {
      await stream.send(acceptedEvent)
      await stream.left()
    }
    const begun = stage.clock.monotonic()
    expect(await codeOf(stage.run({ deadlineMs: 10 * second }))).toBe('ERR_TIMEOUT')
    expect(stage.clock.monotonic() - begun).toBeLessThanOrEqual((10 + 30 + 10) * second + 1)
  })
})

describe('files that an executor sends', () => {
  const artefact: TaskEvent = { event: 'artefact', ...file }
  const chunk = (bytes: Uint8Array): TaskEvent => ({ event: 'chunk', bytes })
  const named = (name: string): TaskEvent => ({ event: 'artefact', ...file, name })

  test('that are too many, too long, badly named or not what they say end the task, and nothing of them stays', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kindmesh-asker-'))
    const cases: Readonly<Record<string, readonly [events: readonly TaskEvent[], code: string]>> = {
      'another body': [[artefact, chunk(utf8('something el'))], 'ERR_FILE_HASH'],
      'more than it said': [[artefact, chunk(utf8('what it left, and more'))], 'ERR_PROTOCOL'],
      'less than it said': [[artefact, chunk(utf8('what')), { event: 'running' }], 'ERR_PROTOCOL'],
      'a body of nothing': [[chunk(body)], 'ERR_PROTOCOL'],
      'empty chunks': [[artefact, chunk(new Uint8Array())], 'ERR_PROTOCOL'],
      'the same name twice': [[artefact, chunk(body), artefact, chunk(body)], 'ERR_PROTOCOL'],
      'more than all may have': [
        [
          { event: 'artefact', ...file, name: 'a', size: taskArtefactBytesMax },
          { event: 'artefact', ...file, name: 'b', size: 1 },
        ],
        'ERR_WIRE_TOO_LARGE',
      ],
      'too many': [
        Array.from({ length: 33 }, (_, index) => ({ event: 'artefact', ...artefactOf(`f${index}`, new Uint8Array()) }) as const),
        'ERR_WIRE_TOO_LARGE',
      ],
      'a path': [[named('../left.txt'), chunk(body)], 'ERR_PROTOCOL'],
      'an absolute path': [[named('/etc/passwd'), chunk(body)], 'ERR_PROTOCOL'],
      'a folder above': [[named('..'), chunk(body)], 'ERR_PROTOCOL'],
      'a hidden name': [[named('.bashrc'), chunk(body)], 'ERR_PROTOCOL'],
      'a name with a control': [[named('a\u0000b'), chunk(body)], 'ERR_PROTOCOL'],
      'a name that reads backwards': [[named('a\u202etxt.exe'), chunk(body)], 'ERR_PROTOCOL'],
    }
    try {
      for (const [name, [events, code]] of Object.entries(cases)) {
        const outcome = await judged(
          async (stream) => {
            await stream.send(...events)
            await stream.end(1, { artefacts: [file] })
          },
          { out: folder },
        )
        expect([name, outcome]).toEqual([name, { code, signed: 0 }])
        expect([name, await readdir(folder)]).toEqual([name, []])
      }
      const honest = async (stream: ScriptedStream): Promise<void> => {
        await stream.send(artefact, chunk(body))
        await stream.end(1, { artefacts: [file] })
      }
      expect(await judged(honest, { out: folder })).toEqual({ code: 'ok', signed: 1 })
      expect(await readdir(folder)).toEqual(['left.txt'])
      // Of a receipt that names another file nothing is kept either.
      const other = async (stream: ScriptedStream): Promise<void> => {
        await stream.send(artefact, chunk(body))
        await stream.end(1, { artefacts: [{ ...file, name: 'other.txt' }] })
      }
      expect(await judged(other, { out: folder })).toEqual({ code: 'ERR_RECEIPT_INVALID', signed: 0 })
      expect(await readdir(folder)).toEqual(['left.txt'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
