import { spawnSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createContext } from '../../src/cli/context.ts'
import { createClient } from '../../src/client/index.ts'
import { createPlayground } from '../helpers/cli.ts'

test('a running node erases its recovery key only when the copy is on the disk', async () => {
  await using ground = await createPlayground()
  const up = await ground.up('anna', '--no-upnp')
  const lost = await up.run('id', 'export-recovery', '--out', join(ground.folder, 'no-such-folder', 'key'), '--json')
  expect([lost.code, lost.problem().code]).toEqual([2, 'ERR_USAGE'])
  const client = createClient(JSON.parse(await readFile(join(up.home, 'api.json'), 'utf8')) as { readonly url: string; readonly token: string })
  await expect(client.exportRecovery({ held: 'something else' })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  const { recovery } = await client.exportRecovery({ keep: true })
  const file = join(ground.folder, 'key')
  expect((await up.run('id', 'export-recovery', '--out', file, '--json')).code).toBe(0)
  expect(await readFile(file, 'utf8')).toBe(recovery)
  await expect(client.exportRecovery({ keep: true })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
}, 120_000)

test('the address and token that a crash left behind are not used', async () => {
  await using ground = await createPlayground()
  const { pid } = spawnSync(process.execPath, ['--eval', ''])
  await writeFile(join(ground.folder, 'identity.json'), '{}')
  await writeFile(join(ground.folder, 'api.json'), JSON.stringify({ url: 'http://localhost:9', token: 'secret', pid }))
  await expect(createContext({ home: ground.folder }, new AbortController().signal).client()).rejects.toMatchObject({ code: 'ERR_NODE_DOWN' })
})
