import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { profilePaths } from '../../src/base/index.ts'
import { createPlayground, fed, kindmesh } from '../helpers/cli.ts'

test('the new passphrase is what its file holds, a byte order mark too: it opens the vault, with the node down and running; what is not UTF-8 changes nothing', async () => {
  await using ground = await createPlayground()
  const home = ground.home('anna')
  const file = async (name: string, bytes: string | Uint8Array): Promise<string> => {
    await writeFile(join(ground.folder, name), bytes)
    return join(ground.folder, name)
  }
  const first = await file('first', '\u{feff}from an editor\r\n')
  const second = await file('second', '\u{feff}another\n')
  const bad = await file('bad', new Uint8Array([0x70, 0xff, 0xfe, 0x0a]))
  expect((await kindmesh(home, 'init', '--json')).code).toBe(0)
  const { passphraseFile: kept } = profilePaths(home)
  const refused = await kindmesh(home, 'vault', 'passphrase', '--new-passphrase-file', bad, '--json')
  expect([refused.code, refused.problem().code]).toEqual([2, 'ERR_USAGE'])
  await stat(kept)
  expect((await kindmesh(home, 'vault', 'passphrase', '--new-passphrase-file', first, '--json')).json()).toMatchObject({ removed: kept })
  expect((await fed(home, '\u{feff}value\n', 'vault', 'set', 'name', '--passphrase-file', first, '--json')).code).toBe(0)
  expect((await kindmesh(home, 'vault', 'get', 'name', '--passphrase-file', first, '--json')).json()).toMatchObject({ value: '\u{feff}value' })

  const up = await ground.up('anna', '--no-upnp', '--passphrase-file', first)
  const change = await up.run('vault', 'passphrase', '--passphrase-file', first, '--new-passphrase-file', second, '--json')
  expect([change.code, change.stderr]).toEqual([0, ''])
  expect((await up.run('vault', 'seal', '--json')).code).toBe(0)
  expect((await up.run('vault', 'unseal', '--passphrase-file', bad, '--json')).problem().code).toBe('ERR_USAGE')
  expect((await up.run('vault', 'unseal', '--passphrase-file', second, '--json')).json()).toMatchObject({ sealed: false })
}, 120_000)
