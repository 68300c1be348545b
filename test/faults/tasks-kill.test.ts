import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground } from '../helpers/cli.ts'
import { clientOf, eventually } from '../helpers/files.ts'

test('kill -9 of the asker while its tasks run, and again while it asks for them: each result is there once, and no task ran twice', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben')
  await ben.run('dial', anna.ticket)
  await anna.run('attest', ben.did, '--level', 'verified', '--json')
  // Long enough to outlive two starts of the asker; it computes, so that its executor knows that it goes on.
  const code = `const end = Date.now() + input.ms
console.log('begun')
while (Date.now() < end);
return input.n`
  await writeFile(join(ground.folder, 'wait.js'), code)
  const client = await clientOf(ben)
  const limits = { wallMs: 60_000, cpuMs: 60_000 }
  const ids = await Promise.all([1, 2].map(async (n) => (await client.startTask({ on: anna.did, code, input: { n, ms: 4_000 * n }, limits })).id))
  // Before that nobody but the asker knows of them, and they are lost with it.
  await eventually(async () => {
    const found = await Promise.all(ids.map((id) => client.task(id)))
    return found.every((task) => task.role === 'asked' && task.status === 'running') ? found : undefined
  })
  await ben.end('SIGKILL')
  const again = await ground.up('ben')
  await again.end('SIGKILL')
  const back = await ground.up('ben')
  await back.run('dial', anna.ticket)
  const tasks = await clientOf(back)
  for (const [index, id] of ids.entries()) {
    const task = await eventually(async () => {
      const found = await tasks.task(id)
      return found.role === 'asked' && found.status === 'done' ? found : undefined
    })
    expect(task).toMatchObject({ id, result: index + 1, attempts: [{ id }], document: { outcome: 'ok' } })
  }
  const { served } = await eventually(async () => {
    const all = await (await clientOf(anna)).tasks({ ended: 'true' })
    return all.served.every(({ countersigned }) => countersigned) ? all : undefined
  })
  expect(served.map(({ id }) => id).toSorted()).toEqual(ids.toSorted())
  const { entries } = (await back.run('audit', 'tail', '--limit', '200', '--json')).json() as { readonly entries: readonly { readonly event: string }[] }
  const counted = (event: string): number => entries.filter((entry) => entry.event === event).length
  expect([counted('task_requested'), counted('receipt_countersigned')]).toEqual([2, 2])
  expect((await back.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
})
