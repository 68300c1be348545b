import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { didFromKey, type MeshError } from '../../src/base/index.ts'
import { createSigner } from '../../src/crypto/index.ts'
import {
  type Chain,
  chainLengthMax,
  chainRecordKey,
  chainRecordRule,
  encodeChainRecord,
  openChainRecord,
  openChainStatement,
  rankOf,
  readChain,
  recoveryWindowMs,
  type SeenStatement,
} from '../../src/identity/index.ts'
import { inception, seedOf, seen, succession } from '../helpers/chain.ts'

const keyOf = (fill: number): string => didFromKey(createSigner(seedOf(fill)).publicKey)
const coded = (code: string): MeshError => expect.objectContaining({ code }) as MeshError
const stateOf = ({ did, current, seq, status, keys }: Chain): object => ({ did, current, seq, status, keys })

/** Key 1, then 2, then 3; recovery key 9. */
function threeKeys() {
  const first = inception(1, 2, 9)
  const second = succession(2, first, 3, { now: 2_000 })
  const third = succession(3, second, 4, { now: 3_000 })
  return { first, second, third, all: [seen(first), seen(second), seen(third)] }
}

describe('a chain in force', () => {
  test('leads from the first key to the last, each in force from its own statement until the next', () => {
    const { all } = threeKeys()
    expect(readChain(all)).toMatchObject({
      did: keyOf(1),
      current: keyOf(3),
      seq: 2,
      status: 'active',
      keys: [
        { key: keyOf(1), from: 0, until: 2_000 },
        { key: keyOf(2), from: 2_000, until: 3_000 },
        { key: keyOf(3), from: 3_000, until: undefined },
      ],
    })
  })

  test('ends before a statement by another key than the one committed to, after another statement, earlier than it, or by a key used before', () => {
    const { first, second, all } = threeKeys()
    const other = inception(1, 2, 9)
    const strays = [succession(7, second, 8), succession(3, succession(2, other, 3), 4), succession(4, { ...first, seq: 1 }, 8)]
    const state = stateOf(readChain([seen(first), seen(second)]))
    for (const stray of strays) expect(stateOf(readChain([seen(first), seen(second), seen(stray)]))).toEqual(state)
    const early = succession(3, { ...second, signed: { ...second.signed, statement: { ...second.signed.statement, issuedAt: 0 } } }, 4, { now: 1_500 })
    expect(stateOf(readChain([seen(first), seen(second), seen(early)]))).toEqual(state)
    const back = succession(3, second, 2)
    expect(readChain([seen(first), seen(second), seen(back), seen(succession(2, back, 5))])).toMatchObject({ seq: 2, current: keyOf(3) })
    expect(() => succession(1, first, 5)).toThrow(coded('ERR_IDENTITY_CHAIN'))
    expect(readChain(all).seq).toBe(2)
  })

  test('needs its inception, and statements of one identity only', () => {
    const { second, all } = threeKeys()
    expect(() => readChain([])).toThrow(coded('ERR_IDENTITY_CHAIN'))
    expect(() => readChain([seen(second)])).toThrow(coded('ERR_IDENTITY_CHAIN'))
    expect(() => readChain([...all, seen(inception(5, 6, 7))])).toThrow(coded('ERR_IDENTITY_CHAIN'))
  })

  test('refuses an altered statement, one with two commitments to one key, and more statements or bytes than allowed', () => {
    const { second } = threeKeys()
    for (const place of [5, 120, second.signed.bytes.length - 1]) {
      const altered = second.signed.bytes.slice()
      altered[place] = (altered[place] ?? 0) ^ 1
      expect(() => openChainStatement(altered)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^ERR_(WIRE|STATEMENT|IDENTITY)_/) as string }))
    }
    expect(() => inception(1, 1, 9)).toThrow(coded('ERR_IDENTITY_CHAIN'))
    expect(() => inception(1, 2, 2)).toThrow(coded('ERR_IDENTITY_CHAIN'))
    const statements = [inception(100, 101, 9)]
    for (let index = 1; index < chainLengthMax; index++) statements.push(succession(100 + index, statements.at(-1) as (typeof statements)[number], 101 + index))
    expect(readChain(statements.slice(0, -2).map((statement) => seen(statement))).seq).toBe(chainLengthMax - 3)
    const fat = [inception(200, 201, 300)]
    for (let index = 1; index < chainLengthMax; index++) {
      fat.push(succession(200 + index, fat.at(-1) as (typeof fat)[number], 201 + index, { recovery: 300 + index }))
    }
    expect(() => readChain(fat.map((statement) => seen(statement)))).toThrow(coded('ERR_WIRE_TOO_LARGE'))
  })
})

