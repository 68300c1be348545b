import { afterEach, describe, expect, test } from 'vitest'
import { type Clock, hourMs } from '../../src/base/index.ts'
import { policyDefault } from '../../src/node/policy-default.ts'
import type { Policy } from '../../src/policy/index.ts'
import type { TaskOrder } from '../../src/tasks/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'
import { wordSandboxes } from '../helpers/task-sandboxes.ts'

const scopes = ['/task/run']
const lifetimeMs = 86_400_000
const meshes: TestMesh[] = []
afterEach(async () => {
  for (const mesh of meshes.splice(0)) await mesh[Symbol.asyncDispose]()
})

/** Node 0 runs tasks of the others, whom it holds VERIFIED. */
async function createStage(
  nodes: number,
  seed: number,
  policy: Partial<Policy> = {},
): Promise<{ readonly mesh: TestMesh; readonly ran: ReturnType<typeof wordSandboxes>['ran'] }> {
  const late: { clock?: Clock } = {}
  const sandboxes = wordSandboxes(() => late.clock as Clock, ['sandboxed', 'containerized'])
  const mesh = await createTestMesh({ nodes, seed, sandboxes, policy: { ...policyDefault, ...policy } })
  meshes.push(mesh)
  late.clock = mesh.clock
  for (const asker of mesh.nodes.slice(1)) await mesh.run(mesh.node(0).trust.attest({ subject: asker.did, level: 2, scopes, lifetimeMs }))
  await mesh.clock.advance(5_000)
  return { mesh, ran: sandboxes.ran }
}

/** The outcome of a task: its result or the code of its failure or refusal. */
async function outcomeOf(asker: TestNode, task: Omit<TaskOrder, 'on'> & { readonly on: TestNode }): Promise<unknown> {
  for await (const event of asker.tasks.run({ ...task, on: task.on.did })) if (event.type === 'result') return event.ok ? event.result : event.error?.code
  return 'nothing'
}
async function entriesOf(node: TestNode, event: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const found: Readonly<Record<string, unknown>>[] = []
  for await (const entry of node.audit.entries()) if (entry.event === event) found.push(entry.data)
  return found
}
const running = (mesh: TestMesh): Promise<void> =>
  mesh.until(() =>
    mesh
      .node(0)
      .tasks.served.list()
      .some(({ state }) => state === 'running'),
  )

