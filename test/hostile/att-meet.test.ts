import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, keyFromDid, MeshError, silentLogger } from '../../src/base/index.ts'
import type { Host, HostStream, StreamHandler } from '../../src/net/index.ts'
import { listAtMeeting, type MeetItem, meetOutcomes, type MeetOutcome, putAtMeeting, serveMeeting } from '../../src/protocols/att-meet/index.ts'
import { decode, encode } from '../../src/wire/index.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { createStreamPair } from '../helpers/stream-pair.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 40_000 : 1_000_000
const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const clock = createVirtualClock()
const item: MeetItem = { kind: 'attestation', bytes: new Uint8Array(300).fill(7) }
const plain = ({ kind, bytes }: MeetItem): readonly [string, Uint8Array] => [kind, bytes]
const put = encode(['put', [plain(item), plain({ ...item, kind: 'revocation' })]])
const list = encode(['list', keyFromDid(anna)])
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const never = new AbortController().signal

interface Asked {
  readonly puts: (readonly MeetItem[])[]
  readonly lists: unknown[]
}

/** What the protocol makes of one stream, without a network. */
function served(asked: Asked, answer: readonly MeetItem[] = [item]): StreamHandler {
  let handler: StreamHandler | undefined
  const host: Pick<Host, 'handle'> = { handle: (_protocol, _options, handle) => (handler = handle) }
  serveMeeting({
    host: host as Host,
    clock,
    logger: silentLogger,
    put(_peer, items) {
      asked.puts.push(items)
      return items.map((): MeetOutcome => 'kept')
    },
    list(_peer, subject) {
      asked.lists.push(subject)
      return answer
    },
  })
  if (handler === undefined) throw new Error('nothing was registered')
  return handler
}
const hostOf = (stream: HostStream): Host => ({ open: async () => stream }) as unknown as Host

/** Sends frames to the server, gives what came back. */
async function talk(handler: StreamHandler, frames: readonly Uint8Array[], from = anna): Promise<readonly Uint8Array[]> {
  const [own, peer] = createStreamPair(from, ben)
  for (const frame of frames) await peer.send(frame)
  const done = handler(own)
  await nextTurn()
  await peer.close()
  await done
  return own.sent
}

test('each of many malformed requests ends its stream, and nothing over a limit gets through', async () => {
  const random = createSeededRandom(1)
  const asked: Asked = { puts: [], lists: [] }
  // A fresh one now and then: of one peer only so many requests are read.
  let handler = served(asked)
  for (let count = 0; count < inputs / 4; count++) {
    if (count % 200 === 0) handler = served(asked)
    await talk(handler, [fuzzed([put, list], random)])
  }
  expect(asked.puts.length + asked.lists.length).toBeLessThan(inputs / 8)
  for (const items of asked.puts) {
    expect(items.length).toBeLessThanOrEqual(16)
    for (const { kind, bytes } of items) {
      expect(['attestation', 'revocation']).toContain(kind)
      expect(bytes.length).toBeLessThanOrEqual(1_280)
    }
  }
  const fresh: Asked = { puts: [], lists: [] }
  const [kept, listed] = await talk(served(fresh), [put, list])
  expect(decode(kept ?? new Uint8Array(), 64)).toEqual(['kept', 'kept'])
  expect(decode(listed ?? new Uint8Array(), 1_024)).toEqual([plain(item)])
})

test('too many statements, too large ones, heads and an empty put are refused whole', async () => {
  const asked: Asked = { puts: [], lists: [] }
  const big = { kind: 'attestation', bytes: new Uint8Array(1_281) } as const
  for (const items of [Array.from({ length: 17 }, () => plain(item)), [plain(big)], [['head', item.bytes] as const], []]) {
    expect(await talk(served(asked), [encode(['put', items])])).toEqual([])
  }
  expect(asked.puts).toEqual([])
})

test('a peer that asks without end is cut off after its share of a minute', async () => {
  const asked: Asked = { puts: [], lists: [] }
  const handler = served(asked)
  await talk(
    handler,
    Array.from({ length: 400 }, () => list),
  )
  expect(asked.lists).toHaveLength(240)
  await talk(handler, [list])
  expect(asked.lists).toHaveLength(240)
  await clock.advance(60_000)
  await talk(handler, [list])
  expect(asked.lists).toHaveLength(241)
})

test('each of many malformed answers is a coded error to the one who asked', async () => {
  const random = createSeededRandom(2)
  const [outcomes, items] = [encode(['kept', 'full']), encode([plain(item), plain(item)])]
  let taken = 0
  for (let count = 0; count < inputs / 4; count++) {
    const [own, peer] = createStreamPair(anna, ben)
    await peer.send(fuzzed([outcomes, items], random))
    await peer.close()
    try {
      if (count % 2 === 0) {
        for (const { kind, bytes } of await listAtMeeting(hostOf(own), ben, anna, { signal: never })) {
          expect(['attestation', 'revocation']).toContain(kind)
          expect(bytes.length).toBeLessThanOrEqual(1_280)
        }
      } else {
        for (const outcome of await putAtMeeting(hostOf(own), ben, [item, item], { signal: never })) expect(meetOutcomes).toContain(outcome)
      }
      taken++
    } catch (error) {
      if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
    }
  }
  expect(taken).toBeLessThan(inputs / 8)
})

test('an answer about another number of statements, and none at all, are errors; who does not answer is left', async () => {
  const [own, peer] = createStreamPair(anna, ben)
  await peer.send(encode(['kept']))
  expect(await codeOf(putAtMeeting(hostOf(own), ben, [item, item], { signal: never }))).toBe('ERR_PROTOCOL')
  const [silent, there] = createStreamPair(anna, ben)
  await there.close()
  expect(await codeOf(listAtMeeting(hostOf(silent), ben, anna, { signal: never }))).toBe('ERR_NET_CLOSED')
  const [mute] = createStreamPair(anna, ben)
  const asked = codeOf(listAtMeeting(hostOf(mute), ben, anna, { signal: clock.timeout(1_500) }))
  await clock.advance(1_500)
  expect(await asked).toBe('ERR_TIMEOUT')
})