describe('the recovery key', () => {
  test('overrides a succession for 72 hours after that was seen, and not a moment longer', () => {
    const first = inception(1, 2, 9)
    const theft = seen(succession(2, first, 3, { recovery: 8 }), 5_000)
    const deeper = seen(succession(3, theft, 4), 6_000)
    const recovery = succession(9, first, 5, { recovery: 10, now: 9_000 })
    const inTime = readChain([seen(first), theft, deeper, seen(recovery, 5_000 + recoveryWindowMs)])
    expect(inTime).toMatchObject({ current: keyOf(9), seq: 1, status: 'active', recovered: [true] })
    expect(inTime.keys).toContainEqual({ key: keyOf(2), from: 2_000, until: 2_000 })
    const late = readChain([seen(first), theft, deeper, seen(recovery, 5_001 + recoveryWindowMs)])
    expect(late).toMatchObject({ current: keyOf(3), seq: 2, status: 'active' })
  })

  test('needs no window where there is nothing to override, and must name the one after it', () => {
    const first = inception(1, 2, 9)
    expect(readChain([seen(first), seen(succession(9, first, 5, { recovery: 10 }), Number.MAX_SAFE_INTEGER)])).toMatchObject({ current: keyOf(9) })
    expect(readChain([seen(first), seen(succession(9, first, 5))])).toMatchObject({ current: keyOf(1), seq: 0 })
  })

  test('mends a fork within 72 hours after the fork was seen', () => {
    const first = inception(1, 2, 9)
    const rivals = [seen(succession(2, first, 3), 1_000), seen(succession(2, first, 4), 2_000_000)]
    const recovery = succession(9, first, 5, { recovery: 10 })
    expect(readChain([seen(first), ...rivals])).toMatchObject({ status: 'frozen', seq: 1, fork: 'ordinary' })
    expect(readChain([seen(first), ...rivals, seen(recovery, 2_000_000 + recoveryWindowMs)])).toMatchObject({ status: 'active', current: keyOf(9) })
    expect(readChain([seen(first), ...rivals, seen(recovery, 2_000_001 + recoveryWindowMs)])).toMatchObject({ status: 'frozen' })
  })
})

describe('two statements for one place', () => {
  test('freeze the identity: inceptions, successions, recoveries', () => {
    const first = inception(1, 2, 9)
    expect(readChain([seen(first), seen(inception(1, 3, 9))])).toMatchObject({ status: 'frozen', seq: 0, fork: 'inception' })
    const forked = readChain([seen(first), seen(succession(2, first, 3, { now: 4_000 })), seen(succession(2, first, 4, { now: 3_000 }))])
    expect(forked).toMatchObject({ status: 'frozen', seq: 1, fork: 'ordinary' })
    // What the first key said before the fork stays; the rivals' key was never in force.
    expect(forked.keys).toEqual([
      { key: keyOf(1), from: 0, until: 3_000 },
      { key: keyOf(2), from: expect.any(Number) as number, until: expect.any(Number) as number },
    ])
    const twice = [succession(9, first, 3, { recovery: 10 }), succession(9, first, 4, { recovery: 10 })]
    expect(readChain([seen(first), ...twice.map((statement) => seen(statement))])).toMatchObject({ status: 'frozen', fork: 'recovery' })
  })
})

