import { afterEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/base/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import type { TaskOrder, TaskProgress } from '../../src/tasks/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'
import { wordSandboxes } from '../helpers/task-sandboxes.ts'

const scopes = ['/task/run']
const lifetimeMs = 86_400_000
const stages: TestMesh[] = []
afterEach(async () => {
  for (const mesh of stages.splice(0)) await mesh[Symbol.asyncDispose]()
})

interface Stage {
  readonly mesh: TestMesh
  /** The last node: it asks. */
  readonly asker: () => TestNode
  readonly ran: readonly unknown[]
}

/** The last node asks; those of `willing` take its tasks. */
async function createStage({ nodes, seed, willing }: { readonly nodes: number; readonly seed: number; readonly willing: readonly number[] }): Promise<Stage> {
  const late: { clock?: Clock } = {}
  const sandboxes = wordSandboxes(() => {
    if (late.clock === undefined) throw new Error('no clock yet')
    return late.clock
  })
  const mesh = await createTestMesh({ nodes, seed, sandboxes })
  stages.push(mesh)
  late.clock = mesh.clock
  const asker = (): TestNode => mesh.node(nodes - 1)
  for (const index of willing) await mesh.run(mesh.node(index).trust.attest({ subject: asker().did, level: 2, scopes, lifetimeMs }))
  await mesh.clock.advance(5_000)
  return { mesh, asker, ran: sandboxes.ran }
}
const trusted = async ({ mesh, asker }: Stage, index: number, level: 1 | 2 | 3 | -1): Promise<void> => {
  await mesh.run(asker().trust.attest({ subject: mesh.node(index).did, level, scopes, lifetimeMs }))
}
/** Where a task for anybody went, by index, and why. */
async function askAny(
  { mesh, asker }: Stage,
  order: Partial<TaskOrder> = {},
): Promise<{ readonly to: readonly number[]; readonly why: string; readonly result: unknown }> {
  const seen: TaskProgress[] = []
  const running = async (): Promise<void> => {
    for await (const progress of asker().tasks.run({ on: 'any', code: 'sleep', input: 100, ...order })) seen.push(progress)
  }
  await mesh.run(running())
  const attempts = seen.filter((progress) => progress.type === 'attempt')
  const last = seen.at(-1)
  return {
    to: attempts.map(({ executor }) => mesh.nodes.findIndex(({ did }) => did === executor)),
    why: attempts[0]?.why ?? '',
    result: last?.type === 'result' ? last.result : undefined,
  }
}

describe('a task for any peer', () => {
  test('goes to the most trusted that takes it, among equals to the least busy, never to itself or to one that is distrusted', async () => {
    const stage = await createStage({ nodes: 6, seed: 1, willing: [0, 1, 2, 3] })
    const { mesh, asker } = stage
    // Two tasks of others each run at 0, 1 and 2, and one waits at 1 and 2.
    for (const [index, tasks] of [
      [0, 2],
      [1, 3],
      [2, 3],
    ] as const) {
      for (let task = 0; task < tasks; task++) {
        await mesh.run(asker().tasks.start({ on: mesh.node(index).did, code: 'endless', input: task, limits: { wallMs: 600_000 } }))
      }
    }
    await mesh.clock.advance(1_000)
    const idle = await askAny(stage)
    expect(idle).toMatchObject({ to: [3], result: 100 })
    // Node 4 has not attested the asker: it is asked, says no and is named.
    expect(idle.why).toContain(mesh.node(4).did)
    await trusted(stage, 3, -1)
    const plan = () => mesh.run(asker().tasks.plan({ on: 'any', code: 'sleep', input: 1 }))
    expect(await plan()).toMatchObject({ executor: mesh.node(0).did, decision: { allow: true, running: 2, queued: 0 } })
    await trusted(stage, 2, 3)
    expect(await plan()).toMatchObject({ executor: mesh.node(2).did, decision: { allow: true, running: 2, queued: 1 } })
    expect(
      asker()
        .tasks.list()
        .every(({ executor }) => executor !== asker().did),
    ).toBe(true)
  })

  test('that nobody takes is refused with each one’s reason, and nothing is sent', async () => {
    const stage = await createStage({ nodes: 3, seed: 2, willing: [] })
    const asked = codeOf(askAny(stage))
    expect(await asked).toBe('ERR_CAPABILITY_DENIED')
    expect(stage.ran).toEqual([])
  })

  test('when it is idempotent outlives the machine it was on: another one runs it', async () => {
    const stage = await createStage({ nodes: 5, seed: 3, willing: [1, 2, 3] })
    const { mesh } = stage
    const asked = askAny(stage, { input: 5_000, idempotent: true })
    const runner = (): number => mesh.nodes.findIndex(({ tasks }) => tasks.served.list().some(({ state }) => state === 'running'))
    await mesh.until(() => runner() >= 0)
    const first = runner()
    mesh.crash(first)
    const { to, result } = await asked
    expect(result).toBe(5_000)
    expect(to).toHaveLength(2)
    expect(to[0]).toBe(first)
    expect(to[1]).not.toBe(first)
  })
})

describe('an asker', () => {
  test('that loses its power while it waits has the result when it is back: run once, signed once', async () => {
    const stage = await createStage({ nodes: 3, seed: 4, willing: [0, 1] })
    const { mesh, asker, ran } = stage
    const { id } = await mesh.run(asker().tasks.start({ on: mesh.node(1).did, code: 'sleep', input: 20_000 }))
    await mesh.clock.advance(2_000)
    expect(ran).toHaveLength(1)
    mesh.crash(2)
    await mesh.clock.advance(30_000)
    // Nobody was there when it ended.
    expect(mesh.node(1).tasks.served.history()).toMatchObject([{ outcome: 'ok', countersigned: false }])
    await mesh.restart(2)
    await mesh.until(() => asker().tasks.list()[0]?.status === 'done')
    expect(await asker().tasks.describe(id)).toMatchObject({ result: 20_000, document: { outcome: 'ok' } })
    await mesh.until(() => mesh.node(1).tasks.served.history()[0]?.countersigned === true)
    expect(ran).toHaveLength(1)
    expect(await countOf(asker(), 'receipt_countersigned')).toBe(1)
  })

  test('cut off for longer than it waits holds the task lost, and takes the result once when the mesh is whole again', async () => {
    const stage = await createStage({ nodes: 3, seed: 5, willing: [1] })
    const { mesh, asker, ran } = stage
    const running = codeOf(
      (async () => {
        for await (const _progress of asker().tasks.run({ on: mesh.node(1).did, code: 'sleep', input: 5_000, limits: { wallMs: 10_000 } }));
      })(),
    )
    await mesh.until(() => mesh.node(1).tasks.served.list().length === 1)
    mesh.partition([0, 2], [1])
    expect(await mesh.run(running)).toBe('ERR_TIMEOUT')
    expect(asker().tasks.list()).toMatchObject([{ status: 'lost' }])
    await mesh.clock.advance(60_000)
    mesh.heal()
    await mesh.until(() => asker().tasks.list()[0]?.status === 'done', 3_600_000)
    await mesh.clock.advance(60_000)
    expect(ran).toHaveLength(1)
    expect(await countOf(asker(), 'receipt_countersigned')).toBe(1)
    // What the executor wrote about it is no message for a person.
    expect(await mesh.run(asker().inbox.list({ limit: 10 }))).toEqual([])
  })
})

async function countOf(node: TestNode, event: string): Promise<number> {
  let found = 0
  for await (const entry of node.audit.entries()) if (entry.event === event) found++
  return found
}
