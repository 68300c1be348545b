import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground } from '../helpers/cli.ts'

test('invite and join in two processes: both sides hold what the ticket says, once, and its task runs', async () => {
  await using ground = await createPlayground()
  const [anna, ben] = await Promise.all([ground.up('anna'), ground.up('ben')])
  const invited = await anna.run('invite', '--level', 'verified', '--scope', '/task/run', '--scope', '/message/send', '--expires', '1d', '--json')
  expect(invited.json()).toMatchObject({ schema: 'kindmesh.invite/1', ticket: expect.stringMatching(/^kindmesh:/), status: 'open', uses: 1 })
  const ticket = String(invited.json()['ticket'])
  const joined = await ben.run('join', ticket, '--json')
  expect([joined.code, joined.stderr]).toEqual([0, ''])
  expect(joined.json()).toMatchObject({ schema: 'kindmesh.join/1', did: anna.did, level: 2, levelName: 'verified', scopes: ['/task/run', '/message/send'] })
  for (const [node, other] of [
    [anna, ben],
    [ben, anna],
  ] as const) {
    expect((await node.run('trust', 'explain', other.did, '--scope', '/task/run', '--json')).json()).toMatchObject({ level: 2 })
  }
  // The task that the ticket is for runs, by the name its asker gave her; nobody else gets in.
  const code = join(ground.folder, 'task.js')
  await writeFile(code, 'return 1')
  expect((await ben.run('name', 'set', 'Anna', anna.did, '--json')).json()).toMatchObject({ name: 'Anna', did: anna.did })
  expect((await ben.run('run', 'anna', code, '--json')).json()).toMatchObject({ result: 1, receipt: { executor: anna.did } })
  const cleo = await ground.up('cleo')
  const late = await cleo.run('join', ticket, '--json')
  expect([late.code, late.problem().code]).toEqual([14, 'ERR_INVITE_USED'])
  const listed = await anna.run('invite', 'list', '--json')
  expect(listed.json()).toMatchObject({ invites: [{ status: 'used', joined: [{ did: ben.did }] }] })
  const log = await anna.run('audit', 'tail', '--json')
  for (const event of ['invite_created', 'invite_used', 'attestation_issued', 'attestation_accepted', 'join_refused']) expect(log.stdout).toContain(event)
  // Who was refused waits to be approved.
  expect((await cleo.run('run', anna.did, code, '--json')).problem().code).toBe('ERR_TRUST_LOW')
  expect((await anna.run('pending', 'list', '--json')).json()).toMatchObject({ pending: [{ did: cleo.did, scope: '/task/run' }] })
  expect((await anna.run('pending', 'approve', cleo.did, '--level', 'verified', '--json')).json()).toMatchObject({
    did: cleo.did,
    level: 2,
    scopes: ['/task/run'],
  })
  // Two people who can only talk read the same words on both sides, and sign.
  const shown = (await anna.run('verify-peer', cleo.did, '--json')).json() as { words: string[]; digits: string }
  expect((await cleo.run('verify-peer', anna.did, '--json')).json()).toMatchObject({ words: shown.words, digits: shown.digits })
  const signed = await cleo.run('verify-peer', anna.did, '--accept', shown.words.join(' '), '--level', 'basic', '--json')
  expect(signed.json()).toMatchObject({ did: anna.did, level: 1, scopes: ['/task/run'] })
  // A DID argument may be the ticket; the ticket itself is in no listing, log or event.
  expect((await ben.run('ping', ticket, '--json')).code).toBe(0)
  for (const text of [listed.stdout, log.stdout, JSON.stringify(anna.events)]) expect(text).not.toContain(ticket.slice(-24))
})