/** A random crowd of statements around one chain: heirs, forks, recoveries, strays. */
function crowd(seed: number): readonly SeenStatement[] {
  const pick = (most: number): number => (seed = (seed * 1_103_515_245 + 12_345) >>> 0) % most
  const first = inception(1, 2, 90)
  const all = [first]
  for (let index = 0; index < 8; index++) {
    const tip = all[pick(all.length)] as (typeof all)[number]
    const depth = tip.seq + 2
    const isRecovery = pick(4) === 0
    all.push(succession(isRecovery ? 90 : depth, tip, depth + 1, { ...(isRecovery ? { recovery: 91 + index } : {}), now: 2_000 + depth * 10 + pick(5) }))
  }
  return all.map((statement) => seen(statement, pick(3) * recoveryWindowMs))
}

test('the order in which statements are given changes nothing, nor does giving one twice', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), fc.array(fc.nat(), { minLength: 9, maxLength: 9 }), (seed, order) => {
      const statements = crowd(seed)
      const shuffled = statements.map((statement, index) => ({ statement, at: order[index] ?? 0 })).sort((a, b) => a.at - b.at)
      const again = [...shuffled, ...shuffled.slice(0, 3)].map(({ statement }) => statement)
      expect(stateOf(readChain(again))).toEqual(stateOf(readChain(statements)))
    }),
    { numRuns: 150, seed: 4 },
  )
})

test('what a chain rests on, alone, gives the same chain', () => {
  for (let seed = 1; seed <= 100; seed++) {
    const chain = readChain(crowd(seed))
    expect(stateOf(readChain([...chain.path, ...chain.rivals, ...chain.beaten]))).toEqual(stateOf(chain))
  }
})

describe('a chain as a record', () => {
  const rule = chainRecordRule({ now: () => 10_000 })
  const rank = (...statements: readonly SeenStatement[]): number => rankOf(readChain(statements))

  test('stands under its first key for 48 hours from when it was checked', () => {
    const { all } = threeKeys()
    const chain = readChain(all)
    const record = encodeChainRecord(chain)
    expect(rule.check(chainRecordKey(chain.did), record)).toEqual({ seq: rankOf(chain), expiresAt: 10_000 + 48 * 3_600_000 })
    expect(readChain(openChainRecord(record).map((statement) => seen(statement)))).toMatchObject({ current: keyOf(3) })
    expect(() => rule.check(chainRecordKey(chain.current), record)).toThrow(coded('ERR_RECORD_INVALID'))
    expect(() => chainRecordRule({ now: () => -200_000 }).check(chainRecordKey(chain.did), record)).toThrow(coded('ERR_STATEMENT_FUTURE'))
    const padded = encodeChainRecord({ path: chain.path, rivals: [seen(succession(7, chain.path[2] as SeenStatement, 8))] })
    expect(() => rule.check(chainRecordKey(chain.did), padded)).toThrow(coded('ERR_RECORD_INVALID'))
  })

  test('ranks by the first place where two differ: recovery over fork over succession over nothing', () => {
    const { first, second, third } = threeKeys()
    const rival = succession(2, first, 7)
    const recovery = succession(9, first, 5, { recovery: 10 })
    const ranks = [
      rank(seen(first)),
      rank(seen(first), seen(second)),
      rank(seen(first), seen(second), seen(third)),
      rank(seen(first), seen(second), seen(rival)),
      rank(seen(first), seen(recovery)),
      rank(seen(first), seen(recovery), seen(succession(5, recovery, 6))),
      rank(seen(first), seen(inception(1, 3, 9))),
    ]
    expect(ranks).toEqual(ranks.toSorted((a, b) => a - b))
    expect(new Set(ranks).size).toBe(ranks.length)
    expect(ranks.every(Number.isSafeInteger)).toBe(true)
  })
})
