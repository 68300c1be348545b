import { describe, expect, test } from 'vitest'
import { createSeededRandom, dayMs, hourMs, minuteMs } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { openDepositGrant, openPage, openReceipt, showsLoss, signDepositGrant, signPage, signReceipt } from '../../src/protocols/mailbox/statements.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const [holder, owner, sender] = [keyringOf(1), keyringOf(2), keyringOf(3)]
const now = Date.UTC(2026, 0, 1)
const signing = (keyring = holder, at = now) => ({ keyring, random: createSeededRandom(at), now: at })
const hashOf = (text: string): Uint8Array => sha256(new TextEncoder().encode(text))

const receiptOf = (seq: number, text = 'letter', storedUntil = now + dayMs) =>
  openReceipt(signReceipt(owner.did, { itemHash: hashOf(text), bytes: 6, seq, storedUntil }, signing()).bytes, { from: holder.did, to: owner.did, now })
function pageOf(
  at: number,
  fields: { readonly after?: number; readonly upTo: number; readonly last: number; readonly seqs: readonly number[]; readonly text?: string },
) {
  const { after = 0, upTo, last, seqs, text = 'letter' } = fields
  const facts = { after, upTo, last, entries: seqs.map((seq) => ({ seq, itemHash: hashOf(text) })) }
  return openPage(signPage(owner.did, facts, signing(holder, at)).bytes, { from: holder.did, to: owner.did, now: at })
}

describe('a receipt and a page', () => {
  const receipt = receiptOf(5)
  const later = now + hourMs

  test('show a loss when the number is in range and not listed, or listed with another item', () => {
    expect(showsLoss(receipt, pageOf(later, { upTo: 9, last: 9, seqs: [4, 6] }))).toBe(true)
    expect(showsLoss(receipt, pageOf(later, { upTo: 9, last: 9, seqs: [5], text: 'another' }))).toBe(true)
  })

  test('show a loss when the holder gives out lower numbers than before', () => {
    expect(showsLoss(receipt, pageOf(later, { upTo: 2, last: 2, seqs: [1, 2] }))).toBe(true)
  })

  test('show none while the item is listed, out of the range of the page, or near its end', () => {
    expect(showsLoss(receipt, pageOf(later, { upTo: 9, last: 9, seqs: [5] }))).toBe(false)
    expect(showsLoss(receipt, pageOf(later, { upTo: 4, last: 9, seqs: [4] }))).toBe(false)
    expect(showsLoss(receipt, pageOf(later, { after: 5, upTo: 9, last: 9, seqs: [] }))).toBe(false)
    expect(showsLoss(receipt, pageOf(now + dayMs - 9 * minuteMs, { upTo: 9, last: 9, seqs: [] }))).toBe(false)
    expect(showsLoss(receipt, pageOf(now + dayMs - 10 * minuteMs, { upTo: 9, last: 9, seqs: [] }))).toBe(true)
  })

  test('show nothing about a page older than the receipt or of another holder', () => {
    expect(showsLoss(receipt, pageOf(now - 1, { upTo: 9, last: 9, seqs: [] }))).toBe(false)
    const foreign = signPage(owner.did, { after: 0, upTo: 9, last: 9, entries: [] }, signing(sender, later))
    expect(showsLoss(receipt, openPage(foreign.bytes, { from: sender.did, to: owner.did, now: later }))).toBe(false)
  })
})

test.each([
  { why: 'numbers that fall', after: 0, upTo: 9, last: 9, seqs: [5, 4] },
  { why: 'a number twice', after: 0, upTo: 9, last: 9, seqs: [5, 5] },
  { why: 'a number at or below `after`', after: 5, upTo: 9, last: 9, seqs: [5] },
  { why: 'a number beyond its range', after: 0, upTo: 4, last: 9, seqs: [5] },
  { why: 'a range beyond the last number', after: 0, upTo: 10, last: 9, seqs: [] },
  { why: 'no range though there is more', after: 5, upTo: 5, last: 9, seqs: [] },
])('a page with $why is refused', ({ after, upTo, last, seqs }) => {
  expect(() => pageOf(now, { after, upTo, last, seqs })).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }))
})

describe('a delegation to deposit', () => {
  const grant = signDepositGrant(sender.did, { items: 3 }, signing(owner))
  const parties = { from: owner.did, to: sender.did, now }

  test('opens for the depositor it names', () => {
    expect(openDepositGrant(grant.bytes, parties)).toMatchObject({ items: 3, bytes: undefined })
  })

  test.each([
    ['of another recipient', { ...parties, from: holder.did }, 'ERR_STATEMENT_SENDER'],
    ['for another depositor', { ...parties, to: holder.did }, 'ERR_STATEMENT_AUDIENCE'],
    ['past its time', { ...parties, now: now + 31 * dayMs }, 'ERR_STATEMENT_EXPIRED'],
    ['from the future', { ...parties, now: now - 3 * minuteMs }, 'ERR_STATEMENT_FUTURE'],
  ])('is refused %s', (_why, wrong, code) => {
    expect(() => openDepositGrant(grant.bytes, wrong)).toThrow(expect.objectContaining({ code }))
  })

  test('is refused when it lives longer than 30 days', () => {
    const long = signDepositGrant(sender.did, { lifetimeMs: 31 * dayMs }, signing(owner))
    expect(() => openDepositGrant(long.bytes, parties)).toThrow(expect.objectContaining({ code: 'ERR_STATEMENT_LIFETIME' }))
  })
})
