import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, kindmesh, startUp } from '../helpers/cli.ts'

test('anna rotates while her node runs: name, trust and tasks stay, the peer ID moves, and ben reaches her by the same DID', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  expect((await ben.run('attest', anna.did, '--level', 'verified', '--scope', '/task/run', '--json')).code).toBe(0)
  expect((await anna.run('attest', ben.did, '--level', 'verified', '--scope', '/task/run', '--json')).code).toBe(0)

  const rotated = (await anna.run('id', 'rotate', '--json')).json()
  expect(rotated).toMatchObject({ schema: 'kindmesh.id-rotate/1', did: anna.did })
  expect(rotated['peerId']).not.toBe(anna.peerId)
  expect((await anna.run('id', '--json')).json()).toMatchObject({
    did: anna.did,
    peerId: rotated['peerId'],
    kindDid: expect.stringContaining('kind:agent:') as string,
    createdAt: expect.any(Number) as number,
    seq: 1,
    status: 'active',
  })
  // Same API, same token: the process went on.
  expect((await anna.run('status', '--json')).json()).toMatchObject({ did: anna.did, peerId: rotated['peerId'] })

  expect((await ben.run('send', anna.did, 'to the same name', '--json')).code).toBe(0)
  expect((await ben.run('send', anna.peerId, 'to the old peer ID', '--json')).code).toBe(0)
  expect((await anna.run('inbox', '--json')).json()).toMatchObject({ messages: [{ body: 'to the same name', from: ben.did }, { body: 'to the old peer ID' }] })
  expect((await anna.run('send', ben.did, 'from the new key', '--json')).code).toBe(0)
  expect((await ben.run('inbox', '--json')).json()).toMatchObject({ messages: [{ body: 'from the new key', from: anna.did }] })

  expect((await ben.run('trust', 'explain', anna.did, '--json')).json()).toMatchObject({ level: 2, because: [{ path: [ben.did, anna.did] }] })
  const code = join(ground.folder, 'task.js')
  await writeFile(code, 'return input.a + 1')
  expect((await anna.run('run', ben.did, code, '--input', '{"a":1}', '--json')).json()).toMatchObject({ result: 2 })
  // What she said before the rotation is still her word.
  expect((await ben.run('run', anna.did, code, '--input', '{"a":2}', '--json')).json()).toMatchObject({ result: 3 })

  for (const node of [anna, ben]) expect((await node.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
  const entries = (await ben.run('audit', 'tail', '--limit', '200', '--json')).json()['entries'] as readonly {
    readonly event: string
    readonly subject: string
  }[]
  expect(entries).toContainEqual(expect.objectContaining({ event: 'key_rotated', subject: anna.did }))
}, 400_000)

test('a node that is down rotates on its profile, and finds the peers of before when it comes back', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  expect((await ben.run('send', anna.did, 'first', '--json')).code).toBe(0)
  expect(await anna.end('SIGTERM')).toBe(0)
  const rotated = (await anna.run('id', 'rotate', '--json')).json()
  expect(rotated).toMatchObject({ did: anna.did })
  expect((await anna.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
  const again = await startUp(anna.home)
  try {
    expect([again.did, again.peerId]).toEqual([anna.did, rotated['peerId']])
    expect((await ben.run('send', anna.did, 'second', '--timeout', '20s', '--json')).code).toBe(0)
    expect((await again.run('inbox', '--json')).json()).toMatchObject({ messages: [{ body: 'first' }, { body: 'second', from: ben.did }] })
  } finally {
    await again.end('SIGTERM')
  }
}, 400_000)

test('the recovery key leaves its node once, in a file of its own, and takes the identity back, also on another machine', async () => {
  await using ground = await createPlayground()
  const { home } = { home: ground.home('anna') }
  const made = (await kindmesh(home, 'init', '--json')).json()
  const file = join(ground.folder, 'recovery.json')
  expect((await kindmesh(home, 'id', 'export-recovery', '--out', file, '--json')).code).toBe(0)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const { seed } = JSON.parse(await readFile(file, 'utf8')) as { readonly seed: string }
  const second = await kindmesh(home, 'id', 'export-recovery', '--json')
  expect([second.code, second.problem().code]).toEqual([2, 'ERR_NOT_FOUND'])
  expect(await readFile(join(home, 'identity.json'), 'utf8')).not.toContain(seed)

  const recovered = (await kindmesh(home, 'id', 'recover', file, '--json')).json()
  expect(recovered).toMatchObject({ schema: 'kindmesh.id-recover/1', did: made['did'] })
  expect(recovered['peerId']).not.toBe(made['peerId'])
  const elsewhere = ground.home('elsewhere')
  expect((await kindmesh(elsewhere, 'id', 'recover', file, '--json')).json()).toMatchObject({ did: made['did'] })
  expect((await kindmesh(elsewhere, 'id', '--json')).json()).toMatchObject({ did: made['did'], seq: 2 })

  const stranger = ground.home('stranger')
  await kindmesh(stranger, 'init', '--json')
  const refused = await kindmesh(stranger, 'id', 'recover', file, '--json')
  expect(refused.problem().code).toBe('ERR_IDENTITY_CHAIN')
  await writeFile(file, '{}')
  expect((await kindmesh(home, 'id', 'recover', file, '--json')).problem()).toMatchObject({ code: 'ERR_USAGE', message: 'not a recovery key' })
}, 400_000)

test('a machine that was lost with all it had is replaced: the recovery key finds the newest chain and goes on from there', async () => {
  await using ground = await createPlayground()
  const ben = await ground.up('ben')
  const anna = await ground.up('anna', '--bootstrap', ben.addresses[0] ?? '')
  const file = join(ground.folder, 'recovery.json')
  expect((await anna.run('id', 'export-recovery', '--out', file, '--json')).code).toBe(0)
  expect((await ben.run('attest', anna.did, '--level', 'verified', '--json')).code).toBe(0)
  expect((await anna.run('id', 'rotate', '--json')).json()).toMatchObject({ did: anna.did })
  expect((await ben.run('send', anna.did, 'before', '--timeout', '20s', '--json')).code).toBe(0)
  await anna.end('SIGKILL')

  const home = ground.home('new')
  expect((await kindmesh(home, 'id', 'recover', file, '--bootstrap', ben.addresses[0] ?? '', '--json')).json()).toMatchObject({ did: anna.did })
  expect((await kindmesh(home, 'id', '--json')).json()).toMatchObject({ did: anna.did, seq: 3 })
  const again = await startUp(home, '--bootstrap', ben.addresses[0] ?? '')
  try {
    expect(again.did).toBe(anna.did)
    expect((await again.run('send', ben.did, 'it is me', '--timeout', '20s', '--json')).code).toBe(0)
    expect((await ben.run('inbox', '--json')).json()).toMatchObject({ messages: [{ body: 'it is me', from: anna.did }] })
    expect((await ben.run('trust', 'explain', anna.did, '--json')).json()).toMatchObject({ level: 2 })
  } finally {
    await again.end('SIGTERM')
  }
}, 400_000)

test('kill -9 while it rotates leaves the old key or the new one, never none', async () => {
  await using ground = await createPlayground()
  const node = await ground.up('anna')
  const peerIds = new Set([node.peerId])
  for (let cycle = 0; cycle < 2; cycle++) {
    const up = cycle === 0 ? node : await ground.up('anna')
    const before = (await up.run('id', '--json')).json()['seq'] as number
    // The answer races the kill: whatever came first, the file is whole.
    const rotating = up.run('id', 'rotate', '--json')
    const killed = up.run('id', '--json').then(() => up.end('SIGKILL'))
    await Promise.all([rotating, killed])
    const after = (await up.run('id', '--json')).json()
    expect(after).toMatchObject({ did: node.did })
    expect([before, before + 1]).toContain(after['seq'])
    peerIds.add(String(after['peerId']))
  }
  const last = await ground.up('anna')
  expect([last.did, peerIds.has(last.peerId)]).toEqual([node.did, true])
  expect((await last.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
}, 400_000)
