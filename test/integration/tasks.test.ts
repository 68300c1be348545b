import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, type Finished } from '../helpers/cli.ts'
import { eventually } from '../helpers/files.ts'

interface Shown {
  readonly id: string
  readonly status: string
}

test('tasks from the command line: on any peer, on many, planned, detached, followed, stopped and remembered on both sides', async () => {
  await using ground = await createPlayground()
  const [anna, ben, cleo] = await Promise.all([ground.up('anna'), ground.up('ben'), ground.up('cleo')])
  await ben.run('dial', anna.ticket)
  await ben.run('dial', cleo.ticket)
  await anna.run('attest', ben.did, '--level', 'verified', '--json')
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(ground.folder, name)
    await writeFile(path, text)
    return path
  }
  const ask = (...args: readonly string[]): Promise<Finished> => ben.run('run', ...args, '--json')
  const add = await file('add.ts', 'const sum: number = (input as { a: number; b: number }).a + input.b\nconsole.log(`sum ${sum}`)\nreturn sum')

  // Anna trusts Ben, Cleo does not: she is asked, says no, and is passed over.
  const any = await ask('any', add, '--input', '{"a":40,"b":2}')
  expect([any.code, any.stderr]).toEqual([0, ''])
  expect(any.json()).toMatchObject({ schema: 'kindmesh.run/1', result: 42, receipt: { executor: expect.any(String), outcome: 'ok' } })
  const { id } = any.json() as unknown as Shown
  expect((await ben.run('task', 'describe', id.slice(0, 8), '--json')).json()).toMatchObject({ id, status: 'done', on: 'any', executor: anna.did, result: 42 })
  expect((await ben.run('task', 'logs', id, '--json')).json()).toMatchObject({ status: 'done', lines: [{ n: 1, level: 'log', text: 'sum 42' }] })

  const planned = await ask('--on', anna.did, add, '--dry-run', '--input', '{"a":1,"b":1}', '--cap', 'file:read')
  expect(planned.code).toBe(0)
  expect(planned.json()).toMatchObject({
    schema: 'kindmesh.run-plan/1',
    executor: anna.did,
    request: { engine: 'javascript', capabilities: ['file:read'] },
    decision: { allow: true, isolation: 'sandboxed', running: 0, queued: 0 },
    missing: [],
  })
  const refused = await ask(cleo.did, add, '--dry-run')
  expect([refused.code, refused.problem().code]).toEqual([17, 'ERR_TRUST_LOW'])
  expect(refused.json()).toMatchObject({
    decision: { allow: false, code: 'ERR_TRUST_LOW', running: null },
    missing: [expect.stringContaining('ERR_TRUST_LOW')],
  })

  const many = await ask('--to-many', `${anna.did},${cleo.did}`, add, '--input', '{"a":1,"b":2}')
  expect([many.code, many.problem().code]).toEqual([1, 'ERR_TASK_PARTIAL'])
  expect(many.json()).toMatchObject({
    schema: 'kindmesh.run-many/1',
    ok: 1,
    failed: 1,
    results: [
      { peer: anna.did, ok: true, result: 3, receipt: { outcome: 'ok' } },
      { peer: cleo.did, ok: false, error: { code: 'ERR_TRUST_LOW' } },
    ],
  })

  const copy = await file('copy.js', "await writeFile('work/out/copy.txt', `${await readFile('work/in/in.txt')} copied`)\nreturn await list('work/in')")
  const out = join(ground.folder, 'out')
  const copied = await ask(anna.did, copy, '--file', await file('in.txt', 'hello'), '--out', out, '--cap', 'file:read,file:write')
  expect([copied.code, copied.stderr]).toEqual([0, ''])
  expect(copied.json()).toMatchObject({ result: [{ name: 'in.txt' }], artefacts: [{ name: 'copy.txt', bytes: 12, path: join(out, 'copy.txt') }] })
  expect(await readFile(join(out, 'copy.txt'), 'utf8')).toBe('hello copied')
  const program = await ben.run('run', anna.did, '--json', '--', 'sort', '-n')
  expect([program.code, program.problem()]).toMatchObject([14, { code: 'ERR_POLICY_DENIED', message: expect.stringContaining('subprocess:spawn') }])

  const endless = await file('endless.js', "console.log('begun')\nfor (;;);")
  const begun = await ben.run('run', anna.did, endless, '--detach', '--limit', 'time=60000')
  expect(begun.code).toBe(0)
  const task = begun.stdout.trim()
  const running = await eventually(async () => {
    const { served } = (await anna.run('task', 'list', '--json')).json() as { readonly served: readonly { readonly id: string; readonly state: string }[] }
    return served.find(({ state }) => state === 'running')
  })
  expect(running.id).toBe(task)
  const following = ben.run('task', 'logs', '-f', task, '--json')
  const stopped = await ben.run('task', 'stop', task, '--json')
  expect(stopped.json()).toMatchObject({ schema: 'kindmesh.task-stop/1', id: task, stopped: true, status: 'cancelled' })
  expect((await following).json()).toMatchObject({ schema: 'kindmesh.task-logs/1', status: 'cancelled', lines: [{ text: 'begun' }] })
  expect((await ben.run('task', 'describe', task, '--json')).json()).toMatchObject({ document: { outcome: 'ERR_TASK_CANCELLED' } })
  expect((await anna.run('task', 'describe', task, '--json')).json()).toMatchObject({
    role: 'served',
    state: 'done',
    outcome: 'ERR_TASK_CANCELLED',
    countersigned: true,
  })

  const { asked } = (await ben.run('task', 'history', '--json')).json() as { readonly asked: readonly Shown[] }
  expect(asked.map(({ status }) => status)).toEqual(['cancelled', 'failed', 'done', 'failed', 'done', 'done'])
  const none = await ben.run('task', 'describe', 'ffffffff', '--json')
  expect([none.code, none.problem().code]).toEqual([2, 'ERR_NOT_FOUND'])
})

test('run says what is wrong with its words before it sends anything', async () => {
  await using ground = await createPlayground()
  const ben = await ground.up('ben')
  const path = join(ground.folder, 'a.js')
  await writeFile(path, 'return 1')
  await writeFile(join(ground.folder, 'bad.ts'), 'enum A { B }\nreturn A.B')
  const cases: readonly (readonly [args: readonly string[], exit: number, code: string])[] = [
    [[], 2, 'ERR_USAGE'],
    [['any'], 2, 'ERR_USAGE'],
    [['any', path, 'more'], 2, 'ERR_USAGE'],
    [['any', path, '--engine', 'perl'], 2, 'ERR_USAGE'],
    [['any', path, '--cap', 'root'], 2, 'ERR_USAGE'],
    [['any', path, '--on', 'any', '--to-many', 'all'], 2, 'ERR_USAGE'],
    [['any', join(ground.folder, 'bad.ts')], 1, 'ERR_SANDBOX_CODE'],
    [['any', path], 14, 'ERR_CAPABILITY_DENIED'],
    [['--to-many', 'all', path], 14, 'ERR_CAPABILITY_DENIED'],
  ]
  for (const [args, exit, code] of cases) {
    const { code: ended, problem } = await ben.run('run', ...args, '--json')
    expect([args, ended, problem().code]).toEqual([args, exit, code])
  }
})
