import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, type UpNode } from '../helpers/cli.ts'

/** Remembers what it is told, in its own variables and in its memory. */
const notes = `
interface Note { readonly data: { readonly add?: string } | string; readonly from: string; readonly expectsReply: boolean }
let told = 0
agent.receive(async ({ data, expectsReply }: Note) => {
  told++
  const kept = ((await memory.get('notes')) ?? []) as string[]
  const added = typeof data === 'string' ? data : data.add
  if (added !== undefined) {
    kept.push(added)
    await memory.set('notes', kept)
    console.log(\`\${expectsReply ? 'asked' : 'sent'} \${added}\`)
  }
  return { told, kept }
})`
/** Asks another agent on behalf of whoever asks it. */
const clerk = `agent.receive(async ({ data }) => ({ says: await mesh.ask(data.to, { add: data.note }) }))`
const wild = `
agent.receive(async ({ data }) => {
  if (data === 'loop') for (;;);
  if (data === 'fill') for (const all = []; ; ) all.push(new Array(100_000).fill(1))
  if (data === 'throw') throw new Error('the word of the agent is tulip')
  if (data === 'large') return 'x'.repeat(100_000)
  if (data === 'never') return new Promise(() => {})
  return data
})`

interface Program {
  readonly name: string
  readonly did: string
  readonly status: string
  readonly restarts: number
  readonly codeHash: string
  readonly lastError: { readonly code: string; readonly message: string } | null
}
const programs = async (node: UpNode): Promise<readonly Program[]> => (await node.run('agent', 'list', '--json')).json()['programs'] as readonly Program[]
const lines = async (node: UpNode, name: string): Promise<readonly string[]> =>
  ((await node.run('agent', 'logs', name, '--json')).json()['lines'] as readonly { readonly text: string }[]).map(({ text }) => text)
async function add(node: UpNode, name: string, file: string, ...options: readonly string[]): Promise<string> {
  const added = await node.run('agent', 'add', name, file, ...options, '--json')
  expect(added.json()).toMatchObject({ schema: 'kindmesh.agent-add/1', name })
  return String(added.json()['did'])
}

test('agents of the operator answer the mesh, remember over a restart, ask each other, and take what was sent while they were off', async () => {
  await using ground = await createPlayground()
  const write = async (name: string, code: string): Promise<string> => {
    const path = join(ground.folder, name)
    await writeFile(path, code)
    return path
  }
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  const ask = async (from: UpNode, to: string, data: unknown) => await from.run('ask', to, JSON.stringify(data), '--timeout', '30s', '--json')

  // What was not granted refuses the code where it stands, and nothing is left of the agent.
  const refused = await ben.run('agent', 'add', 'notes', await write('notes.ts', notes), '--cap', 'memory:read', '--json')
  expect(refused.problem()).toMatchObject({
    code: 'ERR_SANDBOX_PERMISSION',
    message: expect.stringMatching(/memory\.set needs memory:write \(line \d+, column \d+\)/) as string,
  })
  expect(await programs(ben)).toEqual([])

  const did = await add(ben, 'notes', join(ground.folder, 'notes.ts'), '--cap', 'memory:read', 'memory:write')
  expect((await ask(anna, did, { add: 'one' })).json()).toMatchObject({ reply: { told: 1, kept: ['one'] } })

  // An agent at another node, and one at the same node, ask it for somebody else.
  const far = await add(anna, 'clerk', await write('clerk.js', clerk), '--cap', 'agent:delegate')
  expect((await ask(ben, far, { to: did, note: 'two' })).json()).toMatchObject({ reply: { says: { told: 2, kept: ['one', 'two'] } } })
  const near = await add(ben, 'clerk', join(ground.folder, 'clerk.js'), '--cap', 'agent:delegate')
  expect((await ask(anna, near, { to: did, note: 'three' })).json()).toMatchObject({ reply: { says: { told: 3 } } })

  // Stopped, it is asked in vain, but what is sent stays until it is back, in order.
  expect((await ben.run('agent', 'stop', 'notes', '--json')).json()).toMatchObject({ status: 'stopped' })
  expect((await ask(anna, did, { add: 'lost' })).problem().code).toBe('ERR_AGENT_DOWN')
  for (const note of ['four', 'five']) expect((await anna.run('send', did, note, '--json')).json()).toMatchObject({ status: 'acknowledged' })
  await ben.end('SIGKILL')
  const again = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  expect(await programs(again)).toMatchObject([
    { name: 'clerk', status: expect.stringMatching(/starting|running/) as string },
    { name: 'notes', did, status: 'stopped' },
  ])
  await again.run('agent', 'start', 'notes', '--json')
  await expect.poll(() => lines(again, 'notes'), { timeout: 60_000, interval: 500 }).toEqual(['sent four', 'sent five'])
  expect((await ask(anna, did, { add: 'six' })).json()).toMatchObject({ reply: { told: 3, kept: ['one', 'two', 'three', 'four', 'five', 'six'] } })

  // Other code, the same agent: what it remembers stays. Gone and come back it is another.
  const before = (await programs(again)).find(({ name }) => name === 'notes')?.codeHash
  await write('shout.ts', notes.replace('kept.push(added)', 'kept.push(added.toUpperCase())'))
  expect((await again.run('agent', 'update', 'notes', join(ground.folder, 'shout.ts'), '--json')).json()['codeHash']).not.toBe(before)
  expect((await ask(anna, did, { add: 'seven' })).json()).toMatchObject({ reply: { told: 1, kept: ['one', 'two', 'three', 'four', 'five', 'six', 'SEVEN'] } })
  expect((await again.run('agent', 'remove', 'notes', '--json')).code).toBe(0)
  const other = await add(again, 'notes', join(ground.folder, 'notes.ts'), '--cap', 'memory:read', 'memory:write')
  expect(other).not.toBe(did)
  expect((await ask(anna, other, {})).json()).toMatchObject({ reply: { told: 1, kept: [] } })

  const events = ((await again.run('audit', 'tail', '--limit', '200', '--json')).json()['entries'] as readonly { readonly event: string }[]).map(
    ({ event }) => event,
  )
  for (const event of ['agent_added', 'agent_updated', 'agent_removed', 'sandbox_created']) expect(events).toContain(event)
}, 400_000)

