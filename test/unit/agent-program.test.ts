import { describe, expect, test } from 'vitest'
import {
  createProgram,
  createProgramLog,
  createProgramMail,
  hashCode,
  openInbox,
  openProgramRecords,
  type Message,
  type Program,
  specOf,
} from '../../src/agents/index.ts'
import { beginMail, programTriesMax } from '../../src/agents/program-mail.ts'
import { programLogCharsMax, programLogLineCharsMax, programLogLinesMax, programLogReadersMax } from '../../src/agents/program-log.ts'
import {
  programEndsMax,
  programLifeMsMin,
  programMessagesAtOnceMax,
  programMessagesPerSenderMax,
  programMessagesWaitingMax,
  programPatienceMsMax,
  programRestartDelayMsMax,
  programRestartDelayMsMin,
} from '../../src/agents/program.ts'
import { createSeededRandom, createVirtualClock, type ErrorCode, MeshError, silentLogger, type VirtualClock } from '../../src/base/index.ts'
import type { HostAnswer, RunControl, SandboxEvent } from '../../src/sandbox/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const usage = { cpuMs: 7, wallMs: 9, memoryBytes: 5, outputBytes: 0, hostCalls: 0, netBytes: 0, fsOps: 0 }
const down: HostAnswer = { ok: false, code: 'ERR_AGENT_DOWN', message: 'the agent ended before it answered' }
const failed = (code: ErrorCode): SandboxEvent => ({ type: 'failed', code, message: `because of ${code}`, usage, security: [] })
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof MeshError ? error.code : String(error)),
  )

/** One life, led by the test. */
interface FakeLife {
  readonly at: number
  readonly handed: { readonly message: string; answer(given: HostAnswer): void }[]
  receive(): void
  /** Ends it, and what it has in hand. */
  end(event: SandboxEvent): void
}

interface Stage {
  readonly clock: VirtualClock
  readonly lives: FakeLife[]
  readonly lines: string[]
  readonly program: Program
  deliver(message: string, from?: string, signal?: AbortSignal): Promise<string>
}

