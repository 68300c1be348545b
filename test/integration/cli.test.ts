import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, kindmesh } from '../helpers/cli.ts'

test('init makes one identity in three spellings; a second init refuses and changes nothing', async () => {
  await using ground = await createPlayground()
  const home = ground.home('anna')
  const first = await kindmesh(home, 'init', '--json')
  expect(first.code).toBe(0)
  expect(first.json()).toMatchObject({
    schema: 'kindmesh.init/1',
    did: expect.stringMatching(/^did:key:z6Mk/),
    peerId: expect.stringMatching(/^12D3KooW/),
    kindDid: expect.stringMatching(/^kind:agent:.+#ed25519$/),
  })
  const file = await readFile(join(home, 'identity.json'), 'utf8')
  const second = await kindmesh(home, 'init', '--json')
  expect(second.code).toBe(2)
  expect(second.problem().code).toBe('ERR_PROFILE_EXISTS')
  expect(await readFile(join(home, 'identity.json'), 'utf8')).toBe(file)
})

test('commands without a profile, without a node, or with a wrong passphrase exit with their own code and a next step', async () => {
  await using ground = await createPlayground()
  const home = ground.home('anna')
  const missing = await kindmesh(home, 'peers', '--json')
  expect([missing.code, missing.problem().code]).toEqual([10, 'ERR_PROFILE_MISSING'])
  const secret = join(ground.folder, 'secret')
  await writeFile(secret, 'correct horse\n')
  expect((await kindmesh(home, 'init', '--json', '--passphrase-file', secret)).code).toBe(0)
  const down = await kindmesh(home, 'peers', '--json')
  expect([down.code, down.problem().code]).toEqual([15, 'ERR_NODE_DOWN'])
  const sealed = await kindmesh(home, 'up', '--json', '--no-input')
  expect([sealed.code, sealed.problem().code]).toEqual([13, 'ERR_SEALED'])
  const wrong = join(ground.folder, 'wrong')
  await writeFile(wrong, 'battery staple\n')
  const refused = await kindmesh(home, 'up', '--json', '--passphrase-file', wrong)
  expect([refused.code, refused.problem().code]).toEqual([12, 'ERR_AUTH_FAILED'])
  expect(refused.problem().hint).not.toBe('')
  const usage = await kindmesh(home, 'attest', 'did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp', '--level', 'saint', '--json')
  expect([usage.code, usage.problem().code]).toEqual([2, 'ERR_USAGE'])
})

test('three profiles in three processes: dial, send, ask, attest, explain, run, verify', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  const cleo = await ground.up('cleo')
  const code = join(ground.folder, 'task.js')
  await writeFile(code, "console.log('working')\nprogress(0.5, 'half')\nreturn { sum: input.a + input.b }\n")

  const dialed = await cleo.run('dial', anna.ticket, '--json')
  expect(dialed.json()).toMatchObject({ schema: 'kindmesh.dial/1', did: anna.did, peerId: anna.peerId, route: 'direct', rttMs: expect.any(Number) })
  const peers = (await cleo.run('peers', '--json')).json()
  expect(peers).toMatchObject({
    peers: expect.arrayContaining([expect.objectContaining({ did: anna.did, peerId: anna.peerId, route: 'direct', level: 0 })]) as unknown,
  })

  const sent = await ben.run('send', anna.did, 'hello anna', '--json')
  expect(sent.json()).toMatchObject({ schema: 'kindmesh.send/1', status: 'acknowledged' })
  const inbox = (await anna.run('inbox', '--json')).json()
  expect(inbox).toMatchObject({ messages: [{ id: sent.json()['id'], from: ben.did, type: 'text', body: 'hello anna', receivedAt: expect.any(Number) }] })

  const unknown = await ben.run('ask', anna.did, '{"q":1}', '--agent', 'nobody', '--json')
  expect([unknown.code, unknown.problem().code]).toEqual([14, 'ERR_AGENT_UNKNOWN'])
  expect((await anna.run('agent', 'add', 'echo', '--json')).code).toBe(0)
  const asked = await ben.run('ask', anna.peerId, '{"q":[1,2,3]}', '--agent', 'echo', '--json')
  expect(asked.json()).toMatchObject({ schema: 'kindmesh.ask/1', reply: { q: [1, 2, 3] } })

  const untrusted = await ben.run('run', anna.did, code, '--input', '{"a":1,"b":2}', '--json')
  expect([untrusted.code, untrusted.problem().code]).toEqual([17, 'ERR_TRUST_LOW'])
  const attested = await anna.run('attest', ben.did, '--level', 'verified', '--scope', '/task/run', '--expires', '90d', '--json')
  expect(attested.json()).toMatchObject({ schema: 'kindmesh.attest/1', id: expect.stringMatching(/^[0-9a-f]{64}$/), seq: expect.any(Number) })
  const ran = await ben.run('run', anna.did, code, '--input', '{"a":40,"b":2}', '--limit', 'memory=64,time=2000', '--json', '--no-input')
  expect(ran.code).toBe(0)
  expect(ran.json()).toMatchObject({
    schema: 'kindmesh.run/1',
    result: { sum: 42 },
    usage: { cpuMs: expect.any(Number), wallMs: expect.any(Number), memoryBytes: expect.any(Number) },
    receipt: { executor: anna.did, asker: ben.did, outcome: 'ok', isolation: 'sandboxed' },
    events: [{ type: 'accepted' }, { type: 'console', text: 'working' }, { type: 'progress', fraction: 0.5, note: 'half' }],
  })

  const before = await cleo.run('trust', 'explain', ben.did, '--scope', '/task/run', '--json')
  expect(before.json()).toMatchObject({ level: 0, because: [] })
  expect((await cleo.run('attest', anna.did, '--level', 'authority', '--scope', '/task/run', '--json')).code).toBe(0)
  const after = (await cleo.run('trust', 'explain', ben.did, '--scope', '/task/run', '--json')).json()
  expect(after).toMatchObject({
    schema: 'kindmesh.trust-explain/1',
    level: 2,
    levelName: 'verified',
    because: [{ path: [cleo.did, anna.did, ben.did] }],
    vetoes: [],
    sentence: expect.stringContaining('VERIFIED'),
  })
  // By anna's word alone cleo now runs ben's code.
  const byWord = await ben.run('dial', cleo.ticket, '--json').then(() => ben.run('run', cleo.did, code, '--input', '{"a":1,"b":1}', '--json'))
  expect(byWord.json()).toMatchObject({ result: { sum: 2 } })
  expect((await anna.run('revoke', String(attested.json()['id']), '--json')).code).toBe(0)
  expect((await cleo.run('trust', 'explain', ben.did, '--json')).json()).toMatchObject({ level: 0 })
  const withdrawn = await ben.run('run', anna.did, code, '--input', '{}', '--json')
  expect(withdrawn.problem().code).toBe('ERR_TRUST_LOW')

  for (const node of [anna, ben, cleo]) {
    const verified = await node.run('audit', 'verify', '--json')
    expect(verified.code).toBe(0)
    expect(verified.json()).toMatchObject({ schema: 'kindmesh.audit-verify/1', ok: true, entries: expect.any(Number), checkpoint: expect.any(String) })
  }
  const events = ((await anna.run('audit', 'tail', '--limit', '100', '--json')).json()['entries'] as { event: string }[]).map(({ event }) => event)
  for (const event of [
    'identity_created',
    'node_started',
    'message_received',
    'task_refused',
    'sandbox_created',
    'code_executed',
    'receipt_signed',
    'receipt_countersigned',
    'attestation_issued',
    'attestation_revoked',
  ]) {
    expect(events).toContain(event)
  }
  expect(await anna.end('SIGTERM')).toBe(0)
  const offline = await kindmesh(anna.home, 'audit', 'verify', '--json')
  expect(offline.json()).toMatchObject({ ok: true })
})

test('run refuses with its own exit code: limits over policy, limits hit, code that does not parse', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  await anna.run('attest', ben.did, '--level', 'verified', '--json')
  const task = async (code: string, ...args: readonly string[]): Promise<readonly [number, string]> => {
    const file = join(ground.folder, 'task.js')
    await writeFile(file, code)
    const { code: exit, problem } = await ben.run('run', anna.did, file, '--json', ...args)
    return [exit, problem().code]
  }
  expect(await task('return 1', '--limit', 'memory=999999')).toEqual([14, 'ERR_POLICY_DENIED'])
  expect(await task('for (;;);', '--limit', 'time=500')).toEqual([18, 'ERR_SANDBOX_LIMIT'])
  expect(await task('return )')).toEqual([1, 'ERR_SANDBOX_CODE'])
  expect(await task("throw new Error('mine')")).toEqual([1, 'ERR_SANDBOX_THREW'])
})

test('a second node on the same profile is refused as locked', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const second = await kindmesh(anna.home, 'up', '--json')
  expect([second.code, second.problem().code]).toEqual([11, 'ERR_PROFILE_LOCKED'])
})
