import { afterEach, beforeEach, expect, test } from 'vitest'
import { createPlayground, type UpNode } from '../helpers/cli.ts'

interface Mail {
  readonly id: string
  readonly body: string
  readonly from: string
}
interface Waiting {
  readonly id: string
  readonly status: string
  readonly to: string
}

let playground: Awaited<ReturnType<typeof createPlayground>>
beforeEach(async () => {
  playground = await createPlayground()
})
afterEach(() => playground[Symbol.asyncDispose]())

const inboxOf = async (node: UpNode): Promise<readonly Mail[]> => (await node.run('inbox', '--json')).json()['messages'] as readonly Mail[]
const outboxOf = async (node: UpNode): Promise<readonly Waiting[]> => (await node.run('outbox', '--json')).json()['messages'] as readonly Waiting[]
/** Asks until it holds: each asking is a process of its own, so it takes its time. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt++) if (await holds()) return
  throw new Error('it does not come true')
}

test('what is sent to a peer that is off lies in its mailboxes and reaches it, though the sender is gone and one of the holders too', async () => {
  const first = await playground.up('first', '--serve-mailbox')
  const meet = ['--bootstrap', first.addresses[0] ?? '']
  const second = await playground.up('second', '--serve-mailbox', ...meet)
  const sender = await playground.up('sender', ...meet)
  let receiver = await playground.up('receiver', ...meet)
  for (const holder of [first, second]) expect((await receiver.run('mailbox', 'add', holder.did, '--json')).code).toBe(0)
  // They meet once: the sender is somebody the receiver may know, and knows its prekeys.
  expect((await sender.run('send', receiver.did, 'while you are there', '--json')).json()).toMatchObject({ status: 'acknowledged', route: 'direct' })
  await receiver.end('SIGTERM')

  const bodies = ['one', 'two', 'three']
  for (const body of bodies) {
    const sent = await sender.run('send', receiver.did, body, '--json')
    expect(sent.code).toBe(0)
    expect(sent.json()).toMatchObject({ schema: 'kindmesh.send/1', status: 'deposited', route: 'mailbox' })
  }
  expect((await outboxOf(sender)).map(({ status, to }) => [status, to])).toEqual(bodies.map(() => ['deposited', receiver.did]))
  await sender.end('SIGKILL')
  await first.end('SIGKILL')

  receiver = await playground.up('receiver', '--bootstrap', second.addresses[0] ?? '')
  await until(async () => (await inboxOf(receiver)).length === 4)
  expect((await inboxOf(receiver)).map(({ body }) => body)).toEqual(['while you are there', ...bodies])

  // The sender comes back, hears that all is delivered, and nothing comes twice.
  const again = await playground.up('sender', '--bootstrap', second.addresses[0] ?? '')
  await until(async () => (await outboxOf(again)).length === 0)
  expect(await inboxOf(receiver)).toHaveLength(4)
}, 180_000)

test('without a mailbox it waits here, across a restart of the sender, and goes when the peer is back; its time over, it is given up', async () => {
  let receiver = await playground.up('receiver')
  let sender = await playground.up('sender', '--bootstrap', receiver.addresses[0] ?? '')
  const port = /\/tcp\/(\d+)/.exec(receiver.addresses[0] ?? '')?.[1] ?? ''
  expect((await sender.run('ping', receiver.did, '--json')).json()).toMatchObject({ route: 'direct' })
  await receiver.end('SIGTERM')

  const sent = await sender.run('send', receiver.did, 'for later', '--timeout', '3s', '--json')
  expect([sent.code, sent.json()['status'], sent.json()['route']]).toEqual([0, 'queued', null])
  expect((await sender.run('send', receiver.did, 'too late', '--ttl', '2s', '--timeout', '1s', '--json')).json()['status']).toBe('queued')
  await sender.end('SIGKILL')

  sender = await playground.up('sender')
  await until(async () => (await outboxOf(sender)).some(({ status }) => status === 'expired'))
  expect((await outboxOf(sender)).map(({ id, status }) => [id === sent.json()['id'], status])).toEqual([
    [true, 'queued'],
    [false, 'expired'],
  ])
  receiver = await playground.up('receiver', '--listen', `/ip4/127.0.0.1/tcp/${port}`)
  expect((await sender.run('dial', receiver.ticket, '--json')).code).toBe(0)
  await until(async () => (await inboxOf(receiver)).length === 1)
  expect((await inboxOf(receiver)).map(({ body }) => body)).toEqual(['for later'])
}, 180_000)
