import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/base/index.ts'
import { createTestMesh, type TestMesh, type TestMeshOptions, type TestNode } from '../../src/testing/index.ts'
import type { ServedTask } from '../../src/tasks/executor-served.ts'
import type { TaskOrder } from '../../src/tasks/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'
import { wordSandboxes } from '../helpers/task-sandboxes.ts'

const scopes = ['/task/run']
const lifetimeMs = 86_400_000

const byName = (a: unknown, b: unknown): number => String(a).localeCompare(String(b))

interface Stage {
  readonly mesh: TestMesh
  readonly ran: ReturnType<typeof wordSandboxes>['ran']
  readonly executor: () => TestNode
}
const stages: TestMesh[] = []
afterEach(async () => {
  for (const mesh of stages.splice(0)) await mesh[Symbol.asyncDispose]()
})

/** Node 0 runs tasks of all others. */
async function createStage(nodes: number, seed: number, options: Partial<TestMeshOptions> = {}): Promise<Stage> {
  const late: { clock?: Clock } = {}
  const sandboxes = wordSandboxes(() => {
    if (late.clock === undefined) throw new Error('no clock yet')
    return late.clock
  })
  const mesh = await createTestMesh({ nodes, seed, sandboxes, ...options })
  stages.push(mesh)
  late.clock = mesh.clock
  for (const asker of mesh.nodes.slice(1)) await mesh.run(mesh.node(0).trust.attest({ subject: asker.did, level: 2, scopes, lifetimeMs }))
  await mesh.clock.advance(5_000)
  return { mesh, ran: sandboxes.ran, executor: () => mesh.node(0) }
}

const order = (executor: TestNode, code: string, input: unknown, more: Partial<TaskOrder> = {}): TaskOrder => ({ on: executor.did, code, input, ...more })
/** The outcome of a task: its result or the code of its failure. */
async function outcomeOf(asker: TestNode, task: TaskOrder, signal?: AbortSignal): Promise<unknown> {
  for await (const event of asker.tasks.run(task, { signal })) if (event.type === 'result') return event.ok ? event.result : event.error?.code
  return 'nothing'
}
const outcomes = (tasks: readonly ServedTask[]): readonly (string | undefined)[] => tasks.map(({ outcome }) => outcome)
async function entriesOf(node: TestNode, event: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const found: Readonly<Record<string, unknown>>[] = []
  for await (const entry of node.audit.entries()) if (entry.event === event) found.push(entry.data)
  return found
}

describe('who is no longer trusted', () => {
  test('has its running and its waiting tasks stopped; the receipts say ERR_TRUST_LOW, and so does the log', async () => {
    const { mesh, executor } = await createStage(3, 1)
    const attested = executor()
      .trust.show()
      .find(({ subject }) => subject === mesh.node(1).did)
    const lost = [1, 2, 3, 4].map((input) => outcomeOf(mesh.node(1), order(executor(), 'endless', input)))
    const friend = outcomeOf(mesh.node(2), order(executor(), 'sleep', 2_000))
    await mesh.until(() => executor().tasks.served.list().length === 5)
    await mesh.run(executor().trust.revoke(attested?.id ?? ''))
    expect(await mesh.run(Promise.all(lost))).toEqual(['ERR_TRUST_LOW', 'ERR_TRUST_LOW', 'ERR_TRUST_LOW', 'ERR_TRUST_LOW'])
    expect(await mesh.run(friend)).toBe(2_000)
    const served = executor().tasks.served.history()
    expect(outcomes(served).filter((outcome) => outcome === 'ERR_TRUST_LOW')).toHaveLength(4)
    expect(served.every(({ countersigned }) => countersigned)).toBe(true)
    expect((await entriesOf(executor(), 'task_cancelled')).map(({ reason }) => String(reason).split(':')[0])).toEqual(
      Array.from({ length: 4 }, () => 'ERR_TRUST_LOW'),
    )
    expect(await mesh.run(codeOf(outcomeOf(mesh.node(1), order(executor(), 'sleep', 1))))).toBe('ERR_TRUST_LOW')
  })

  test('also when the word that lapsed is somebody else’s, and when its time is over', async () => {
    const { mesh, executor } = await createStage(3, 2)
    const friend = mesh.node(2)
    const [stranger] = [mesh.node(1)]
    // Only the friend's word holds it up from here on.
    for (const { id, subject } of executor().trust.show()) if (subject === stranger.did) await mesh.run(executor().trust.revoke(id))
    await mesh.run(executor().trust.attest({ subject: friend.did, level: 4, scopes, lifetimeMs }))
    const { id } = await mesh.run(friend.trust.attest({ subject: stranger.did, level: 2, scopes, lifetimeMs }))
    await mesh.clock.advance(5_000)
    const limits = { wallMs: 600_000 }
    const first = outcomeOf(stranger, order(executor(), 'endless', 1, { limits }))
    await mesh.until(() => executor().tasks.served.list()[0]?.state === 'running')
    await mesh.run(friend.trust.revoke(id))
    expect(await mesh.run(first)).toBe('ERR_TRUST_LOW')
    await mesh.run(executor().trust.attest({ subject: stranger.did, level: 2, scopes, lifetimeMs: 60_000 }))
    const second = outcomeOf(stranger, order(executor(), 'endless', 2, { limits }))
    expect(await mesh.run(second)).toBe('ERR_TRUST_LOW')
  })
})

