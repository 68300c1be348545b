import { describe, expect, test } from 'vitest'
import { createDepositor } from '../../src/agents/index.ts'
import { createSeededRandom, createVirtualClock, dayMs, hourMs, MeshError, minuteMs, silentLogger, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import type { Host } from '../../src/net/index.ts'
import { type RequestOf, signReceipt } from '../../src/protocols/mailbox/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const [holder, owner, other] = [keyringOf(1), keyringOf(2), keyringOf(3)]
const item = utf8('letter')

/** A sender whose one holder is at home and answers as the test says. */
function createStage({
  bits = [4],
  answer,
}: {
  readonly bits?: readonly number[]
  answer(request: Omit<RequestOf<'deposit'>, 'ask'>, asked: number): Uint8Array
}) {
  const clock = createVirtualClock()
  const requests: Omit<RequestOf<'deposit'>, 'ask'>[] = []
  let delegation: Uint8Array | undefined
  const deposit = createDepositor({
    host: { did: holder.did, peers: () => [] } as unknown as Host,
    clock,
    logger: silentLogger,
    introductions: { take: async () => undefined, delegationOf: () => delegation, holdersOf: () => [], addressesOf: () => [] },
    newestBundle: () => Promise.reject(new MeshError('ERR_NO_PREKEYS', 'none')),
    own: {
      terms: async () => ({ bits: bits[requests.length] ?? bits.at(-1) ?? 0 }),
      async deposit(request) {
        requests.push(request)
        return answer(request, requests.length)
      },
    },
  })
  const signing = (keyring = holder) => ({ keyring, random: createSeededRandom(1), now: clock.now() })
  return {
    clock,
    requests,
    signing,
    know: (bytes: Uint8Array) => (delegation = bytes),
    run: (expiresAt = clock.now() + hourMs) => codeOf(deposit({ recipient: { owner: owner.did, mailboxes: [holder.did] }, sealed: item, expiresAt })),
  }
}
const facts = (storedUntil: number, text = item) => ({ itemHash: sha256(text), bytes: text.length, seq: 1, storedUntil })

describe('a receipt is taken', () => {
  test('when it is of the holder, to the recipient and about the item', async () => {
    const stage: ReturnType<typeof createStage> = createStage({ answer: ({ expiresAt }) => signReceipt(owner.did, facts(expiresAt), stage.signing()).bytes })
    expect(await stage.run()).toBe('ok')
  })

  test('and not when it is of somebody else, to somebody else, about another item, over, or altered', async () => {
    const codes = []
    for (const wrong of [
      (stage: ReturnType<typeof createStage>, until: number) => signReceipt(owner.did, facts(until), stage.signing(other)).bytes,
      (stage, until) => signReceipt(other.did, facts(until), stage.signing()).bytes,
      (stage, until) => signReceipt(owner.did, facts(until, utf8('another')), stage.signing()).bytes,
      (stage) => signReceipt(owner.did, facts(stage.clock.now()), stage.signing()).bytes,
      (stage, until) => signReceipt(owner.did, facts(until), stage.signing()).bytes.map((byte, at) => (at === 20 ? byte ^ 1 : byte)),
      () => utf8('stored, trust me'),
    ] as ((stage: ReturnType<typeof createStage>, until: number) => Uint8Array)[]) {
      const stage: ReturnType<typeof createStage> = createStage({ answer: ({ expiresAt }) => wrong(stage, expiresAt) })
      codes.push(await stage.run())
    }
    expect(codes).toEqual([
      'ERR_STATEMENT_SENDER',
      'ERR_STATEMENT_AUDIENCE',
      'ERR_RECEIPT_INVALID',
      'ERR_RECEIPT_INVALID',
      'ERR_STATEMENT_SIGNATURE',
      'ERR_WIRE_MALFORMED',
    ])
  })
})

test('an item asked to be kept for longer than seven days is deposited for seven', async () => {
  const stage: ReturnType<typeof createStage> = createStage({ answer: ({ expiresAt }) => signReceipt(owner.did, facts(expiresAt), stage.signing()).bytes })
  const now = stage.clock.now()
  expect(await stage.run(now + 30 * dayMs)).toBe('ok')
  expect(stage.requests.map(({ expiresAt }) => expiresAt)).toEqual([now + 7 * dayMs])
})

test('work is done again when more is asked meanwhile, three times at most', async () => {
  const tooLittle = (): never => {
    throw new MeshError('ERR_MAILBOX_WORK', 'more')
  }
  const stage: ReturnType<typeof createStage> = createStage({
    bits: [2, 6],
    answer: ({ expiresAt }, asked) => (asked < 2 ? tooLittle() : signReceipt(owner.did, facts(expiresAt), stage.signing()).bytes),
  })
  expect(await stage.run()).toBe('ok')
  const stubborn = createStage({ answer: tooLittle })
  expect(await stubborn.run()).toBe('ERR_MAILBOX_WORK')
  expect(stubborn.requests).toHaveLength(3)
})

test('a delegation that the holder does not accept is replaced by work; a full mailbox is not', async () => {
  const refusing = (code: 'ERR_STATEMENT_EXPIRED' | 'ERR_MAILBOX_FULL') => {
    const stage: ReturnType<typeof createStage> = createStage({
      answer: ({ expiresAt, delegation }) => {
        if (delegation !== undefined) throw new MeshError(code, 'no')
        return signReceipt(owner.did, facts(expiresAt), stage.signing()).bytes
      },
    })
    stage.know(utf8('a delegation'))
    return stage
  }
  const expired = refusing('ERR_STATEMENT_EXPIRED')
  expect(await expired.run()).toBe('ok')
  expect(expired.requests.map(({ delegation, nonce }) => [delegation !== undefined, nonce !== undefined])).toEqual([
    [true, false],
    [false, true],
  ])
  expect(await refusing('ERR_MAILBOX_FULL').run(Date.UTC(2026, 0, 1) + minuteMs)).toBe('ERR_MAILBOX_FULL')
})