/** A program whose lives receive at once when `ready`, and answer as `answer` says. */
function stage({
  ready = true,
  answer,
  seed = 1,
  onChange = () => undefined,
}: { ready?: boolean; answer?: (message: string) => HostAnswer; seed?: number; onChange?: () => void } = {}): Stage {
  const clock = createVirtualClock()
  const [lives, lines]: [FakeLife[], string[]] = [[], []]
  const program = createProgram({
    name: 'a',
    clock,
    random: createSeededRandom(seed),
    async *live({ signal, onControl }) {
      const events: SandboxEvent[] = []
      let wake = (): void => undefined
      const push = (event: SandboxEvent): void => {
        events.push(event)
        wake()
      }
      const handed: FakeLife['handed'] = []
      const control: RunControl = {
        suspend: async () => undefined,
        resume: async () => undefined,
        usage: () => usage,
        deliver: async (message, given) => {
          const known = answer?.(message)
          if (known !== undefined) return known
          return await new Promise<HostAnswer>((resolve) => {
            handed.push({ message, answer: (answered) => resolve(answered) })
            given.addEventListener('abort', () => resolve({ ok: false, code: 'ERR_ABORTED', message: '' }), { once: true })
          })
        },
      }
      const life: FakeLife = {
        at: clock.monotonic(),
        handed,
        receive: () => push({ type: 'receiving' }),
        end(event) {
          for (const each of handed) each.answer(down)
          push(event)
        },
      }
      lives.push(life)
      onControl(control)
      signal.addEventListener('abort', () => life.end(failed('ERR_TASK_CANCELLED')), { once: true })
      if (signal.aborted) life.end(failed('ERR_TASK_CANCELLED'))
      if (ready) life.receive()
      for (;;) {
        for (const event of events.splice(0)) {
          yield event
          if (event.type === 'failed' || event.type === 'done') return
        }
        if (events.length === 0) await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    onLine: (level, text) => lines.push(`${level}: ${text}`),
    onChange,
  })
  const never = new AbortController().signal
  return { clock, lives, lines, program, deliver: (message, from = 'x', signal = never) => program.deliver({ from, message }, signal) }
}

describe('an agent program', () => {
  test('answers what it is handed, and tells how it does', async () => {
    const { clock, program, deliver } = stage({ answer: (message) => ({ ok: true, value: `${message}!` }) })
    expect(program.state().status).toBe('stopped')
    expect(await codeOf(deliver('1'))).toBe('ERR_AGENT_DOWN')
    program.start()
    program.start()
    const answer = deliver('1')
    await clock.advance(0)
    expect(await answer).toBe('1!')
    expect(program.state()).toMatchObject({ status: 'running', handled: 1, failed: 0, restarts: 0, usage: { cpuMs: 7 }, lastError: undefined })
    await program.stop()
    expect(program.state().status).toBe('stopped')
  })

  test('is started again after a wait that doubles up to its most, half of it by lot, and begins anew after a long life', async () => {
    const { clock, lives, program } = stage()
    program.start()
    const waits: number[] = []
    for (let turn = 0; turn < 12; turn++) {
      await clock.advance(0)
      const life = lives.at(-1)
      // With a message in hand: such an end never gives the agent up.
      const asked = codeOf(program.deliver({ from: 'x', message: '1' }, new AbortController().signal))
      await clock.advance(1)
      const endedAt = clock.monotonic()
      life?.end(failed('ERR_SANDBOX_LIMIT'))
      expect(await asked).toBe('ERR_AGENT_DOWN')
      await clock.advance(0)
      expect(program.state()).toMatchObject({ status: 'waiting', restarts: turn + 1, lastError: { code: 'ERR_SANDBOX_LIMIT' } })
      while (lives.at(-1) === life) await clock.step()
      waits.push((lives.at(-1)?.at ?? 0) - endedAt)
    }
    waits.forEach((wait, index) => {
      const most = Math.min(programRestartDelayMsMax, programRestartDelayMsMin * 2 ** index)
      expect(wait).toBeGreaterThanOrEqual(most / 2)
      expect(wait).toBeLessThanOrEqual(most + 1)
    })
    expect(new Set(waits.slice(-4)).size).toBeGreaterThan(1)
    await clock.advance(programLifeMsMin)
    const long = lives.at(-1)
    long?.end(failed('ERR_SANDBOX_CRASHED'))
    await clock.advance(programRestartDelayMsMin)
    expect(lives.at(-1)).not.toBe(long)
    await program.stop()
  })

  test('is given up after so many ends in a row by itself, says so, refuses at once, and is there again when somebody starts it', async () => {
    const { clock, lives, lines, program, deliver } = stage({ ready: false })
    program.start()
    for (let turn = 0; turn < programEndsMax; turn++) {
      while (lives.length <= turn) await clock.step()
      const waiting = turn === programEndsMax - 1 ? codeOf(deliver('waits')) : undefined
      lives.at(-1)?.end(failed('ERR_SANDBOX_THREW'))
      await clock.advance(0)
      if (waiting !== undefined) expect(await waiting).toBe('ERR_AGENT_DOWN')
    }
    expect(program.state()).toMatchObject({ status: 'failed', restarts: programEndsMax - 1, lastError: { code: 'ERR_SANDBOX_THREW' } })
    expect(lines.at(-1)).toMatch(/given up: it ended 5 times in a row/)
    expect(await codeOf(deliver('1'))).toBe('ERR_AGENT_DOWN')
    await clock.advance(10 * programRestartDelayMsMax)
    expect(lives).toHaveLength(programEndsMax)
    program.start()
    await clock.advance(0)
    expect(lives).toHaveLength(programEndsMax + 1)
    await program.stop()
  })

  test.each(['ERR_SANDBOX_CODE', 'ERR_SANDBOX_PERMISSION', 'ERR_AGENT_CODE'] as const)('is not tried again when it ends with %s', async (code) => {
    const { clock, lives, program } = stage({ ready: false })
    program.start()
    await clock.advance(0)
    lives[0]?.end(failed(code))
    await program.begun(new AbortController().signal)
    expect(program.state()).toMatchObject({ status: 'failed', lastError: { code } })
    await program.stop()
  })

  test('a stranger whose messages end it does not put it out of service for good', async () => {
    const { clock, lives, program, deliver } = stage()
    program.start()
    for (let turn = 0; turn < 3 * programEndsMax; turn++) {
      while (lives.length <= turn) await clock.step()
      const asked = codeOf(deliver('bad'))
      await clock.advance(0)
      lives.at(-1)?.end(failed('ERR_SANDBOX_LIMIT'))
      expect(await asked).toBe('ERR_AGENT_DOWN')
    }
    expect(program.state().status).not.toBe('failed')
    await program.stop()
  })

  test('what is asked while it is on its way back waits for it, up to the asker’s deadline and its own', async () => {
    const { clock, lives, program, deliver } = stage({ ready: false })
    program.start()
    await clock.advance(0)
    const asker = new AbortController()
    const [kept, left] = [deliver('1'), codeOf(deliver('2', 'x', asker.signal))]
    await clock.advance(1_000)
    asker.abort(new MeshError('ERR_TIMEOUT', 'gave up'))
    expect(await left).toBe('ERR_TIMEOUT')
    expect(program.state().waiting).toBe(1)
    lives[0]?.receive()
    await clock.advance(0)
    expect(lives[0]?.handed.map(({ message }) => message)).toEqual(['1'])
    lives[0]?.handed[0]?.answer({ ok: true, value: '11' })
    expect(await kept).toBe('11')

    lives[0]?.end(failed('ERR_SANDBOX_CRASHED'))
    await clock.advance(0)
    const late = codeOf(deliver('3'))
    await clock.advance(programPatienceMsMax)
    expect(await late).toBe('ERR_AGENT_DOWN')
    await program.stop()
  })

  test('has so many in hand and no more; more wait, and what is over is refused with a time to come back', async () => {
    const { clock, lives, program, deliver } = stage()
    program.start()
    await clock.advance(0)
    const senders = programMessagesWaitingMax / programMessagesPerSenderMax + 1
    const asked: Promise<string>[] = []
    for (let from = 0; from < senders; from++) {
      for (let index = 0; index < programMessagesPerSenderMax + 4; index++) asked.push(codeOf(deliver(`${from}/${index}`, `from ${from}`)))
    }
    await clock.advance(0)
    expect(lives[0]?.handed).toHaveLength(programMessagesAtOnceMax)
    expect(program.state()).toMatchObject({ inHand: programMessagesAtOnceMax, waiting: programMessagesWaitingMax })
    expect(await codeOf(deliver('more', 'newcomer'))).toBe('ERR_OVERLOADED')
    await expect(deliver('more', 'newcomer')).rejects.toMatchObject({ details: { retryAfterMs: expect.any(Number) as number } })
    // A flood of one sender leaves room for the others.
    for (let done = 0; done < 200; done++) {
      lives[0]?.handed[done]?.answer({ ok: true, value: '1' })
      await clock.advance(0)
      expect(program.state().inHand).toBeLessThanOrEqual(programMessagesAtOnceMax)
    }
    const codes = await Promise.all(asked)
    expect(codes.filter((code) => code === 'ok')).toHaveLength(programMessagesWaitingMax + programMessagesAtOnceMax)
    expect(new Set(codes)).toEqual(new Set(['ok', 'ERR_OVERLOADED']))
    expect(codes.slice(-programMessagesPerSenderMax - 4)).toContain('ok')
    await program.stop()
  })

  test('one sender holds no other up: the next in hand is of whoever has least there', async () => {
    const { clock, lives, program, deliver } = stage()
    program.start()
    await clock.advance(0)
    for (let index = 0; index < programMessagesAtOnceMax + 8; index++) void codeOf(deliver(`loud ${index}`, 'loud'))
    void codeOf(deliver('quiet', 'quiet'))
    await clock.advance(0)
    lives[0]?.handed[0]?.answer({ ok: true, value: '1' })
    await clock.advance(0)
    expect(lives[0]?.handed.at(-1)?.message).toBe('quiet')
    await program.stop()
  })

  test('a message stays in hand when its asker leaves: nobody stacks up more than there is room for', async () => {
    const { clock, lives, program, deliver } = stage()
    program.start()
    await clock.advance(0)
    const leave = new AbortController()
    const left = Array.from({ length: 3 * programMessagesAtOnceMax }, (_, index) => codeOf(deliver(String(index), `x${index}`, leave.signal)))
    await clock.advance(0)
    leave.abort(new MeshError('ERR_ABORTED', 'left'))
    expect(new Set(await Promise.all(left))).toEqual(new Set(['ERR_ABORTED']))
    void codeOf(deliver('next'))
    await clock.advance(0)
    expect(lives[0]?.handed).toHaveLength(programMessagesAtOnceMax)
    expect(program.state()).toMatchObject({ inHand: programMessagesAtOnceMax, waiting: 1 })
    await program.stop()
  })

  test('whoever asks is not told what the program said when it failed; its operator is', async () => {
    const { clock, lines, program, deliver } = stage({ answer: () => ({ ok: false, code: 'ERR_AGENT_FAILED', message: 'Error: tulip' }) })
    program.start()
    const asked = deliver('1').catch((error: unknown) => error)
    await clock.advance(0)
    expect(await asked).toMatchObject({ code: 'ERR_AGENT_FAILED', message: 'agent a failed' })
    expect(lines.join()).toContain('tulip')
    await program.stop()
  })

  test('stopped while it starts, waits or runs it is stopped, and can be started while it still stops', async () => {
    for (const [ready, ends] of [
      [false, false],
      [true, false],
      [true, true],
    ] as const) {
      const { clock, lives, program, deliver } = stage({ ready })
      program.start()
      await clock.advance(0)
      if (ends) lives[0]?.end(failed('ERR_SANDBOX_CRASHED'))
      await clock.advance(0)
      const asked = codeOf(deliver('1'))
      const stopping = program.stop()
      program.start()
      await clock.advance(0)
      await stopping
      expect(await asked).toBe('ERR_AGENT_DOWN')
      expect(['starting', 'running']).toContain(program.state().status)
      await program.stop()
      expect(program.state().status).toBe('stopped')
    }
  })
})

const message = (body: string, agent: string): Message => ({
  id: '00'.repeat(16),
  from: keyringOf(1).did,
  type: 'text',
  agent,
  encoding: 'text',
  body,
  priority: 5,
  receivedAt: 7,
})

describe('what was sent to an agent program', () => {
  async function mailStage(
    store: MemoryStore,
    deliver: (text: string) => Promise<string>,
    status = { now: 'running' as ReturnType<Program['state']>['status'] },
  ) {
    const inbox = await openInbox(store.sub('inbox'))
    const lines: string[] = []
    const program = {
      deliver: async ({ message: text }: { readonly message: string }) => await deliver(text),
      state: () => ({ status: status.now }) as ReturnType<Program['state']>,
    }
    const mail = createProgramMail({
      name: 'a',
      inbox,
      store: store.sub('places'),
      program,
      logger: silentLogger,
      read: ({ agent, body, from }) => (agent === 'a' ? { from, text: body } : undefined),
      onLine: (_level, text) => lines.push(text),
    })
    const put = async (body: string, agent = 'a'): Promise<void> => {
      await store.durable(inbox.keep(message(body, agent)).ops)
      mail.wake()
    }
    const settle = async (): Promise<void> => {
      for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    return { inbox, mail, put, settle, lines, status }
  }

  test('is handed in once each, in order, none of another agent; and goes on where it was after a restart', async () => {
    const store = createMemoryStore()
    const got: string[] = []
    const take = async (text: string): Promise<string> => String(got.push(text))
    const first = await mailStage(store, take)
    for (const body of ['1', '2']) await first.put(body)
    await first.put('other', 'b')
    await first.put('3')
    await first.settle()
    await first.mail.stop()
    store.crash()
    const second = await mailStage(store, take)
    await second.put('4')
    await second.settle()
    expect(got).toEqual(['1', '2', '3', '4'])
    await second.mail.stop()
  })

  test('an agent begins with what comes after it moved in', async () => {
    const store = createMemoryStore()
    const got: string[] = []
    const early = await openInbox(store.sub('inbox'))
    await store.durable(early.keep(message('before', 'a')).ops)
    await store.durable(beginMail(store.sub('places'), 'a', early.end()))
    const { put, settle, mail } = await mailStage(store, async (text) => String(got.push(text)))
    await put('after')
    await settle()
    expect(got).toEqual(['after'])
    await mail.stop()
  })

  test('stays while the agent is down, and a message over which it ends each time is given up, counted over restarts', async () => {
    const store = createMemoryStore()
    const got: string[] = []
    const status = { now: 'waiting' as ReturnType<Program['state']>['status'] }
    const take = async (text: string): Promise<string> => {
      got.push(text)
      if (text !== 'poison') return ''
      status.now = 'waiting'
      throw new MeshError('ERR_AGENT_DOWN', 'it ended')
    }
    let at = await mailStage(store, take, status)
    await at.put('poison')
    await at.put('well')
    await at.settle()
    expect(got).toEqual([])
    for (let turn = 1; turn <= programTriesMax; turn++) {
      status.now = 'running'
      at.mail.wake()
      await at.settle()
      expect(got).toEqual(Array.from({ length: turn }, () => 'poison'))
      await at.mail.stop()
      at = await mailStage(store, take, status)
    }
    status.now = 'running'
    at.mail.wake()
    await at.settle()
    expect(got.at(-1)).toBe('well')
    expect(at.lines.join()).toMatch(/given up: the agent ended over it 3 times/)
    await at.mail.stop()
  })

  test('an operator who stops the agent amid a message does not use up its tries', async () => {
    const store = createMemoryStore()
    let tries = 0
    const status = { now: 'running' as ReturnType<Program['state']>['status'] }
    const at = await mailStage(
      store,
      async () => {
        tries++
        if (tries > 2 * programTriesMax) return ''
        status.now = 'stopped'
        throw new MeshError('ERR_AGENT_DOWN', 'stopped')
      },
      status,
    )
    await at.put('1')
    for (let turn = 0; turn < 2 * programTriesMax; turn++) {
      await at.settle()
      status.now = 'running'
      at.mail.wake()
    }
    await at.settle()
    expect(tries).toBe(2 * programTriesMax + 1)
    expect(at.lines).toEqual([])
    await at.mail.stop()
  })
})

describe('the log of an agent program', () => {
  test('keeps the last lines, of bounded number and length, whatever is printed', async () => {
    const log = createProgramLog(createVirtualClock())
    const read = async (): Promise<readonly string[]> => (await Array.fromAsync(log.read())).map(({ text }) => text)
    for (let index = 0; index < programLogLinesMax + 5; index++) log.add('log', String(index))
    expect(await read()).toHaveLength(programLogLinesMax)
    expect((await read())[0]).toBe('5')
    for (let index = 0; index < 100; index++) log.add('log', 'x'.repeat(1 << 20))
    const texts = await read()
    expect(Math.max(...texts.map((text) => text.length))).toBe(programLogLineCharsMax)
    expect(texts.join('').length).toBeLessThanOrEqual(programLogCharsMax)
  })

  test('gives followers what was and what comes, and takes so many of them', async () => {
    const log = createProgramLog(createVirtualClock())
    log.add('log', 'was')
    const leave = new AbortController()
    const readers = Array.from({ length: programLogReadersMax }, () => log.read({ follow: true, signal: leave.signal }))
    for (const reader of readers) expect((await reader.next()).value).toMatchObject({ text: 'was' })
    await expect(log.read({ follow: true }).next()).rejects.toMatchObject({ code: 'ERR_OVERLOADED' })
    const next = readers.map((reader) => reader.next())
    log.add('warn', 'comes')
    for (const line of await Promise.all(next)) expect(line.value).toMatchObject({ level: 'warn', text: 'comes' })
    leave.abort(new MeshError('ERR_ABORTED', 'left'))
    for (const reader of readers) await expect(reader.next()).rejects.toThrow('left')
    expect((await Array.fromAsync(log.read())).map(({ text }) => text)).toEqual(['was', 'comes'])
  })
})

describe('the record of an agent program', () => {
  test('comes back as it was kept; other bytes under its hash are refused, and so is a record that cannot be read', async () => {
    const store = createMemoryStore()
    const records = openProgramRecords(store.sub('programs'))
    const { code, ...spec } = specOf({
      code: 'agent.receive(() => 1)',
      limits: { memoryMiB: 64, wallMs: undefined },
      grants: { capabilities: ['memory:read'], vault: ['key'] },
    })
    const record = { ...spec, codeHash: await hashCode(code), isOn: true, addedAt: 1, updatedAt: 2 }
    await store.durable(records.keep('a', record, { text: code }))
    expect(await records.list()).toEqual([{ name: 'a', record }])
    expect(await records.code('a', record.codeHash)).toBe(code)
    await expect(records.code('b', record.codeHash)).rejects.toMatchObject({ code: 'ERR_AGENT_CODE' })
    const altered = new TextEncoder().encode('agent.receive(() => 2)')
    for await (const [key] of store.range({ gte: 'programs/code', lt: 'programs/d' })) await store.durable([{ type: 'put', key, value: altered }])
    await expect(records.code('a', record.codeHash)).rejects.toMatchObject({ code: 'ERR_AGENT_CODE' })
    await store.durable([{ type: 'put', key: 'programs/record/a', value: new Uint8Array([1]) }])
    expect((await records.list())[0]?.record).toMatchObject({ code: 'ERR_AGENT_CODE' })
    await store.durable(records.forget('a', record.codeHash))
    expect(await Array.fromAsync(store.range({}))).toEqual([])
  })

  test('new code takes the place of the old one in one batch', async () => {
    const store = createMemoryStore()
    const records = openProgramRecords(store.sub('programs'))
    const { code, ...spec } = specOf({ code: '1' })
    const [before, after] = [await hashCode(code), await hashCode('2')]
    const record = { ...spec, codeHash: before, isOn: true, addedAt: 1, updatedAt: 2 }
    await store.durable(records.keep('a', record, { text: code }))
    await store.durable(records.keep('a', { ...record, codeHash: after }, { text: '2', before }))
    expect(await records.code('a', after)).toBe('2')
    await expect(records.code('a', before)).rejects.toMatchObject({ code: 'ERR_AGENT_CODE' })
  })

  test.each([{ capabilities: ['everything'] }, { files: { roots: [{ name: 'x', path: 'relative' }] } }, { unknown: 1 }, []])(
    'grants %j are refused',
    (grants) => {
      expect(() => specOf({ code: '', grants })).toThrow(expect.objectContaining({ code: 'ERR_SANDBOX_CONFIG' }) as MeshError)
    },
  )
})