test('sixteen askers at once get equal shares, while one more floods and calls all of it urgent', async () => {
  const { mesh, executor, ran } = await createStage(18, 3)
  const perAsker = 5
  const all = mesh.nodes
    .slice(1, 17)
    .flatMap((asker, index) => Array.from({ length: perAsker }, () => outcomeOf(asker, order(executor(), 'sleep', 200 + index, { idempotent: true }))))
  const flood = Array.from({ length: 40 }, () => codeOf(outcomeOf(mesh.node(17), order(executor(), 'sleep', 150, { priority: 9, retries: 0 }))))
  await mesh.until(() => ran.length >= 50)
  const seen = new Map<string, number>()
  for (const { input } of ran) seen.set(input, (seen.get(input) ?? 0) + 1)
  const shares = Array.from({ length: 16 }, (_, index) => seen.get(String(200 + index)) ?? 0)
  expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(2)
  expect(seen.get('150') ?? 0).toBeLessThanOrEqual(2 * Math.max(...shares))
  await mesh.run(Promise.all(all))
  const refused = (await mesh.run(Promise.all(flood))).filter((code) => code !== 'ok')
  // Of streams, too, one peer has so many; what came on none was never taken.
  expect(refused.length).toBeGreaterThan(15)
  expect(refused.filter((code) => code !== 'ERR_OVERLOADED' && code !== 'ERR_TASK_LOST')).toEqual([])
  expect(await executor().audit.verify()).toMatchObject({ ok: true })
})

describe('a task that waits', () => {
  test('hears its place, can be called off, and ends at its deadline', async () => {
    const { mesh, executor, ran } = await createStage(2, 4)
    const [asker] = [mesh.node(1)]
    const blockers = [1, 2].map(() => outcomeOf(asker, order(executor(), 'sleep', 9_000)))
    await mesh.until(() => ran.length === 2)
    const heard: number[] = []
    const patient = (async () => {
      for await (const event of asker.tasks.run(order(executor(), 'sleep', 3))) if (event.type === 'queued') heard.push(event.position)
    })()
    await mesh.until(() => executor().tasks.served.list().length === 3)
    const stop = new AbortController()
    const called = codeOf(outcomeOf(asker, order(executor(), 'sleep', 4), stop.signal))
    const late = outcomeOf(asker, order(executor(), 'sleep', 5, { deadlineMs: 3_000 }))
    await mesh.until(() => executor().tasks.served.list().length === 5)
    expect(
      executor()
        .tasks.served.list()
        .map(({ state, position }) => position ?? state),
    ).toEqual(['running', 'running', 0, 1, 2])
    stop.abort(new Error('never mind'))
    await mesh.run(called)
    await mesh.until(() => executor().tasks.served.list().length === 4)
    await mesh.run(codeOf(late))
    await mesh.until(() => executor().tasks.served.list().length === 3)
    await mesh.run(Promise.all([...blockers, patient]))
    expect(heard[0]).toBe(0)
    expect(ran.map(({ input }) => input)).toEqual(['9000', '9000', '3'])
    expect(outcomes(executor().tasks.served.history()).toSorted(byName)).toEqual(['ERR_TASK_CANCELLED', 'ERR_TASK_DEADLINE', 'ok', 'ok', 'ok'])
    // What never began was not executed.
    expect(await entriesOf(executor(), 'code_execution_failed')).toEqual([])
  })

  test('whose deadline has passed is refused', async () => {
    const { mesh, executor } = await createStage(2, 5)
    mesh.skew(0, 60_000)
    expect(await mesh.run(codeOf(outcomeOf(mesh.node(1), order(executor(), 'sleep', 1, { deadlineMs: 30_000 }))))).toBe('ERR_TASK_DEADLINE')
  })
})

