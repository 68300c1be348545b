import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { profilePaths } from '../../src/base/index.ts'
import { createLevelStore, put, type Store } from '../../src/store/index.ts'
import { createPlayground, kindmesh } from '../helpers/cli.ts'

const entryKey = (seq: number): string => `audit/entry/${String(seq).padStart(16, '0')}`

test('whoever edits, cuts or puts back the log of a stopped node is found out by `audit verify`', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  const older = join(ground.folder, 'older')
  await ben.run('send', anna.did, 'first')
  await anna.end('SIGTERM')
  await cp(anna.home, older, { recursive: true })
  const again = await ground.up('anna')
  await ben.run('dial', again.ticket)
  await ben.run('send', again.did, 'second')
  await again.end('SIGTERM')
  expect((await kindmesh(anna.home, 'audit', 'verify', '--json')).code).toBe(0)

  const tampered = async (change: (store: Store) => Promise<void>): Promise<Record<string, unknown>> => {
    const home = join(ground.folder, 'tampered')
    await cp(anna.home, home, { recursive: true, force: true })
    const store = await createLevelStore(profilePaths(home).store)
    await change(store)
    await store.close()
    const verified = await kindmesh(home, 'audit', 'verify', '--json')
    expect([verified.code, verified.problem().code]).toEqual([1, 'ERR_AUDIT_TAMPERED'])
    return verified.json()
  }
  const altered = await tampered(async (store) => {
    const entry = await store.get(entryKey(2))
    if (entry === undefined) throw new Error('no entry 2')
    entry[entry.length - 40] = (entry.at(-40) ?? 0) ^ 1
    await store.durable([put(entryKey(2), entry)])
  })
  expect(altered).toMatchObject({ ok: false, firstBad: { seq: 2, reason: expect.any(String) } })
  const cut = await tampered((store) => store.durable([{ type: 'del', key: entryKey(4) }]))
  expect(cut).toMatchObject({ ok: false, firstBad: { seq: 4 } })
  const wiped = await tampered(async (store) => {
    const keys: string[] = []
    for await (const [key] of store.range({ gte: 'audit/', lt: 'audit0' })) keys.push(key)
    await store.durable(keys.map((key) => ({ type: 'del', key })))
  })
  expect(wiped).toMatchObject({ ok: false })

  // The whole store as it was earlier, with its own good signatures: the checkpoint beside it knows more.
  await cp(profilePaths(anna.home).checkpoint, profilePaths(older).checkpoint)
  const putBack = await kindmesh(older, 'audit', 'verify', '--json')
  expect([putBack.code, putBack.problem().code]).toEqual([1, 'ERR_AUDIT_TAMPERED'])
})

test('a flipped byte anywhere in the files of the store is noticed or does no harm', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const { did } = anna
  await anna.end('SIGTERM')
  const folder = profilePaths(anna.home).store
  const files = (await readdir(folder)).filter((file) => file !== 'LOCK' && !file.startsWith('LOG'))
  for (const file of files) {
    const home = join(ground.folder, `flipped-${file}`)
    await cp(anna.home, home, { recursive: true })
    const path = join(profilePaths(home).store, file)
    const bytes = await readFile(path)
    const { size } = await stat(path)
    if (size === 0) continue
    const at = Math.floor(size / 2)
    bytes[at] = (bytes[at] ?? 0) ^ 0x20
    await writeFile(path, bytes)
    const verified = await kindmesh(home, 'audit', 'verify', '--json')
    const verdict = verified.code === 0 ? verified.json() : verified.problem()
    expect([file, verified.code, verdict]).toEqual([
      file,
      expect.any(Number),
      verified.code === 0
        ? expect.objectContaining({ ok: true })
        : expect.objectContaining({ code: expect.stringMatching(/^ERR_(AUDIT_TAMPERED|STORE_FAILED)$/) as string }),
    ])
    expect((await kindmesh(home, 'id', '--json')).json()['did']).toBe(did)
  }
})
