import { describe, expect, test } from 'vitest'
import { createSeededRandom, type Did } from '../../src/base/index.ts'
import { type Candidate, chooseExecutor } from '../../src/tasks/index.ts'
import { createFeed } from '../../src/tasks/feed.ts'

const did = (name: string): Did => `did:key:${name}` as Did
const candidate = (name: string, fields: Partial<Candidate> = {}): Candidate => ({
  did: did(name),
  level: 0,
  presence: 'online',
  route: 'direct',
  answer: { takes: true, isolation: 'sandboxed', backend: 'x', running: 0, queued: 0 },
  ...fields,
})
const silent = { takes: false, code: 'ERR_TIMEOUT', reason: 'no answer', isSaid: false } as const
const chosen = (candidates: readonly Candidate[], tried: readonly Did[] = []): string =>
  chooseExecutor(candidates, { tried, random: createSeededRandom(1) }).did

describe('who runs a task for anybody', () => {
  test('is the one that takes it, then the more trusted, then the less busy, then the nearer, then the better known', () => {
    const busy = { takes: true, isolation: 'sandboxed', backend: 'x', running: 5, queued: 9 } as const
    expect(chosen([candidate('silent', { answer: silent, level: 4 }), candidate('willing')])).toBe('did:key:willing')
    expect(chosen([candidate('idle', { level: 1 }), candidate('trusted', { level: 3, answer: busy })])).toBe('did:key:trusted')
    expect(chosen([candidate('busy', { answer: busy }), candidate('idle')])).toBe('did:key:idle')
    expect(chosen([candidate('away', { presence: 'away' }), candidate('relayed', { route: 'relayed' })])).toBe('did:key:relayed')
    expect(chosen([candidate('relayed', { route: 'relayed' }), candidate('direct')])).toBe('did:key:direct')
    expect(chosen([candidate('far', { known: 0.9, route: 'relayed' }), candidate('new', { known: 0.1 }), candidate('old', { known: 0.2 })])).toBe('did:key:old')
  })

  test('is never one that is distrusted or said no, and why is told', () => {
    const out = [
      candidate('bad', { level: -1 }),
      candidate('no', { level: 4, answer: { takes: false, code: 'ERR_TRUST_LOW', reason: 'you are unknown here', isSaid: true } }),
    ]
    const { why } = chooseExecutor([...out, candidate('last', { presence: 'away', answer: silent })], { tried: [], random: createSeededRandom(1) })
    expect(why).toContain('we hold it distrust')
    expect(why).toContain('you are unknown here (ERR_TRUST_LOW)')
    expect(() => chosen(out)).toThrow(expect.objectContaining({ code: 'ERR_CAPABILITY_DENIED', message: expect.stringContaining('you are unknown here') }))
    expect(() => chosen([])).toThrow(expect.objectContaining({ code: 'ERR_CAPABILITY_DENIED' }))
  })

  test('is another one than was tried, while there is another', () => {
    const all = [candidate('a', { level: 3 }), candidate('b')]
    expect(chosen(all)).toBe('did:key:a')
    expect(chosen(all, [did('a')])).toBe('did:key:b')
    expect(chosen(all, [did('a'), did('b')])).toBe('did:key:a')
  })

  test('is left to chance among equals', () => {
    const random = createSeededRandom(3)
    const all = ['a', 'b', 'c', 'd'].map((name) => candidate(name))
    const counts = new Map<Did, number>()
    for (let round = 0; round < 400; round++) {
      const { did: one } = chooseExecutor(all, { tried: [], random })
      counts.set(one, (counts.get(one) ?? 0) + 1)
    }
    expect([...counts.values()].every((count) => count > 60)).toBe(true)
    expect(counts.size).toBe(4)
  })
})

describe('progress on its way to a reader', () => {
  test('holds who pushes while the reader is behind, and lets it go when the reader leaves or nobody may wait', async () => {
    const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
    const feed = createFeed<number>({ most: 2 })
    let pushed = 0
    const push = async (): Promise<void> => {
      for (let item = 0; item < 10; item++) {
        await feed.push(item)
        pushed++
      }
    }
    void push()
    await nextTurn()
    expect(pushed).toBe(1)
    const reader = feed.read()
    expect((await reader.next()).value).toBe(0)
    await nextTurn()
    expect(pushed).toBe(2)
    await reader.return(undefined)
    await nextTurn()
    expect(pushed).toBe(10)

    const other = createFeed<number>({ most: 1 })
    const stuck = other.push(1)
    other.release()
    await stuck
    const lossy = createFeed<number>({ most: 2, lossy: true })
    for (let item = 0; item < 5; item++) await lossy.push(item)
    lossy.end()
    const left: number[] = []
    for await (const item of lossy.read()) left.push(item)
    expect(left).toEqual([3, 4])
  })
})