test('the operator sees the tasks of others, reads what they say, and stops them', async () => {
  const { mesh, executor } = await createStage(2, 6)
  const [asker] = [mesh.node(1)]
  const lines = Array.from({ length: 3_000 }, (_, index) => `line ${index} ${'x'.repeat(50)}`)
  expect(await mesh.run(outcomeOf(asker, order(executor(), 'say', lines)))).toBe(3_000)
  const [said] = executor().tasks.served.history()
  expect(said).toMatchObject({ asker: asker.did, state: 'done', outcome: 'ok', countersigned: true })
  const kept = await mesh.run(Array.fromAsync(executor().tasks.served.logs(said?.id ?? '')))
  const cut = kept.findIndex((line) => 'cut' in line)
  expect(kept[0]).toMatchObject({ text: lines[0] })
  expect(kept.at(-1)).toMatchObject({ text: lines.at(-1) })
  const gap = kept[cut]
  expect(gap !== undefined && 'cut' in gap ? gap.cut.lines + kept.length - 1 : 0).toBe(3_000)

  const endless = outcomeOf(asker, order(executor(), 'endless', 1))
  await mesh.until(() => executor().tasks.served.list()[0]?.state === 'running')
  const [running] = executor().tasks.served.list()
  expect(executor().tasks.served.describe(running?.id ?? '')).toEqual(running)
  expect(executor().tasks.served.stop(running?.id ?? '')).toBe(true)
  expect(await mesh.run(endless)).toBe('ERR_TASK_CANCELLED')
  expect(executor().tasks.served.stop(running?.id ?? '')).toBe(false)
  expect(() => executor().tasks.served.describe('ff')).toThrow(/no task/)
})

describe('an executor that comes back', () => {
  test('runs nothing twice: what ran is lost, what waited was not run, and both askers have a receipt that says so', async () => {
    const { mesh, executor, ran } = await createStage(2, 7)
    const [asker] = [mesh.node(1)]
    const tasks = [1, 2, 3].map(() => outcomeOf(asker, order(executor(), 'endless', 1, { limits: { wallMs: 600_000 } })))
    await mesh.until(() => executor().tasks.served.list().length === 3 && ran.length === 2)
    mesh.crash(0)
    await mesh.clock.advance(5_000)
    const back = await mesh.restart(0)
    await mesh.run(asker.dial(back.addresses()[0] ?? ''))
    expect((await mesh.run(Promise.all(tasks))).toSorted(byName)).toEqual(['ERR_TASK_LOST', 'ERR_TASK_LOST', 'ERR_TASK_NOT_RUN'])
    expect(ran).toHaveLength(2)
    await mesh.until(() => back.tasks.served.history().every(({ countersigned }) => countersigned))
    expect(await back.audit.verify()).toMatchObject({ ok: true })
  })

  test('delivers a result that its asker was not there for, once, when that is back', async () => {
    const { mesh, executor, ran } = await createStage(2, 8)
    const started = await mesh.run(mesh.node(1).tasks.start(order(executor(), 'sleep', 4_000)))
    await mesh.until(() => executor().tasks.served.list()[0]?.state === 'running')
    mesh.crash(1)
    await mesh.until(() => executor().tasks.served.list().length === 0)
    expect(executor().tasks.served.history()).toMatchObject([{ outcome: 'ok', countersigned: false }])
    mesh.crash(0)
    await mesh.clock.advance(60_000)
    const [back, asker] = [await mesh.restart(0), await mesh.restart(1)]
    await mesh.run(asker.dial(back.addresses()[0] ?? ''))
    await mesh.until(async () => (await asker.tasks.describe(started.id)).result === 4_000)
    await mesh.until(() => back.tasks.served.history()[0]?.countersigned === true)
    expect(ran).toHaveLength(1)
    // What is asked for again after that is not there any more.
    expect(await entriesOf(back, 'receipt_signed')).toHaveLength(1)
  })
})

test('no level stands in for another: one that is not there is refused, one that is too weak is raised', async () => {
  const { mesh, executor, ran } = await createStage(2, 10)
  const codeAt = (isolation: NonNullable<TaskOrder['isolation']>): Promise<unknown> =>
    mesh.run(codeOf(outcomeOf(mesh.node(1), order(executor(), 'sleep', 1, { isolation }))))
  for (const level of ['containerized', 'virtualized'] as const) expect(await codeAt(level)).toBe('ERR_SANDBOX_UNAVAILABLE')
  expect(await mesh.run(codeOf(outcomeOf(mesh.node(1), order(executor(), 'sleep', 1, { engine: 'command', code: '["true"]' }))))).toBe(
    'ERR_SANDBOX_UNAVAILABLE',
  )
  expect(await mesh.run(codeOf(outcomeOf(mesh.node(1), order(executor(), 'sleep', 1, { capabilities: ['vault:access'] }))))).toBe('ERR_POLICY_DENIED')
  expect(ran).toEqual([])
  expect(await codeAt('native')).toBe('ERR_SANDBOX_UNAVAILABLE')
  expect(await codeAt('sandboxed')).toBe('ok')
  expect(ran.map(({ level }) => level)).toEqual(['sandboxed'])
})
