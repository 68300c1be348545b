import { expect, test } from 'vitest'
import { createPlayground, type UpNode } from '../helpers/cli.ts'

interface Inbox {
  readonly messages: readonly { readonly from: string; readonly body: string; readonly group?: string }[]
}

async function messages(node: UpNode, group: string): Promise<readonly string[]> {
  const answer = (await node.run('group', 'messages', group, '--json')).json() as unknown as Inbox
  return answer.messages.map(({ body }) => body)
}
const until = async (check: () => Promise<boolean>): Promise<void> => {
  for (let attempt = 0; !(await check()); attempt++) if (attempt === 50) throw new Error('it does not come')
}

test('a group in three processes: made, grown, talked in while one is off, shrunk; whoever is removed reads no more', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  const cleo = await ground.up('cleo', '--bootstrap', anna.addresses[0] ?? '')
  await ben.run('dial', cleo.ticket, '--json')

  const made = await anna.run('group', 'create', 'readers', '--member', ben.did, '--json')
  expect(made.json()).toMatchObject({
    schema: 'kindmesh.group/1',
    id: expect.stringMatching(/^[0-9a-f]{64}$/),
    name: 'readers',
    members: [anna.did, ben.did],
    admins: [anna.did],
    fork: false,
  })
  const id = String(made.json()['id'])
  expect((await anna.run('group', 'send', 'readers', 'before cleo', '--json')).json()).toMatchObject({
    schema: 'kindmesh.group-send/1',
    group: id,
    recipients: [{ did: ben.did, status: 'acknowledged' }],
  })
  expect((await anna.run('group', 'add', 'readers', cleo.did, '--json')).json()).toMatchObject({ members: [anna.did, ben.did, cleo.did] })
  expect((await ben.run('group', 'send', id, 'from ben', '--json')).code).toBe(0)
  await until(async () => (await messages(cleo, 'readers')).includes('from ben'))
  expect(await messages(cleo, id)).toEqual(['from ben'])
  expect(await messages(ben, id)).toEqual(['before cleo'])
  const inbox = (await cleo.run('inbox', '--json')).json() as unknown as Inbox
  expect(inbox.messages).toMatchObject([{ from: ben.did, body: 'from ben', group: id }])

  const denied = await cleo.run('group', 'remove', id, ben.did, '--json')
  expect([denied.code, denied.problem().code]).toEqual([14, 'ERR_GROUP_DENIED'])
  expect((await anna.run('group', 'send', 'no such', 'x', '--json')).problem().code).toBe('ERR_NOT_FOUND')

  await ben.end('SIGTERM')
  const later = await cleo.run('group', 'send', id, 'while ben is off', '--json')
  expect(later.json()).toMatchObject({
    recipients: [
      { did: anna.did, status: 'acknowledged' },
      { did: ben.did, status: 'queued' },
    ],
  })
  const again = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  await again.run('dial', cleo.ticket, '--json')
  await until(async () => (await messages(again, id)).includes('while ben is off'))

  expect((await anna.run('group', 'remove', id, cleo.did, '--json')).json()).toMatchObject({ members: [anna.did, ben.did] })
  expect((await again.run('group', 'send', id, 'without cleo', '--json')).json()).toMatchObject({ recipients: [{ did: anna.did }] })
  await until(async () => (await messages(anna, id)).includes('without cleo'))
  expect(await messages(cleo, id)).toEqual(['from ben'])
  const listed = (await cleo.run('group', 'list', '--json')).json()
  expect(listed).toMatchObject({ schema: 'kindmesh.group-list/1', groups: [{ id, name: 'readers', status: 'removed' }] })
  expect((await cleo.run('group', 'send', id, 'still here?', '--json')).problem().code).toBe('ERR_GROUP_DENIED')
  expect((await again.run('group', 'leave', id, '--json')).code).toBe(0)
  await until(async () => ((await anna.run('group', 'list', '--json')).json()['groups'] as { members: string[] }[])[0]?.members.length === 1)
})
