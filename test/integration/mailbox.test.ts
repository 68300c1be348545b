import { afterEach, beforeEach, expect, test } from 'vitest'
import { createPlayground } from '../helpers/cli.ts'

interface Row {
  readonly did: string
  readonly status: string
  readonly problem: unknown
}

let playground: Awaited<ReturnType<typeof createPlayground>>
beforeEach(async () => {
  playground = await createPlayground()
})
afterEach(() => playground[Symbol.asyncDispose]())

test('a node registers with holders by ticket and DID, lists them, still has them after a restart, and leaves one; refusals say what to do', async () => {
  const holder = await playground.up('holder', '--serve-mailbox')
  const [first = ''] = holder.addresses
  const other = await playground.up('other', '--serve-mailbox', '--bootstrap', first)
  let owner = await playground.up('owner', '--bootstrap', first)
  const rows = async (): Promise<readonly Row[]> => (await owner.run('mailbox', 'list', '--json')).json()['mailboxes'] as readonly Row[]

  const added = await owner.run('mailbox', 'add', holder.ticket, '--json')
  expect(added.json()).toMatchObject({ schema: 'kindmesh.mailbox-add/1', did: holder.did, status: 'ready', used: { items: 0, bytes: 0 }, missed: 0 })
  expect((await owner.run('mailbox', 'add', other.did, '--json')).code).toBe(0)
  expect((await holder.run('mailbox', 'status', '--json')).json()).toMatchObject({ serves: true, recipients: 1, items: 0 })

  const refused = await holder.run('mailbox', 'add', owner.ticket, '--json')
  expect([refused.code, refused.problem().code]).toEqual([14, 'ERR_CAPABILITY_DENIED'])
  expect((await owner.run('mailbox', 'remove', owner.did, '--json')).problem()).toMatchObject({ code: 'ERR_NOT_FOUND', hint: 'see `kindmesh mailbox list`' })

  await owner.end('SIGTERM')
  owner = await playground.up('owner', '--bootstrap', first)
  const named = [holder.did, other.did].sort()
  expect((await rows()).map(({ did, status, problem }) => ({ did, status, problem }))).toEqual(named.map((did) => ({ did, status: 'ready', problem: null })))

  expect((await owner.run('mailbox', 'remove', other.did, '--json')).json()).toMatchObject({ did: other.did, left: true })
  await holder.end('SIGKILL')
  expect(await rows()).toMatchObject([{ did: holder.did, status: 'unreachable' }])
}, 120_000)
