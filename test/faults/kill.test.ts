import { expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { eventually } from '../helpers/files.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Of each of the two: fifty in all. */
const cycles = 25

async function clientOf(node: UpNode): Promise<ReturnType<typeof createClient>> {
  const { url, token } = JSON.parse(await readFile(join(node.home, 'api.json'), 'utf8')) as { readonly url: string; readonly token: string }
  return createClient({ url, token })
}

test('kill -9 of the receiver right after acknowledgements loses none of them and repeats none', async () => {
  await using ground = await createPlayground()
  const sender = await ground.up('sender')
  const client = await clientOf(sender)
  const acknowledged: string[] = []
  const promised: string[] = []
  for (let cycle = 0; cycle < cycles; cycle++) {
    const receiver = await ground.up('receiver')
    await client.dial({ target: receiver.ticket })
    // Many in flight, so that the kill falls among writes.
    const sending = Array.from({ length: 40 }, async (_, index) => {
      const { id, status } = await client.send({ to: receiver.did, body: `message ${cycle}.${index}` })
      promised.push(id)
      if (status === 'acknowledged') acknowledged.push(id)
      if (index === 20) await receiver.end('SIGKILL')
    })
    await Promise.allSettled(sending)
    await receiver.end('SIGKILL')
  }
  expect(acknowledged.length).toBeGreaterThan(cycles)
  const receiver = await ground.up('receiver')
  await client.dial({ target: receiver.ticket })
  await eventually(async () => (await client.outbox()).messages.length === 0 || undefined)
  const { messages } = (await receiver.run('inbox', '--limit', '1000', '--json')).json() as {
    readonly messages: readonly { readonly id: string; readonly body: string }[]
  }
  const kept = new Set(messages.map(({ id }) => id))
  expect(promised.filter((id) => !kept.has(id))).toEqual([])
  expect(new Set(messages.map(({ body }) => body)).size).toBe(messages.length)
  expect((await receiver.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
}, 600_000)

test('kill -9 of the sender before the acknowledgement: the message is there once or not at all', async () => {
  await using ground = await createPlayground()
  const receiver = await ground.up('receiver')
  for (let cycle = 0; cycle < cycles; cycle++) {
    const sender = await ground.up('sender')
    const client = await clientOf(sender)
    await client.dial({ target: receiver.ticket })
    const sending = Promise.allSettled(Array.from({ length: 20 }, (_, index) => client.send({ to: receiver.did, body: `message ${cycle}.${index}` })))
    await sender.end('SIGKILL')
    await sending
  }
  const { messages } = (await receiver.run('inbox', '--limit', '1000', '--json')).json() as { readonly messages: readonly { readonly body: string }[] }
  expect(new Set(messages.map(({ body }) => body)).size).toBe(messages.length)
  const next = await ground.up('sender')
  await next.run('dial', receiver.ticket, '--json')
  expect((await next.run('send', receiver.did, 'after all', '--json')).json()).toMatchObject({ status: 'acknowledged' })
  expect((await receiver.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
}, 600_000)