test('an agent that loops, fills its memory or ends comes back, and neither the node nor another agent is harmed', async () => {
  await using ground = await createPlayground()
  const [wildFile, notesFile] = [join(ground.folder, 'wild.js'), join(ground.folder, 'notes.ts')]
  await writeFile(wildFile, wild)
  await writeFile(notesFile, notes)
  const ben = await ground.up('ben')
  await add(ben, 'wild', wildFile, '--limit', 'time=1500,cputime=60000,memory=64')
  // Time enough to fill its memory also where the machine is busy.
  await add(ben, 'greedy', wildFile, '--limit', 'time=60000,cputime=60000,memory=64')
  await add(ben, 'notes', notesFile, '--cap', 'memory:read', 'memory:write')
  const ask = async (agent: string, data: unknown) => await ben.run('ask', ben.did, JSON.stringify(data), '--agent', agent, '--timeout', '60s', '--json')

  for (const [agent, trouble, limit] of [
    ['wild', 'loop', 'wallMs'],
    ['greedy', 'fill', 'memoryMiB'],
  ] as const) {
    const [hurt, well] = await Promise.all([ask(agent, trouble), ask('notes', {})])
    expect(hurt.problem().code).toBe('ERR_AGENT_DOWN')
    expect(well.json()).toMatchObject({ reply: { kept: [] } })
    expect((await programs(ben)).find(({ name }) => name === agent)?.lastError).toMatchObject({
      code: 'ERR_SANDBOX_LIMIT',
      message: expect.stringContaining(limit) as string,
    })
    // Asked while it is on its way back, it answers when it is.
    expect((await ask(agent, 'well')).json()).toMatchObject({ reply: 'well' })
  }
  const threw = await ask('wild', 'throw')
  expect(threw.problem().code).toBe('ERR_AGENT_FAILED')
  expect(threw.stderr + threw.stdout).not.toContain('tulip')
  expect((await lines(ben, 'wild')).join('\n')).toContain('tulip')
  expect((await ask('wild', 'large')).problem().code).toBe('ERR_WIRE_TOO_LARGE')
  expect((await ask('wild', 'never')).problem().code).toBe('ERR_TIMEOUT')
  expect((await ask('wild', 1)).json()).toMatchObject({ reply: 1 })
  expect(await programs(ben)).toMatchObject([
    { name: 'greedy', status: 'running', restarts: 1 },
    { name: 'notes', status: 'running', restarts: 0 },
    { name: 'wild', status: 'running', restarts: 1 },
  ])
}, 400_000)

test('a program that cannot start is given up, and the list says why', async () => {
  await using ground = await createPlayground()
  const file = join(ground.folder, 'short.js')
  await writeFile(file, 'return 1')
  const ben = await ground.up('ben')
  await add(ben, 'short', file)
  await expect.poll(async () => (await programs(ben))[0]?.status, { timeout: 60_000, interval: 500 }).toBe('failed')
  expect((await programs(ben))[0]).toMatchObject({
    restarts: 4,
    lastError: { code: 'ERR_AGENT_DOWN', message: expect.stringContaining('agent.receive') as string },
  })
  expect((await ben.run('ask', ben.did, '1', '--agent', 'short', '--json')).problem().code).toBe('ERR_AGENT_DOWN')
  await writeFile(file, 'agent.receive(() =>')
  expect((await ben.run('agent', 'add', 'broken', file, '--json')).problem()).toMatchObject({
    code: 'ERR_SANDBOX_CODE',
    message: expect.stringContaining('line 1') as string,
  })
  expect((await ben.run('agent', 'add', 'far', file, '--level', 'nowhere', '--json')).problem().code).toBe('ERR_USAGE')
  expect(await programs(ben)).toHaveLength(1)
}, 400_000)
