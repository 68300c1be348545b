import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did, didFromKey } from '../../src/base/index.ts'
import { keysPerProviderMax, ProviderBook, providerKeysMax, providersPerKeyMax, providersPerPlaceMax, providerTtlMs } from '../../src/net/provider-book.ts'

const did = (index: number): Did => didFromKey(Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? index & 0xff : at === 1 ? index >> 8 : 1)))
const key = (index: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? index & 0xff : at === 1 ? index >> 8 : 2))
const create = () => {
  const clock = createVirtualClock()
  return { clock, book: new ProviderBook(clock, createSeededRandom(1)) }
}

test('a provider is known until its time is over, longer when it says so again', async () => {
  const { clock, book } = create()
  book.add(key(1), did(1))
  await clock.advance(providerTtlMs - 1)
  book.add(key(1), did(2))
  expect(book.list(key(1))).toEqual([did(1), did(2)])
  book.add(key(1), did(2))
  await clock.advance(1)
  expect(book.list(key(1))).toEqual([did(2)])
  await clock.advance(providerTtlMs)
  expect([book.list(key(1)), book.list(key(2))]).toEqual([[], []])
})

test('a crowd in one public place takes a quarter of the places of a key and drives nobody else out', () => {
  const { book } = create()
  const honest = Array.from({ length: 40 }, (_, index) => did(index))
  honest.forEach((one, index) => book.add(key(1), one, `192.0.${index}`))
  for (let index = 0; index < 2_000; index++) book.add(key(1), did(1_000 + index), '198.51.100')
  const list = book.list(key(1))
  expect(list.filter((one) => honest.includes(one))).toHaveLength(40)
  expect(list).toHaveLength(40 + providersPerPlaceMax)
})

test('one key holds so many and no more; a new one still has its chance', () => {
  const { book } = create()
  for (let index = 0; index < 500; index++) expect(book.add(key(1), did(index))).toBe(true)
  expect(book.list(key(1))).toHaveLength(providersPerKeyMax)
  expect(book.list(key(1))).toContain(did(499))
})

test('one peer provides so many keys and no more, and what it loses makes room', async () => {
  const { clock, book } = create()
  for (let index = 0; index < keysPerProviderMax; index++) expect(book.add(key(index), did(1))).toBe(true)
  expect(book.add(key(9_999), did(1))).toBe(false)
  expect(book.add(key(0), did(1))).toBe(true)
  await clock.advance(providerTtlMs)
  expect(book.list(key(3))).toEqual([])
  expect(book.add(key(9_999), did(1))).toBe(true)
})

test('keys are so many and no more until some are forgotten', async () => {
  const { clock, book } = create()
  for (let index = 0; index < providerKeysMax; index++) expect(book.add(key(index), did(index >> 7))).toBe(true)
  expect(book.add(key(50_000), did(9_000))).toBe(false)
  expect(book.add(key(1), did(9_000))).toBe(true)
  await clock.advance(providerTtlMs)
  expect(book.add(key(50_000), did(9_000))).toBe(true)
})
