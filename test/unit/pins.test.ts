import { expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createVirtualClock, type Did, silentLogger } from '../../src/base/index.ts'
import { createEventHub, type NodeEvent } from '../../src/node/events.ts'
import { openPins, type Pins, pinsMax } from '../../src/node/pins.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const [anna, ben, cleo] = [keyringOf(1), keyringOf(2).did, keyringOf(3).did]
const clock = createVirtualClock()
const place = '/ip4/192.0.2.1/tcp/4160'

async function open(
  store: MemoryStore,
  subject: (did: Did) => Did = (did) => did,
): Promise<Pins & { readonly told: NodeEvent[]; log(): Promise<readonly string[]> }> {
  const audit = await createAudit({ store, sign: anna.sign, did: anna.did, keys: [anna.did], clock, logger: silentLogger })
  const events = createEventHub()
  const told: NodeEvent[] = []
  events.on((event) => void told.push(event))
  const pins = await openPins({ store: store.sub('pins'), clock, audit, events, self: anna.did, subject })
  return { ...pins, told, log: async () => (await audit.tail({ limit: 100 })).map(({ event }) => event) }
}

test('another identity at a pinned place is refused, loudly, each time and after a power cut, until it is approved; then the first is', async () => {
  const store = createMemoryStore()
  const first = await open(store)
  await first.meet(place, ben)
  await first.meet(place, ben)
  store.crash()
  const pins = await open(store)
  expect(await codeOf(pins.meet(place, cleo))).toBe('ERR_PIN_CHANGED')
  expect(await codeOf(pins.meet(place, cleo))).toBe('ERR_PIN_CHANGED')
  expect(await codeOf(pins.meet(place, ben))).toBe('ok')
  expect(pins.told).toEqual([1, 2].map(() => ({ event: 'pin', source: place, expected: ben, found: cleo })))
  expect(await pins.log()).toEqual(['pinned', 'pin_broken', 'pin_broken'])
  expect(pins.doors.list()).toMatchObject([{ source: place, did: ben, offered: cleo }])
  await pins.doors.approve(place)
  expect([await codeOf(pins.meet(place, cleo)), await codeOf(pins.meet(place, ben))]).toEqual(['ok', 'ERR_PIN_CHANGED'])
  await pins.doors.remove(place)
  expect(await codeOf(pins.meet(place, ben))).toBe('ok')
  expect(await codeOf(pins.doors.approve('/dns4/nowhere/tcp/1'))).toBe('ERR_NOT_FOUND')
})

test('an identity under its next key is the one that was pinned; a key without a succession is not', async () => {
  const next = keyringOf(4).did
  let known = false
  const pins = await open(createMemoryStore(), (did) => (known && did === next ? ben : did))
  // Pinned before this node knew whose key it is.
  await pins.meet(place, next)
  known = true
  expect(await codeOf(pins.meet(place, ben))).toBe('ok')
  expect(await codeOf(pins.meet(place, next))).toBe('ok')
  expect(await codeOf(pins.meet(place, cleo))).toBe('ERR_PIN_CHANGED')
})

test('a full list forgets nobody', async () => {
  const pins = await open(createMemoryStore())
  for (let count = 0; count < pinsMax; count += 256) {
    await Promise.all(Array.from({ length: 256 }, (_, index) => pins.meet(`/ip4/192.0.2.1/tcp/${count + index}`, ben)))
  }
  expect(await codeOf(pins.meet(place + 9, ben))).toBe('ERR_OVERLOADED')
  expect(await codeOf(pins.meet('/ip4/192.0.2.1/tcp/0', cleo))).toBe('ERR_PIN_CHANGED')
})
