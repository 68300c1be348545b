import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createNode } from '../../src/index.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('the program in the README runs as it stands', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-readme-'))
  try {
    const [, program] = /```ts\n([\s\S]+?)```/.exec(await readFile(join(root, 'README.md'), 'utf8')) ?? []
    expect(program).toContain("from 'kindmesh'")
    await using peer = await createNode({ dataDir: join(folder, 'peer'), listen: ['/ip4/127.0.0.1/tcp/0'] })
    peer.agents.register({ name: 'librarian', receive: async ({ data }) => ({ found: 3, asked: data }) })
    // It may run tasks here as soon as it says who it is.
    peer.onEvent((event) => {
      if (event.event === 'connected') void peer.trust.attest({ subject: event.did, level: 2, scopes: ['/task/run'], lifetimeMs: 60_000 })
    })
    const file = join(folder, 'example.ts')
    const local = `const ticket = ${JSON.stringify(peer.ticket())}\n${program?.replace("'kindmesh'", JSON.stringify(join(root, 'src/index.ts'))) ?? ''}\nconsole.log('reply', JSON.stringify(reply))\n`
    await writeFile(file, local)
    const child = spawn(process.execPath, [file], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    expect([code, output]).toEqual([0, expect.stringContaining('"asked":{"find":"walden"}')])
    expect(output).toContain('result: 42')
    expect(output).toMatch(/UNKNOWN in \/task\/run/)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
