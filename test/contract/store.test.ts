import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { utf8 } from '../../src/base/index.ts'
import { createLevelStore, createMemoryStore, del, put, type Range, type Store } from '../../src/store/index.ts'

const folders: string[] = []
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function levelStore(): Promise<Store> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-store-'))
  folders.push(folder)
  return await createLevelStore(join(folder, 'db'))
}

async function keysOf(store: Store, range: Range): Promise<string[]> {
  const keys: string[] = []
  for await (const [key] of store.range(range)) keys.push(key)
  return keys
}

describe.each([
  ['level', levelStore],
  ['memory', async () => createMemoryStore()],
])('the store contract on %s', (_name, create) => {
  test('gives back what was put, and undefined for what was not', async () => {
    const store = await create()
    await store.batch([put('a', utf8('1'))])
    expect(await store.get('a')).toEqual(utf8('1'))
    expect(await store.get('b')).toBeUndefined()
    expect([await store.has('a'), await store.has('b')]).toEqual([true, false])
    await store.close()
  })

  test('applies a batch in order: the last write of a key wins', async () => {
    const store = await create()
    await store.durable([put('a', utf8('1')), del('a'), put('a', utf8('2')), put('b', utf8('3')), del('b')])
    expect(await store.get('a')).toEqual(utf8('2'))
    expect(await store.has('b')).toBe(false)
    await store.close()
  })

  test('iterates in order of UTF-8 bytes within bounds, either way, up to a limit', async () => {
    const store = await create()
    await store.batch(['b', 'a', 'c', 'é', '\u{1f600}', '\uffee'].map((key) => put(key, utf8(key))))
    expect(await keysOf(store, {})).toEqual(['a', 'b', 'c', 'é', '\uffee', '\u{1f600}'])
    expect(await keysOf(store, { gt: 'a', lte: 'c' })).toEqual(['b', 'c'])
    expect(await keysOf(store, { gte: 'a', lt: 'c', reverse: true })).toEqual(['b', 'a'])
    expect(await keysOf(store, { limit: 2 })).toEqual(['a', 'b'])
    await store.close()
  })

  test('keeps sub stores apart, also where one name begins with the other', async () => {
    const store = await create()
    await store.sub('in').batch([put('x', utf8('1'))])
    await store.sub('inbox').batch([put('x', utf8('2')), put('y', utf8('3'))])
    await store.durable(
      store
        .sub('in')
        .sub('deep')
        .qualify([put('z', utf8('4'))]),
    )
    expect(await keysOf(store.sub('inbox'), {})).toEqual(['x', 'y'])
    expect(await keysOf(store.sub('in'), {})).toEqual(['deep/z', 'x'])
    expect(await keysOf(store.sub('in').sub('deep'), { gte: 'a' })).toEqual(['z'])
    expect(await keysOf(store.sub('inbox'), { gt: 'x' })).toEqual(['y'])
    expect(await keysOf(store.sub('inbox'), { lte: 'x' })).toEqual(['x'])
    await store.close()
  })

  test('keeps the order of durable writes made without waiting', async () => {
    const store = await create()
    await Promise.all(Array.from({ length: 500 }, (_, index) => store.durable([put('last', utf8(String(index))), put(`k${index}`, utf8('v'))])))
    expect(await store.get('last')).toEqual(utf8('499'))
    expect((await keysOf(store, { gte: 'k', lt: 'l' })).length).toBe(500)
    await store.close()
  })

  test('an iteration sees the store as it was when it began', async () => {
    const store = await create()
    await store.batch([put('a', utf8('1')), put('b', utf8('1'))])
    const seen: string[] = []
    for await (const [key] of store.range({})) {
      seen.push(key)
      await store.batch([put('c', utf8('1')), del('b')])
    }
    expect(seen).toEqual(['a', 'b'])
    await store.close()
  })

  test('the caller may reuse its buffer after a write', async () => {
    const store = await create()
    const value = utf8('one')
    await store.durable([put('a', value)])
    value.fill(0)
    expect(await store.get('a')).toEqual(utf8('one'))
    await store.close()
  })

  test('refuses every call after close with its code', async () => {
    const store = await create()
    await store.close()
    const closed = expect.objectContaining({ code: 'ERR_STORE_CLOSED' }) as Error
    await expect(store.get('a')).rejects.toEqual(closed)
    await expect(store.batch([put('a', utf8('1'))])).rejects.toEqual(closed)
    await expect(store.durable([put('a', utf8('1'))])).rejects.toEqual(closed)
    await expect(keysOf(store, {})).rejects.toEqual(closed)
  })
})

test('a second process-wide opening of a level store is refused as locked', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-store-'))
  folders.push(folder)
  const store = await createLevelStore(folder)
  await expect(createLevelStore(folder)).rejects.toMatchObject({ code: 'ERR_PROFILE_LOCKED' })
  await store.close()
  const again = await createLevelStore(folder)
  await again.close()
})

test('a power cut takes what was not durable and nothing that was', async () => {
  const store = createMemoryStore()
  await store.durable([put('kept', utf8('1'))])
  await store.batch([put('lost', utf8('1'))])
  store.crash()
  expect([await store.has('kept'), await store.has('lost')]).toEqual([true, false])
})

test('an injected failure applies nothing and says so', async () => {
  const store = createMemoryStore({ fault: (write) => (write === 2 ? 'fail' : undefined) })
  await store.durable([put('a', utf8('1'))])
  await expect(store.durable([put('a', utf8('2')), put('b', utf8('2'))])).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' })
  expect(await store.get('a')).toEqual(utf8('1'))
  expect(await store.has('b')).toBe(false)
})
