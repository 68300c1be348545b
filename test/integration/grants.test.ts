import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, type Finished, type UpNode } from '../helpers/cli.ts'
import { clientOf, eventually } from '../helpers/files.ts'

test('tokens are required, given, handed on, shown with a task, checked, and taken back under a running task', async () => {
  await using ground = await createPlayground()
  const [anna, ben, cleo] = await Promise.all([ground.up('anna'), ground.up('ben'), ground.up('cleo')])
  const [annas, bens, cleos] = await Promise.all([clientOf(anna), clientOf(ben), clientOf(cleo)])
  await Promise.all([bens.dial({ target: anna.ticket }), cleos.dial({ target: anna.ticket })])
  await annas.setSetting({ key: 'policy.require_token', value: ['/task/run'], layer: 'user' })
  for (const { did } of [ben, cleo]) await annas.attest({ subject: did, level: 'verified', scopes: ['/task/run'], lifetimeMs: 86_400_000 })
  const [add, wait] = [join(ground.folder, 'add.js'), join(ground.folder, 'wait.js')]
  await writeFile(add, 'return input.a + 1')
  await writeFile(wait, 'for (;;) {}')
  const run = (asker: UpNode, code: string, ...more: readonly string[]): Promise<Finished> =>
    asker.run('run', anna.did, code, '--input', '{"a":41}', '--limit', 'memory=64,time=60000,cpu=30', ...more, '--json')

  const refused = await run(ben, add)
  expect([refused.code, refused.problem().code]).toEqual([14, 'ERR_GRANT_NEEDED'])
  expect(refused.problem().hint).toContain('kindmesh grant issue')

  const [given, onward] = [join(ground.folder, 'given'), join(ground.folder, 'onward')]
  const issued = await anna.run('grant', 'issue', ben.did, '--command', '/task', '--expires', '1h', '--limit', 'memory=64', '--out', given, '--json')
  const { id, text } = issued.json() as { readonly id: string; readonly text: string }
  expect(issued.json()).toMatchObject({ schema: 'kindmesh.grant-issue/1', id: expect.stringMatching(/^[0-9a-f]{64}$/), audience: ben.did, state: 'valid' })
  expect((await stat(given)).mode & 0o077).toBe(0)
  // Anna knows what she gave: Ben shows nothing.
  expect((await run(ben, add)).json()).toMatchObject({ result: 42 })

  expect(await bens.importGrant(text)).toMatchObject({ id, kind: 'held', owner: anna.did })
  await expect(bens.issueGrant({ audience: cleo.did, command: '/message/send', proof: id })).rejects.toMatchObject({ code: 'ERR_GRANT_INVALID' })
  const handed = (await ben.run('grant', 'issue', cleo.did, '--command', '/task/run', '--proof', given, '--out', onward, '--json')).json()
  expect(handed).toMatchObject({ chainLength: 2, owner: anna.did })
  const waiting = run(cleo, wait, '--grant', onward)
  await eventually(async () => ((await annas.tasks({})).served.some(({ asker, state }) => asker === cleo.did && state === 'running') ? true : undefined))
  await bens.revokeGrant({ id: String(handed['id']) })
  const stopped = await waiting
  expect([stopped.code, stopped.problem().code]).toEqual([14, 'ERR_GRANT_REVOKED'])

  await anna.run('grant', 'revoke', id.slice(0, 12))
  const check = (await anna.run('grant', 'check', ben.did, '--command', '/task/run', '--json')).json()
  expect(check).toMatchObject({
    schema: 'kindmesh.grant-check/1',
    allow: false,
    code: 'ERR_GRANT_REVOKED',
    reasons: { ceiling: { holds: true }, token: { holds: false } },
  })
  const policy = (await anna.run('policy', 'show', '--json')).json()
  expect(policy).toMatchObject({
    schema: 'kindmesh.policy-show/1',
    requireToken: ['/task/run'],
    sources: { 'policy.require_token': expect.stringContaining('user') },
  })
})
