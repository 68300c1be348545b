import { expect, test } from 'vitest'
import type { Client, ServedTask, TaskDescription } from '../../src/client/index.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'
import { clientOf, eventually } from '../helpers/files.ts'

/** An asker and an executor that holds it VERIFIED, in processes of their own. */
async function meet(ground: Awaited<ReturnType<typeof createPlayground>>): Promise<{ readonly asker: UpNode; readonly executor: UpNode }> {
  const [asker, executor] = [await ground.up('asker'), await ground.up('executor')]
  await (await clientOf(asker)).dial({ target: executor.ticket })
  expect((await executor.run('attest', asker.did, '--level', 'verified', '--json')).code).toBe(0)
  return { asker, executor }
}
const limits = { wallMs: 300_000, cpuMs: 300_000 }
const servedBy = async (client: Client): Promise<readonly ServedTask[]> => (await client.tasks()).served
/** How a task ended for who asked for it. */
async function endOf(client: Client, id: string): Promise<Extract<TaskDescription, { readonly role: 'asked' }>> {
  return await eventually(async () => {
    const found = await client.task(id)
    return found.role === 'asked' && found.endedAt !== null && found.document !== null ? found : undefined
  })
}

test('kill -9 of an executor: what ran is lost and not run again, what waited was not run, and its asker holds receipts that say so', async () => {
  await using ground = await createPlayground()
  const { asker, executor } = await meet(ground)
  const client = await clientOf(asker)
  const tasks = await Promise.all([1, 2, 3].map((input) => client.startTask({ on: executor.did, code: 'console.log("begun"); for (;;);', input, limits })))
  const before = await clientOf(executor)
  await eventually(async () => {
    const states = (await servedBy(before)).map(({ state }) => state)
    return states.filter((state) => state === 'running').length === 2 && states.includes('queued') ? true : undefined
  })
  await executor.end('SIGKILL')
  const back = await ground.up('executor')
  await client.dial({ target: back.ticket })
  const ends = await Promise.all(tasks.map(({ id }) => endOf(client, id)))
  const codes = ends.map(({ error }) => error?.code ?? '').toSorted((a, b) => a.localeCompare(b))
  expect(codes).toEqual(['ERR_TASK_LOST', 'ERR_TASK_LOST', 'ERR_TASK_NOT_RUN'])
  const served = await eventually(async () => {
    const all = await servedBy(await clientOf(back))
    return all.length === 3 && all.every(({ countersigned }) => countersigned) ? all : undefined
  })
  expect(served.every(({ state }) => state === 'done')).toBe(true)
  expect((await back.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
}, 300_000)

test('kill -9 of both when one has finished and the other has not heard of it: the result is delivered by their next lives', async () => {
  await using ground = await createPlayground()
  const { asker, executor } = await meet(ground)
  const client = await clientOf(asker)
  const code = 'const from = Date.now(); while (Date.now() < from + 3000); return input + 1'
  const { id } = await client.startTask({ on: executor.did, code, input: 41, limits })
  const before = await clientOf(executor)
  await eventually(async () => (await servedBy(before)).find(({ state }) => state === 'running'))
  // The asker is held in its tracks: it takes nothing and signs nothing.
  asker.child.kill('SIGSTOP')
  const done = await eventually(async () => (await servedBy(before)).find(({ state }) => state === 'done'))
  expect(done).toMatchObject({ outcome: 'ok', countersigned: false })
  await Promise.all([executor.end('SIGKILL'), asker.end('SIGKILL')])
  const [back, again] = [await ground.up('executor'), await ground.up('asker')]
  const next = await clientOf(again)
  await next.dial({ target: back.ticket })
  expect(await endOf(next, id)).toMatchObject({ status: 'done', result: 42 })
  const after = await clientOf(back)
  await eventually(async () => (await servedBy(after)).find(({ countersigned }) => countersigned))
  expect(await servedBy(after)).toHaveLength(1)
}, 300_000)
