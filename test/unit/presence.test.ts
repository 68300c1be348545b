import { expect, test } from 'vitest'
import { createVirtualClock, type Did, didFromKey } from '../../src/base/index.ts'
import type { PeerEvent } from '../../src/net/index.ts'
import { createEventHub } from '../../src/node/events.ts'
import { awayPeersMax, createPresenceBook } from '../../src/node/presence.ts'

const did = (index: number): Did => didFromKey(Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? index & 0xff : at === 1 ? index >> 8 : 1)))

test('who has gone is listed with the time, the last first, until it is back; so many and no more', async () => {
  const clock = createVirtualClock()
  const tell: ((event: PeerEvent) => void)[] = []
  const onPeer = (listener: (event: PeerEvent) => void): (() => void) => {
    tell.push(listener)
    return () => void tell.splice(0)
  }
  const book = createPresenceBook({ clock, host: { onPeer } })
  const say = (event: PeerEvent['event'], index: number): void =>
    tell.forEach((listener) => listener({ event, peer: { did: did(index), peerId: `p${index}`, route: 'direct', direction: 'inbound', addresses: [] } }))
  say('connected', 1)
  expect(book.away()).toEqual([])
  say('disconnected', 1)
  const first = clock.now()
  await clock.advance(5)
  say('disconnected', 2)
  expect(book.away()).toEqual([
    { did: did(2), peerId: 'p2', lastSeen: first + 5 },
    { did: did(1), peerId: 'p1', lastSeen: first },
  ])
  say('connected', 2)
  expect(book.away().map((peer) => peer.did)).toEqual([did(1)])
  for (let index = 10; index < 10 + awayPeersMax; index++) say('disconnected', index)
  expect(book.away()).toHaveLength(awayPeersMax)
  expect(book.away().some((peer) => peer.did === did(1))).toBe(false)
  book.stop()
  say('disconnected', 9)
  expect(book.away().some((peer) => peer.did === did(9))).toBe(false)
})

test('a listener that throws neither reaches who emits nor keeps the event from the others', () => {
  const hub = createEventHub()
  const heard: string[] = []
  hub.on(() => {
    throw new Error('bystander')
  })
  hub.on(({ event }) => heard.push(event))
  hub.emit({ event: 'task', id: '1', asker: did(1), outcome: 'ok' })
  expect(heard).toEqual(['task'])
})