describe('who was given a token', () => {
  test('has what it says and no more; revoked, its running task is stopped and the next refused, until it is forgotten', async () => {
    const { mesh } = await createStage(2, 1)
    const [owner, anna] = [mesh.node(0), mesh.node(1)]
    const ask = (code: string, more: Omit<Partial<TaskOrder>, 'on'> = {}): Promise<unknown> =>
      mesh.run(codeOfOutcome(outcomeOf(anna, { on: owner, code, input: 7, ...more })))
    expect(await ask('echo')).toBe(7)
    const { id } = await mesh.run(
      owner.grants.issue({ audience: anna.did, command: '/task', caveats: { limits: { memoryMiB: 128 }, isolation: 'containerized' } }),
    )
    expect(await ask('echo', { limits: { memoryMiB: 128 } })).toBe(7)
    expect(owner.tasks.served.history()[0]).toMatchObject({ isolation: 'containerized' })
    expect(await ask('echo', { limits: { memoryMiB: 129 } })).toBe('ERR_GRANT_NEEDED')
    expect(await entriesOf(owner, 'grant_used')).toHaveLength(1)

    const stopped = outcomeOf(anna, { on: owner, code: 'endless', input: 1 })
    await running(mesh)
    await mesh.run(owner.grants.revoke(id))
    expect(await mesh.run(stopped)).toBe('ERR_GRANT_REVOKED')
    expect(await ask('echo')).toBe('ERR_GRANT_REVOKED')
    expect(owner.grants.check(anna.did, '/task/run')).toMatchObject({
      allow: false,
      code: 'ERR_GRANT_REVOKED',
      reasons: { ceiling: { holds: true }, token: { holds: false } },
    })
    expect((await entriesOf(owner, 'task_refused')).map(({ code }) => code)).toEqual(['ERR_GRANT_NEEDED', 'ERR_GRANT_REVOKED'])
    // As after a power cut: what is on disk decides.
    const again = await mesh.run(restarted(mesh, 0))
    expect(again.grants.find(id)).toMatchObject({ state: 'revoked' })
    await mesh.run(again.grants.forget(id))
    expect(again.grants.check(anna.did, '/task/run')).toMatchObject({ allow: true })
    const events = ['grant_issued', 'grant_revoked', 'grant_forgotten']
    for (const event of events) expect(await entriesOf(again, event)).toHaveLength(1)
  })

  test('is stopped when its time is over', async () => {
    const { mesh } = await createStage(2, 2)
    const [owner, anna] = [mesh.node(0), mesh.node(1)]
    await mesh.run(owner.grants.issue({ audience: anna.did, command: '/task/run', lifetimeMs: 60_000 }))
    const over = outcomeOf(anna, { on: owner, code: 'endless', input: 1, limits: { wallMs: 600_000 } })
    expect(await mesh.run(over)).toBe('ERR_STATEMENT_EXPIRED')
  })

  test('keeps it when the owner changes its key', async () => {
    const { mesh } = await createStage(2, 3, { requireToken: ['/task/run'] })
    await mesh.run(mesh.node(0).grants.issue({ audience: mesh.node(1).did, command: '/task/run' }))
    const owner = await mesh.run(mesh.rotate(0))
    await mesh.clock.advance(30_000)
    expect(owner.grants.check(mesh.node(1).did, '/task/run')).toMatchObject({ allow: true })
    expect(await mesh.run(outcomeOf(mesh.node(1), { on: owner, code: 'echo', input: 3 }))).toBe(3)
  })
})

