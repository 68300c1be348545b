import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, dayMs, hourMs, randomInt } from '../../src/base/index.ts'
import { openPlacesMax, openSequences, type Order } from '../../src/envelope/index.ts'
import { runsPerSenderMax } from '../../src/envelope/sequences.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const week = 7 * dayMs
const code = (name: string): Error => expect.objectContaining({ code: name }) as Error
const run = (number: number): Uint8Array => Uint8Array.of(number >> 8, number & 255, 0, 0, 0, 0, 0, 0)
const place = (seq: number, floor = 1, number = 1): Order => ({ run: run(number), seq, floor })

async function createStage(store: MemoryStore = createMemoryStore()) {
  const clock = createVirtualClock()
  const open = () => openSequences({ store, clock })
  let sequences = await open()
  return {
    clock,
    store,
    claim: (order: Order, from = anna) => sequences.claim(from, order, clock.now() + week),
    async take(order: Order, from = anna): Promise<void> {
      await store.durable(sequences.claim(from, order, clock.now() + week).ops)
    },
    async restart(): Promise<void> {
      store.crash()
      sequences = await open()
    },
  }
}

test('places in any order are each taken once, across restarts, whatever the floors', async () => {
  const stage = await createStage()
  const random = createSeededRandom(7)
  const taken = new Set<number>()
  for (let count = 0; count < 3_000; count++) {
    const seq = 1 + randomInt(random, 2_000)
    const order = place(seq)
    if (taken.has(seq)) expect(() => stage.claim(order)).toThrow(code('ERR_REPLAYED'))
    else await stage.take(order)
    taken.add(seq)
    if (count % 500 === 0) await stage.restart()
  }
  for (const seq of taken) expect(() => stage.claim(place(seq))).toThrow(code('ERR_REPLAYED'))
  await stage.take(place(5_000, 3_000))
  for (let seq = 1; seq < 3_000; seq++) expect(() => stage.claim(place(seq))).toThrow(code('ERR_REPLAYED'))
})

test('thousands of places that never come lock nobody out, and cost a bit each', async () => {
  const stage = await createStage()
  // Every second one expired or was refused while the receiver was off.
  for (let seq = 1; seq < 10_000; seq += 2) await stage.take(place(seq))
  for await (const [, value] of stage.store.range({})) expect(value.length).toBeLessThan(1_400)
  await stage.restart()
  for (let seq = 1; seq < 10_000; seq += 2) expect(() => stage.claim(place(seq))).toThrow(code('ERR_REPLAYED'))
  await stage.take(place(2))
  expect(() => stage.claim(place(openPlacesMax + 1))).toThrow(code('ERR_OVERLOADED'))
})

test('a write that failed gives the place back, unless it landed after all', async () => {
  const stage = await createStage()
  await stage.take(place(1))
  const lost = stage.claim(place(2))
  const looking = lost.release()
  expect(() => stage.claim(place(3))).toThrow(code('ERR_STORE_FAILED'))
  await looking
  await stage.take(place(2))
  const landed = stage.claim(place(3))
  await stage.store.durable(landed.ops)
  await landed.release()
  expect(() => stage.claim(place(3))).toThrow(code('ERR_REPLAYED'))
})

test('a clock that leaps ahead and is set right again revives nothing; what is past by both clocks is forgotten', async () => {
  const stage = await createStage()
  await stage.take(place(1))
  stage.clock.jump(30 * dayMs)
  for (let number = 2; number < 9; number++) await stage.take(place(1, 1, number), ben)
  stage.clock.jump(-30 * dayMs)
  expect(() => stage.claim(place(1))).toThrow(code('ERR_REPLAYED'))
  await stage.clock.advance(week + dayMs + hourMs)
  await stage.take(place(1, 1, 9), ben)
  await stage.take(place(1))
})

test('one sender has its share of runs, and takes none from another', async () => {
  const stage = await createStage()
  for (let number = 1; number <= runsPerSenderMax; number++) await stage.take(place(1, 1, number))
  expect(() => stage.claim(place(1, 1, 5_000))).toThrow(expect.objectContaining({ code: 'ERR_OVERLOADED', details: { retryAfterMs: hourMs } }) as Error)
  await stage.take(place(1, 1, 5_000), ben)
})
