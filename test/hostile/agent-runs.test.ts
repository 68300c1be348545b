import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type HostAnswer,
  type IsolationBackend,
  type IsolationLevel,
  type RunControl,
  type SandboxEvent,
  type SandboxLimits,
  sandboxLimitsDefault,
  type SandboxOutcome,
  type SandboxUsage,
  type Sandboxes,
} from '../../src/sandbox/index.ts'
import { createTestSandboxes, resultOf } from '../helpers/sandbox.ts'
import { testLevels } from '../helpers/sandbox-levels.ts'

const answer = 'agent.receive(async (message) => (await act(message)))'
const ended: HostAnswer = { ok: false, code: 'ERR_AGENT_DOWN', message: 'the agent ended before it answered' }

let sandboxes: Sandboxes
beforeAll(async () => {
  sandboxes = await createTestSandboxes(1)
}, 60_000)
afterAll(() => sandboxes.stop())

interface Living extends AsyncDisposable {
  readonly control: RunControl
  readonly events: readonly SandboxEvent[]
  readonly outcome: Promise<SandboxOutcome>
  tell(message: unknown): Promise<HostAnswer>
}

/** An agent that receives, in a guest of its own; gone at the end. */
async function live(backend: IsolationBackend, code: string, limits: Partial<SandboxLimits> = {}): Promise<Living> {
  const stop = new AbortController()
  const ready = Promise.withResolvers<RunControl>()
  const events: SandboxEvent[] = []
  async function follow(): Promise<SandboxOutcome> {
    let control: RunControl | undefined
    const options = { limits: { ...sandboxLimitsDefault, ...limits }, agent: true, signal: stop.signal, onControl: (given: RunControl) => (control = given) }
    for await (const event of backend.run({ code, input: 'null' }, options)) {
      events.push(event)
      if (event.type === 'receiving' && control !== undefined) ready.resolve(control)
      if (event.type === 'done' || event.type === 'failed') {
        ready.reject(new Error(`it ended before it received: ${JSON.stringify(event)}`))
        return event
      }
    }
    throw new Error('no outcome')
  }
  const outcome = follow()
  const control = await ready.promise
  return {
    control,
    events,
    outcome,
    tell: (message) => control.deliver(JSON.stringify(message), stop.signal),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await outcome
    },
  }
}

const levels: readonly IsolationLevel[] = ['sandboxed', 'native']