describe('where a token is required', () => {
  test('it may be handed on, narrower; what its giver takes back, or may not do any more, ends it', async () => {
    const { mesh } = await createStage(4, 4, { requireToken: ['/task/run'] })
    const [owner, anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2), mesh.node(3)]
    const ask = (asker: TestNode, code: string, grants: readonly string[]): Promise<unknown> =>
      codeOfOutcome(outcomeOf(asker, { on: owner, code, input: 5, grants: grants.map((text) => asker.grants.chainOf(text)) }))
    expect(await mesh.run(ask(anna, 'echo', []))).toBe('ERR_GRANT_NEEDED')
    const given = await mesh.run(owner.grants.issue({ audience: anna.did, command: '/task', lifetimeMs: 2 * hourMs, caveats: { limits: { memoryMiB: 256 } } }))
    const kept = await mesh.run(anna.grants.import(given.text))
    expect(kept).toMatchObject({ id: given.id, kind: 'held', state: 'valid', owner: owner.did })

    const fields = { audience: ben.did, command: '/task/run', proof: given.id }
    const wider = [{ command: '/message/send' }, { caveats: { limits: { memoryMiB: 257 } } }, { lifetimeMs: 3 * hourMs }]
    for (const more of wider) expect(await mesh.run(codeOf(anna.grants.issue({ ...fields, ...more })))).toBe('ERR_GRANT_INVALID')
    const handed = await mesh.run(anna.grants.issue({ ...fields, caveats: { limits: { memoryMiB: 128 } } }))
    expect(handed).toMatchObject({ chainLength: 2, owner: owner.did, expiresAt: given.expiresAt, caveats: { limits: { memoryMiB: 128 } } })
    await mesh.run(ben.grants.import(handed.text))
    expect(await mesh.run(ask(ben, 'echo', []))).toBe('ERR_GRANT_NEEDED')
    expect(await mesh.run(ask(ben, 'echo', [handed.id]))).toBe(5)
    // Shown by somebody else it is worth nothing.
    expect(await mesh.run(ask(cleo, 'echo', [handed.text]))).toBe('ERR_STATEMENT_AUDIENCE')
    expect(await mesh.run(codeOf(cleo.grants.import(handed.text)))).toBe('ERR_STATEMENT_AUDIENCE')

    const stopped = ask(ben, 'endless', [handed.id])
    await running(mesh)
    await mesh.run(anna.grants.revoke(handed.id))
    expect(await mesh.run(stopped)).toBe('ERR_GRANT_REVOKED')

    const second = await mesh.run(anna.grants.issue(fields))
    expect(await mesh.run(ask(ben, 'echo', [second.text]))).toBe(5)
    const word = owner.trust.show().find(({ subject }) => subject === anna.did)
    await mesh.run(owner.trust.revoke(word?.id ?? ''))
    expect(await mesh.run(ask(ben, 'echo', [second.text]))).toBe('ERR_TRUST_LOW')
  })

  test('a chain that is no chain is refused with its code, and one of a stranger is not even read', async () => {
    const { mesh } = await createStage(3, 5, { requireToken: ['/task/run'] })
    const [owner, anna, ben] = [mesh.node(0), mesh.node(1), mesh.node(2)]
    const ask = (asker: TestNode, chain: Uint8Array): Promise<unknown> =>
      mesh.run(codeOfOutcome(outcomeOf(asker, { on: owner, code: 'echo', input: 5, grants: [chain] })))
    const { id } = await mesh.run(owner.grants.issue({ audience: ben.did, command: '/task/run' }))
    const altered = owner.grants.chainOf(id).slice()
    altered[altered.length - 3] = (altered.at(-3) ?? 0) ^ 1
    expect(await ask(anna, altered)).toBe('ERR_STATEMENT_SIGNATURE')
    expect(await ask(anna, new Uint8Array(40))).toBe('ERR_WIRE_MALFORMED')
    const word = owner.trust.show().find(({ subject }) => subject === anna.did)
    await mesh.run(owner.trust.revoke(word?.id ?? ''))
    expect(await ask(anna, altered)).toBe('ERR_TRUST_LOW')
  })
})

test('secrets, the system and running natively are given by name alone, and to AUTHORITY alone', async () => {
  const { mesh } = await createStage(2, 6, { isolationFloor: { ...policyDefault.isolationFloor, 4: 'native' } })
  const [owner, anna] = [mesh.node(0), mesh.node(1)]
  const may = (command: string): boolean => owner.grants.check(anna.did, command).allow
  const named = ['/vault/access', '/system/api', '/sandbox/native']
  for (const command of named) await mesh.run(owner.grants.issue({ audience: anna.did, command }))
  expect(named.map(may)).toEqual([false, false, false])
  for (const { id } of owner.grants.list()) await mesh.run(owner.grants.revoke(id))
  for (const { id } of owner.grants.list()) await mesh.run(owner.grants.forget(id))
  await mesh.run(owner.trust.attest({ subject: anna.did, level: 4, scopes, lifetimeMs }))
  for (const command of ['/', '/vault', '/system', '/sandbox']) await mesh.run(owner.grants.issue({ audience: anna.did, command }))
  expect(named.map(may)).toEqual([false, false, false])
  for (const command of named) await mesh.run(owner.grants.issue({ audience: anna.did, command }))
  expect(named.map(may)).toEqual([true, true, true])
  // What no policy grants no token gives.
  expect(may('/network/outbound')).toBe(false)
  expect(may('/anything/else')).toBe(false)
})

async function restarted(mesh: TestMesh, index: number): Promise<TestNode> {
  mesh.crash(index)
  return await mesh.restart(index)
}

/** What it gives, or the code it is refused with. */
const codeOfOutcome = (outcome: Promise<unknown>): Promise<unknown> =>
  outcome.catch((error: unknown) => (error instanceof Error && 'code' in error ? error.code : error))
