import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createSeededRandom, randomInt } from '../../src/base/index.ts'
import type { Client } from '../../src/client/index.ts'
import { chunkBytes } from '../../src/protocols/stream/index.ts'
import { createPlayground } from '../helpers/cli.ts'
import { clientOf, eventually, hashFile, receiveInto, writeBody } from '../helpers/files.ts'

const mebibyte = 1 << 20
const bodyBytes = 64 * mebibyte
/** Killed at random places by this seed. */
const kills = process.env['KINDMESH_TEST_LONG'] === undefined ? 3 : 40

/** Bytes of the one file on its way that the receiver has said are on its disk. */
const told = async (sender: Client): Promise<number> => (await sender.transfers()).outgoing[0]?.done ?? 0

test('kill -9 of the receiver and of the sender amid a file: it goes on from what was kept, is whole in the end, and there once', async () => {
  await using ground = await createPlayground()
  const stop = new AbortController()
  const [path, dir] = [join(ground.folder, 'body.bin'), join(ground.folder, 'in')]
  const hash = await writeBody(path, bodyBytes, 9)
  const random = createSeededRandom(77)
  let sender = await ground.up('sender')
  let receiver = await ground.up('receiver')
  let client = await clientOf(receiver)
  let received = await receiveInto(client, dir, stop.signal)
  await (await clientOf(sender)).dial({ target: receiver.ticket })
  const sent = await (await clientOf(sender)).sendFile({ to: receiver.did, path }).next()
  const { id } = sent.value as { readonly id: string }

  let kept = 0
  for (let kill = 0; kill < kills; kill++) {
    // Somewhere behind what is kept, early enough that the file is not finished meanwhile.
    const room = (bodyBytes * 0.75 - kept) / (kills - kill)
    const goal = kept + 1 + randomInt(random, Math.max(1, room))
    const source = await clientOf(sender)
    kept = await eventually(async () => {
      const done = await told(source)
      return done >= goal ? done : undefined
    })
    if (kill % 2 === 0) {
      await receiver.end('SIGKILL')
      receiver = await ground.up('receiver')
      client = await clientOf(receiver)
      const [partial] = (await client.transfers()).incoming
      expect(partial).toMatchObject({ id, status: 'partial', bytes: bodyBytes })
      // What the sender was told is there; of what was not, nothing is claimed.
      expect(partial?.done).toBeGreaterThanOrEqual(kept)
      kept = partial?.done ?? 0
      expect(kept).toBeGreaterThan(0)
      expect(kept % chunkBytes).toBe(0)
      received = await receiveInto(client, dir, stop.signal)
      await (await clientOf(sender)).dial({ target: receiver.ticket })
    } else {
      await sender.end('SIGKILL')
      sender = await ground.up('sender')
      const [queued] = (await (await clientOf(sender)).transfers()).outgoing
      expect(queued).toMatchObject({ id, hash })
      await (await clientOf(sender)).dial({ target: receiver.ticket })
    }
  }
  let least = bodyBytes
  const file = await eventually(async () => {
    const [now] = (await client.transfers()).incoming
    least = Math.min(least, now?.done ?? 0)
    return received.files[0]
  })
  expect(least).toBeGreaterThanOrEqual(kept)
  expect(file).toMatchObject({ id, from: sender.did, name: 'body.bin', bytes: bodyBytes, hash, path: join(dir, 'body.bin') })
  expect(await hashFile(file.path)).toBe(hash)
  const outgoing = await eventually(async () => (await (await clientOf(sender)).transfers()).outgoing.find(({ status }) => status === 'acknowledged'))
  expect(outgoing).toMatchObject({ id, done: bodyBytes })
  expect(outgoing.tries).toBeGreaterThan(1)
  expect(await readdir(dir)).toEqual(['body.bin'])
  expect(received.files).toHaveLength(1)
  for (const node of [sender, receiver]) expect((await node.run('audit', 'verify', '--json')).json()).toMatchObject({ ok: true })
  stop.abort()
  await received.ended
}, 180_000)
