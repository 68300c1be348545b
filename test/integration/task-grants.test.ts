import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, fed, type Finished, kindmesh, type UpNode } from '../helpers/cli.ts'

const program = `
const tried = {}
const attempt = async (name, act) => { try { tried[name] = await act() } catch (error) { tried[name] = error.code } }
await attempt('fetched', async () => (await fetch(input.url)).text())
await attempt('elsewhere', async () => (await fetch(input.other)).text())
await attempt('secret', () => vault.get('key'))
await attempt('other secret', () => vault.get('other'))
await attempt('count', async () => { const n = ((await memory.get('n')) ?? 0) + 1; await memory.set('n', n); return n })
await attempt('notes', () => readFile('notes/today.md'))
await attempt('written', () => writeFile('notes/new.md', 'x'))
await attempt('asked', () => mesh.ask(input.me, 'who', { agent: 'echo' }))
return tried
`
const caps = ['network:outbound', 'vault:access', 'memory:read', 'memory:write', 'file:read', 'file:write'].flatMap((name) => ['--cap', name])

test('a task of an authority reaches what the operator grants, no more, and who is trusted less reaches none of it', async () => {
  await using ground = await createPlayground()
  const server = createServer((_, response) => response.end('from the server'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const home = ground.home('ben')
  await mkdir(join(home, 'notes'), { recursive: true, mode: 0o700 })
  await writeFile(join(home, 'notes', 'today.md'), 'buy tulips')
  const config = join(home, 'sandbox.toml')

  await writeFile(config, '[tasks.TRUSTED]\ncapabilities = ["everything"]\n', { mode: 0o600 })
  const refused = await kindmesh(home, 'up', '--init', '--listen', '/ip4/127.0.0.1/tcp/0', '--json')
  expect(refused.code).toBe(2)
  expect(refused.problem()).toMatchObject({ code: 'ERR_SANDBOX_CONFIG', message: expect.stringContaining('tasks.TRUSTED.capabilities.0') as string })

  const toml = `
[tasks.AUTHORITY]
capabilities = ["network:outbound", "vault:access", "memory:read", "memory:write", "file:read"]
vault = ["key"]
[tasks.AUTHORITY.network]
allowOutbound = true
allowedDomains = ["127.0.0.1"]
allowedPrivate = ["127.0.0.1:${port}"]
[[tasks.AUTHORITY.files.roots]]
name = "notes"
path = ${JSON.stringify(join(home, 'notes'))}
`
  await writeFile(config, toml)
  const ben = await ground.up('ben')
  const anna = await ground.up('anna', '--bootstrap', ben.addresses[0] ?? '')
  const file = join(ground.folder, 'task.js')
  await writeFile(file, program)
  expect((await fed(home, 'the key', 'vault', 'set', 'key', '--json')).code).toBe(0)
  const input = JSON.stringify({ url: `http://127.0.0.1:${port}/`, other: 'http://169.254.169.254/', me: anna.did })
  const run = async (asker: UpNode, code: string, ...more: readonly string[]): Promise<Finished> =>
    await asker.run('run', ben.did, code, '--input', input, ...more, '--timeout', '60s', '--json')

  await ben.run('attest', anna.did, '--level', 'verified', '--scope', '/task/run')
  const early = await run(anna, file, ...caps)
  expect(early.problem()).toMatchObject({ code: 'ERR_POLICY_DENIED', message: expect.stringContaining('network:outbound') as string })

  await ben.run('attest', anna.did, '--level', 'authority', '--scope', '/task/run')
  // What was not asked for, or not granted, is refused before it runs.
  expect((await run(anna, file, ...caps, '--cap', 'agent:delegate')).problem()).toMatchObject({ code: 'ERR_POLICY_DENIED' })
  const modest = join(ground.folder, 'modest.js')
  await writeFile(modest, program.replace(/.*mesh\.ask.*\n/, ''))
  for (const count of [1, 2]) {
    const done = await run(anna, modest, ...caps)
    expect(done.stderr).toBe('')
    expect(done.json()).toMatchObject({
      result: {
        fetched: 'from the server',
        elsewhere: 'ERR_POLICY_DENIED',
        secret: 'the key',
        'other secret': 'ERR_POLICY_DENIED',
        count,
        notes: 'buy tulips',
        written: 'ERR_POLICY_DENIED',
      },
    })
  }
  server.close()
  server.closeAllConnections()
})
