import { afterEach, beforeEach, expect, test } from 'vitest'
import { createPlayground } from '../helpers/cli.ts'

interface Row {
  readonly did: string
  readonly status: string
  readonly items: number
  readonly bytes: number
  readonly used: unknown
  readonly problem: unknown
}

let playground: Awaited<ReturnType<typeof createPlayground>>
beforeEach(async () => {
  playground = await createPlayground()
})
afterEach(() => playground[Symbol.asyncDispose]())

test('a node registers with two holders by ticket and DID, lists them, still has them after a restart, and leaves one', async () => {
  const holder = await playground.up('holder', '--serve-mailbox')
  const [first = ''] = holder.addresses
  const other = await playground.up('other', '--serve-mailbox', '--bootstrap', first)
  let owner = await playground.up('owner', '--bootstrap', first)
  expect((await owner.run('mailbox', 'list', '--json')).json()).toEqual({ schema: 'kindmesh.mailbox-list/1', mailboxes: [] })

  const added = await owner.run('mailbox', 'add', holder.ticket, '--json')
  expect(added.json()).toMatchObject({ schema: 'kindmesh.mailbox-add/1', did: holder.did, status: 'ready', used: { items: 0, bytes: 0 } })
  expect((await owner.run('mailbox', 'add', other.did, '--json')).code).toBe(0)
  const rows = async (): Promise<readonly Row[]> => (await owner.run('mailbox', 'list', '--json')).json()['mailboxes'] as readonly Row[]
  const named = [holder.did, other.did].sort()
  expect((await rows()).map(({ did, status, problem }) => ({ did, status, problem }))).toEqual(named.map((did) => ({ did, status: 'ready', problem: null })))
  expect((await holder.run('mailbox', 'status', '--json')).json()).toMatchObject({ serves: true, recipients: 1, items: 0 })

  await owner.end('SIGTERM')
  owner = await playground.up('owner', '--bootstrap', first)
  expect((await rows()).map(({ did }) => did)).toEqual(named)

  expect((await owner.run('mailbox', 'remove', other.did, '--json')).json()).toMatchObject({ did: other.did, left: true })
  expect((await rows()).map(({ did }) => did)).toEqual([holder.did])
  await holder.end('SIGKILL')
  expect((await rows()).map(({ status }) => status)).toEqual(['unreachable'])
})

test('refusals say what to do: a node that holds no mail, itself, a stranger to remove', async () => {
  const plain = await playground.up('plain')
  const owner = await playground.up('owner')
  const refused = await owner.run('mailbox', 'add', plain.ticket, '--json')
  expect(refused.code).toBe(14)
  expect(refused.problem()).toMatchObject({ code: 'ERR_CAPABILITY_DENIED' })
  expect((await owner.run('mailbox', 'remove', plain.did, '--json')).problem()).toMatchObject({ code: 'ERR_NOT_FOUND', hint: 'see `kindmesh mailbox list`' })
  expect((await plain.run('mailbox', 'status', '--json')).json()).toMatchObject({ serves: false })
})
