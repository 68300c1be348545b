import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, createSeededRandom, hex, keyFromDid, utf8 } from '../../src/base/index.ts'
import { aeadSeal, hkdfExpand, hmacSha256, importAeadKey } from '../../src/crypto/index.ts'
import { pad } from '../../src/envelope/padding.ts'
import {
  type ChainContext,
  createGroupSender,
  decodeGroupFrame,
  groupSkippedMax,
  openGroupFrame,
  type ReceivingChain,
  receivingChain,
} from '../../src/envelope/group.ts'
import { encode } from '../../src/wire/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const anna = keyringOf(1)
const context: ChainContext = { group: new Uint8Array(32).fill(1), epoch: new Uint8Array(32).fill(2), sender: anna.did }
const sender = (seed = 1, suite: 1 | 2 = 1) => createGroupSender({ context, suite, random: createSeededRandom(seed) })
const open = (chain: ReceivingChain, frame: Uint8Array, where = context) => openGroupFrame(chain, decodeGroupFrame(frame), where)
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

describe('a chain', () => {
  test.each([1, 2] as const)('of suite %i opens what it sealed, in its context and in no other', (suite) => {
    const own = sender(3, suite)
    const chain = receivingChain(own.handover())
    const frame = own.seal(utf8('hello'))
    expect(open(chain, frame).content).toEqual(utf8('hello'))
    const others: readonly ChainContext[] = [
      { ...context, group: new Uint8Array(32) },
      { ...context, epoch: concat(context.epoch.subarray(0, 8), new Uint8Array(24)) },
      { ...context, sender: keyringOf(2).did },
    ]
    for (const other of others) expect(() => open(chain, frame, other)).toThrow(code('ERR_CRYPTO_OPEN'))
    for (let at = 5; at < frame.length; at += 7) {
      const altered = frame.slice()
      altered[at] = (altered[at] ?? 0) ^ 4
      expect(() => open(chain, altered)).toThrow()
    }
  })

  test('never seals twice with one key, and a key handed over later opens nothing from before', () => {
    const own = sender()
    const keys = new Set<string>()
    const early = own.seal(utf8('early'))
    for (let n = 1; n < 500; n++) {
      keys.add(hex(own.handover().key))
      own.seal(utf8('x'))
    }
    expect(keys.size).toBe(499)
    expect(() => open(receivingChain(own.handover()), early)).toThrow(code('ERR_GROUP_KEY'))
  })

  test('a jump of 100,000 is refused before a single key is made, one of 1,000 is walked', () => {
    const own = sender()
    const chain = receivingChain(own.handover())
    const frames = Array.from({ length: groupSkippedMax + 2 }, () => own.seal(utf8('x')))
    const jump = decodeGroupFrame(frames[0] ?? new Uint8Array())
    expect(() => openGroupFrame(chain, { ...jump, n: 100_000 }, context)).toThrow(code('ERR_GROUP_KEY'))
    expect(() => openGroupFrame(chain, { ...jump, n: groupSkippedMax + 1 }, context)).toThrow(code('ERR_GROUP_KEY'))
    const walked = open(chain, frames[groupSkippedMax] ?? new Uint8Array()).chain
    expect(walked.skipped.size).toBe(groupSkippedMax)
    expect(open(walked, frames[7] ?? new Uint8Array()).chain.skipped.size).toBe(groupSkippedMax - 1)
    // The oldest go first.
    const further = open(walked, frames[groupSkippedMax + 1] ?? new Uint8Array()).chain
    expect(further.skipped.size).toBe(groupSkippedMax)
  })

  test('a key handed over again gives nothing; an earlier one the messages before; one from far ahead begins anew', () => {
    const own = sender()
    const early = own.handover()
    const first = own.seal(utf8('first'))
    const second = own.seal(utf8('second'))
    const late = receivingChain(own.handover())
    expect(() => open(late, first)).toThrow(code('ERR_GROUP_KEY'))
    const widened = receivingChain(early, late)
    expect(open(open(widened, second).chain, first).content).toEqual(utf8('first'))
    expect(receivingChain(own.handover(), widened)).toBe(widened)
    expect(receivingChain(early, widened)).toBe(widened)
    const far = { ...own.handover(), n: 5_000 }
    expect(receivingChain(far, widened)).toMatchObject({ n: 5_000, first: 5_000 })
  })

  test('a frame made to open under two keys is refused under one of them: the commitment is of one key', () => {
    // One ciphertext whose first block is right under both keys would do for a bare AEAD; the commitment stands before it.
    const [a, b] = [sender(5), sender(6)].map((own) => ({ own, key: own.handover() }))
    if (a === undefined || b === undefined) throw new Error('unreachable')
    const messageKey = hmacSha256(b.key.key, Uint8Array.of(1))
    const aad = encode([1, 1, 3, context.group, context.epoch, keyFromDid(context.sender), a.key.tag, 0])
    const ciphertext = aeadSeal(1, importAeadKey(hkdfExpand(messageKey, utf8('klp/1/group seal'), 32)), new Uint8Array(12), aad, pad(utf8('other')))
    const commitmentOfA = decodeGroupFrame(a.own.seal(utf8('x'))).sealed.subarray(0, 32)
    const frame = {
      version: 1,
      suite: 1,
      mode: 3,
      epoch: context.epoch.subarray(0, 8),
      tag: a.key.tag,
      n: 0,
      sealed: concat(commitmentOfA, ciphertext),
    } as const
    expect(() => openGroupFrame(receivingChain({ ...b.key, tag: a.key.tag }), frame, context)).toThrow(code('ERR_CRYPTO_OPEN'))
    expect(() => openGroupFrame(receivingChain(a.key), frame, context)).toThrow(code('ERR_CRYPTO_OPEN'))
  })
})

/** What a network and a thief of frames do to a chain: any order, losses, copies, altered bytes, restarts from what was kept. */
const event = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('deliver' as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('forge' as const), pick: fc.nat(), at: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hand over again' as const) }) },
)

test('model: each message opens at most once and as it was said, whatever comes in whatever order, and a forgery changes nothing', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 120 }), fc.nat(1_000), (events, seed) => {
      const own = sender(seed + 10)
      let chain = receivingChain(own.handover())
      let kept = chain
      const frames: Uint8Array[] = []
      const opened = new Set<number>()
      for (const step of events) {
        if (step.kind === 'send') frames.push(own.seal(utf8(`message ${frames.length}`)))
        else if (step.kind === 'restart') chain = kept
        else if (step.kind === 'hand over again') chain = receivingChain(own.handover(), chain)
        else {
          const index = frames.length === 0 ? -1 : step.pick % frames.length
          const frame = frames[index]
          if (frame === undefined) continue
          if (step.kind === 'forge') {
            const altered = frame.slice()
            altered[step.at % altered.length] = (altered[step.at % altered.length] ?? 0) ^ 1
            const before = chain
            expect(() => (chain = open(chain, altered).chain)).toThrow()
            expect(chain).toBe(before)
            continue
          }
          if (opened.has(index)) expect(() => open(chain, frame)).toThrow(code('ERR_GROUP_KEY'))
          else {
            const result = open(chain, frame)
            expect(result.content).toEqual(utf8(`message ${index}`))
            // What is kept and what was taken go together, as in one durable batch.
            kept = chain = result.chain
            opened.add(index)
          }
        }
      }
    }),
    { seed: 14, numRuns: 300 },
  )
})