describe.each(levels)('an agent at level %s', (level) => {
  const backend = (): IsolationBackend => sandboxes.get(level)

  test('lives longer than the limits of one message, all of them', async () => {
    const limits = { wallMs: 2_000, cpuMs: 400, outputBytes: 2_000, hostCalls: 20 }
    const code = `function act(ms) { const end = Date.now() + ms; for (let n = 0; n < 5; n++) console.log('x'.repeat(300)); while (Date.now() < end); return ms } ${answer}`
    await using agent = await live(backend(), code, limits)
    const isOver = ({ cpuMs, wallMs, outputBytes, hostCalls }: SandboxUsage): boolean =>
      cpuMs > limits.cpuMs && wallMs > limits.wallMs && outputBytes > limits.outputBytes && hostCalls > limits.hostCalls
    let turns = 0
    while (!isOver(agent.control.usage()) && turns++ < 500) expect(await agent.tell(40)).toEqual({ ok: true, value: '40' })
    expect(agent.control.usage()).toSatisfy(isOver)
  }, 60_000)

  test('that loops over a message is killed when the time of the message is over; whoever else waits is told', async () => {
    const limits = { wallMs: 600, cpuMs: 60_000 }
    await using agent = await live(backend(), `function act(what) { if (what === 'loop') for (;;); return new Promise(() => {}) } ${answer}`, limits)
    const waiting = agent.tell('wait')
    const before = agent.control.usage().wallMs
    expect(await agent.tell('loop')).toEqual(ended)
    expect(await waiting).toEqual(ended)
    const outcome = await agent.outcome
    expect(outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
    expect(outcome.usage.wallMs - before).toBeLessThanOrEqual(limits.wallMs + 500)
  }, 60_000)

  test('that never answers a message fails that message alone and lives on', async () => {
    await using agent = await live(backend(), `function act(what) { return what === 'wait' ? new Promise(() => {}) : what } ${answer}`, { wallMs: 400 })
    expect(await agent.tell('wait')).toMatchObject({ ok: false, code: 'ERR_TIMEOUT' })
    expect(await agent.tell(1)).toEqual({ ok: true, value: '1' })
  }, 60_000)

  test.each([
    ['cpuMs', `for (;;);`, { cpuMs: 300, wallMs: 20_000 }],
    ['outputBytes', `for (;;) console.log('x'.repeat(1000))`, { outputBytes: 50_000, hostCalls: 1_000_000 }],
    ['hostCalls', `for (;;) console.log('')`, { hostCalls: 500 }],
  ])(
    'is killed when one message takes more than its %s',
    async (limit, body, limits) => {
      await using agent = await live(backend(), `function act() { ${body} } ${answer}`, limits)
      expect(await agent.tell(0)).toEqual(ended)
      const outcome = await agent.outcome
      expect(outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_LIMIT' })
      // A plain process keeps what it prints until it is read: its memory may be over first.
      if (level !== 'native') expect(outcome).toMatchObject({ limit })
    },
    60_000,
  )

  test('that works on by itself after its answer is bounded as well', async () => {
    const code = `function act() { Promise.resolve().then(() => Promise.resolve()).then(async () => { for (;;) await null }); return 'done' } ${answer}`
    await using agent = await live(backend(), code, { cpuMs: 60_000, wallMs: 700 })
    await agent.tell(0)
    expect(await agent.outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
  }, 60_000)

  test('that does not begin to receive within the time of a message is killed', async () => {
    await expect(live(backend(), 'for (;;);', { wallMs: 400 })).rejects.toThrow(/"limit":"wallMs"/)
  }, 60_000)

  test('may register to receive as often as it likes: the last counts, and one answer is given for each message', async () => {
    await using agent = await live(
      backend(),
      `for (let n = 0; n < 1000; n++) agent.receive(() => n); agent.receive((message) => { agent.receive(() => 'new'); return message })`,
    )
    expect(await agent.tell('a')).toEqual({ ok: true, value: '"a"' })
    expect(await agent.tell('b')).toEqual({ ok: true, value: '"new"' })
    expect(agent.events.filter(({ type }) => type === 'receiving')).toHaveLength(1)
  }, 60_000)

  test('has a process of its own, besides those of tasks', async () => {
    await using one = await live(backend(), `globalThis.mine = 1; Array.prototype.mine = 1; function act() { return mine } ${answer}`)
    await using two = await live(backend(), `function act() { return [typeof mine, [].mine === undefined] } ${answer}`)
    expect(await one.tell(0)).toEqual({ ok: true, value: '1' })
    expect(await two.tell(0)).toEqual({ ok: true, value: '["undefined",true]' })
    // The pool of tasks has one guest, and it is free.
    expect(await resultOf(backend(), 'return typeof mine')).toBe('undefined')
  }, 60_000)
})

describe.each(testLevels.filter(({ isFirst, title }) => isFirst && !title.startsWith('sandboxed')))('$title: an agent', ({ lacks, start }) => {
  test.skipIf(lacks !== undefined)(
    'answers, outlives a message it never answers, and is killed when it loops over one',
    async () => {
      const wallMs = 1_500
      const backend = start(1)
      try {
        const code = `function act(what) { if (what === 'loop') for (;;); return what === 'wait' ? new Promise(() => {}) : what } ${answer}`
        await using agent = await live(backend, code, { wallMs, cpuMs: 60_000 })
        expect(await agent.tell(1)).toEqual({ ok: true, value: '1' })
        expect(await agent.tell('wait')).toMatchObject({ ok: false, code: 'ERR_TIMEOUT' })
        expect(await agent.tell(2)).toEqual({ ok: true, value: '2' })
        const before = agent.control.usage().wallMs
        expect(await agent.tell('loop')).toEqual(ended)
        const outcome = await agent.outcome
        expect(outcome).toMatchObject({ type: 'failed', code: 'ERR_SANDBOX_LIMIT', limit: 'wallMs' })
        expect(outcome.usage.wallMs - before).toBeLessThanOrEqual(wallMs + 500)
      } finally {
        await backend.stop()
      }
    },
    120_000,
  )
})
