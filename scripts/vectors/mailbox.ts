import { dayMs, hourMs, minuteMs, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { type Signed, signStatement } from '../../src/identity/index.ts'
import { encodeAnswer, encodeRequest, type MailboxAnswer, type MailboxRequest } from '../../src/protocols/mailbox/codec.ts'
import { openRegistration, signAcceptance, signDepositGrant, signPage, signReceipt, signRegistration } from '../../src/protocols/mailbox/statements.ts'
import { doWork } from '../../src/protocols/mailbox/work.ts'
import { decode, encode } from '../../src/wire/index.ts'
import { anna, ben, chance, cleo, fixedPrekeys, flipped, now, type Vector, type Vectors } from './world.ts'

// anna holds, ben owns the mailbox, cleo deposits.
const [holder, owner, depositor] = [anna, ben, cleo]
const by = (keyring = holder, at = now) => ({ keyring, random: chance(60 + keyring.publicKey.length), now: at })
const item = utf8('a sealed letter')
const itemHash = sha256(item)
const storedUntil = now + dayMs

const registration = signRegistration(holder.did, { items: 100, bytes: 1 << 20 }, 30 * dayMs, by(owner))
const acceptance = signAcceptance(
  openRegistration(registration.bytes, { from: owner.did, to: holder.did, now }),
  { items: 100, bytes: 65_536, itemBytesMax: 262_144, ttlMsMax: 7 * dayMs, lastSeq: 0 },
  by(),
)
const grant = signDepositGrant(depositor.did, { items: 8 }, by(owner))
const receipt = signReceipt(owner.did, { itemHash, bytes: item.length, seq: 5, storedUntil }, by())
const entriesOf = (...seqs: readonly number[]) => seqs.map((seq) => ({ seq, itemHash }))
const pageAt = (at: number, facts: Parameters<typeof signPage>[1]): Signed => signPage(owner.did, facts, by(holder, at))
const page = pageAt(now, { after: 0, upTo: 6, last: 9, entries: entriesOf(4, 5) })

function statement(comment: string, spec: string, signed: Pick<Signed, 'bytes' | 'kind'>, more: Partial<Vector> = {}): Vector {
  const [from, to] = signed.kind === 'mailbox-registration' ? [owner, holder] : signed.kind === 'delegation' ? [owner, depositor] : [holder, owner]
  return { comment, spec, expect: 'ok', kind: 'mailbox-statement', of: signed.kind, signed: signed.bytes, now, from: from.publicKey, to: to.publicKey, ...more }
}
const listOf = (signed: Signed): unknown => decode(signed.statement.payload, 8_192)

function statements(): Vectors {
  const foreign = (kind: 'delegation', payload: Uint8Array): Signed =>
    signStatement(kind, { to: depositor.did, type: kind, payload, issuedAt: now, expiresAt: now + dayMs }, { keyring: owner, random: chance(70) })
  const unordered = pageAt(now, { after: 0, upTo: 6, last: 9, entries: entriesOf(5, 4) })
  return {
    registration: statement('an owner asks for a mailbox', '2', registration, { list: listOf(registration) }),
    'registration-long-lived': statement('31 days', '2', signRegistration(holder.did, { items: 1, bytes: 1 }, 31 * dayMs, by(owner)), {
      expect: 'ERR_STATEMENT_LIFETIME',
    }),
    'registration-by-another': statement(
      'somebody else registers the owner',
      '2.1',
      signRegistration(holder.did, { items: 1, bytes: 1 }, dayMs, by(depositor)),
      {
        expect: 'ERR_STATEMENT_SENDER',
      },
    ),
    'registration-elsewhere': statement('made for another holder', '2.1', signRegistration(depositor.did, { items: 1, bytes: 1 }, dayMs, by(owner)), {
      expect: 'ERR_STATEMENT_AUDIENCE',
    }),
    'registration-altered': statement(
      'a bit turned',
      '2.1',
      { kind: registration.kind, bytes: flipped(registration.bytes, -1) },
      { expect: 'ERR_STATEMENT_SIGNATURE' },
    ),
    acceptance: statement('the holder grants less than was wanted', '2', acceptance, { registrationHash: registration.hash, list: listOf(acceptance) }),
    'acceptance-of-another': statement('the answer to another registration', '2', acceptance, { registrationHash: receipt.hash, expect: 'ERR_PROTOCOL' }),
    delegation: statement('the owner lets somebody deposit', '4', grant, { list: listOf(grant) }),
    'delegation-passed-on': statement('shown by somebody else', '4.1', grant, { to: holder.publicKey, expect: 'ERR_STATEMENT_AUDIENCE' }),
    'delegation-self-made': statement('signed by the depositor', '4.1', signDepositGrant(depositor.did, {}, by(depositor)), { expect: 'ERR_STATEMENT_SENDER' }),
    'delegation-expired': statement('past its 30 days', '4.1', grant, { now: now + 30 * dayMs + 2 * minuteMs + 1, expect: 'ERR_STATEMENT_EXPIRED' }),
    'delegation-long-lived': statement('31 days', '4.1', signDepositGrant(depositor.did, { lifetimeMs: 31 * dayMs }, by(owner)), {
      expect: 'ERR_STATEMENT_LIFETIME',
    }),
    'delegation-other-subject': statement(
      'for the mailbox of another',
      '4.1',
      foreign('delegation', encode([1, holder.publicKey, '/mailbox/put', null, null])),
      {
        expect: 'ERR_MAILBOX_GRANT',
      },
    ),
    'delegation-other-command': statement('for something else', '4.1', foreign('delegation', encode([1, owner.publicKey, '/mailbox', null, null])), {
      expect: 'ERR_WIRE_MALFORMED',
    }),
    receipt: statement('a storage receipt', '3.5', receipt, { list: listOf(receipt) }),
    'receipt-by-another': statement('signed by somebody else', '3.5', signReceipt(owner.did, { itemHash, bytes: 15, seq: 5, storedUntil }, by(depositor)), {
      expect: 'ERR_STATEMENT_SENDER',
    }),
    page: statement('items 4 and 5 of 9', '5', page, { list: listOf(page) }),
    'page-unordered': statement('numbers that fall', '5.1', unordered, { expect: 'ERR_PROTOCOL' }),
    'page-beyond-last': statement('a range beyond the last number', '5.1', pageAt(now, { after: 0, upTo: 10, last: 9, entries: [] }), {
      expect: 'ERR_PROTOCOL',
    }),
    'page-without-range': statement('more to come, and none of it named', '5.1', pageAt(now, { after: 6, upTo: 6, last: 9, entries: [] }), {
      expect: 'ERR_PROTOCOL',
    }),
  }
}

function losses(): Vectors {
  const loss = (comment: string, of: Signed, expect: string): Vector => ({
    comment,
    spec: '5.5',
    expect,
    kind: 'mailbox-loss',
    receipt: receipt.bytes,
    page: of.bytes,
    holder: holder.publicKey,
    owner: owner.publicKey,
    now: storedUntil,
  })
  const later = now + hourMs
  return {
    'loss-listed': loss('the item is listed', pageAt(later, { after: 0, upTo: 9, last: 9, entries: entriesOf(5) }), 'ok'),
    'loss-out-of-range': loss('the page ends before it', pageAt(later, { after: 0, upTo: 4, last: 9, entries: [] }), 'ok'),
    'loss-near-its-end': loss('9 min before its end', pageAt(storedUntil - 9 * minuteMs, { after: 0, upTo: 9, last: 9, entries: [] }), 'ok'),
    'loss-older-page': loss('a page from before the receipt', pageAt(now - 1, { after: 0, upTo: 9, last: 9, entries: [] }), 'ok'),
    'loss-not-listed': loss('in range and not listed', pageAt(later, { after: 0, upTo: 9, last: 9, entries: entriesOf(4, 6) }), 'ERR_MAILBOX_LOST'),
    'loss-other-item': loss(
      'another item under its number',
      pageAt(later, { after: 0, upTo: 9, last: 9, entries: [{ seq: 5, itemHash: sha256(utf8('another')) }] }),
      'ERR_MAILBOX_LOST',
    ),
    'loss-lower-last': loss('the holder went back', pageAt(later, { after: 0, upTo: 4, last: 4, entries: entriesOf(4) }), 'ERR_MAILBOX_LOST'),
  }
}

async function deposits(): Promise<Vectors> {
  const subject = { holder: holder.did, recipient: owner.did, itemHash, expiresAt: storedUntil }
  const nonce = await doWork(subject, 12)
  const request = { ask: 'deposit', recipient: owner.did, item, expiresAt: storedUntil, delegation: undefined, nonce: undefined } as const
  const deposit = (
    comment: string,
    spec: string,
    expect: string,
    changed: Partial<Extract<MailboxRequest, { ask: 'deposit' }>>,
    more: Partial<Vector> = {},
  ): Vector => ({
    comment,
    spec,
    expect,
    kind: 'mailbox-deposit',
    request: encodeRequest({ ...request, ...changed }),
    peer: depositor.publicKey,
    holder: holder.publicKey,
    registration: registration.bytes,
    owner: owner.publicKey,
    bits: 12,
    now,
    ...more,
  })
  const delegation = grant.bytes
  return {
    'deposit-delegated': deposit('with a delegation of the recipient', '4.1', 'ok', { delegation }),
    'deposit-worked': deposit('by a stranger who did the work', '4', 'ok', { nonce }),
    'deposit-without-right': deposit('neither delegation nor work', '4.2', 'ERR_MAILBOX_GRANT', {}),
    'deposit-too-little-work': deposit('the nonce of another item', '4.2', 'ERR_MAILBOX_WORK', { item: utf8('another letter'), nonce }),
    'deposit-work-for-another-time': deposit('work for another time', '4.2', 'ERR_MAILBOX_WORK', { expiresAt: storedUntil - 1, nonce }),
    'deposit-delegation-of-another': deposit(
      'a delegation made for somebody else',
      '4.1',
      'ERR_STATEMENT_AUDIENCE',
      { delegation },
      { peer: holder.publicKey },
    ),
    'deposit-for-nobody': deposit('the recipient is not registered', '3.1', 'ERR_MAILBOX_UNKNOWN', { recipient: depositor.did, delegation }),
    'deposit-after-registration': deposit(
      'the registration has ended',
      '2.3',
      'ERR_MAILBOX_UNKNOWN',
      { delegation },
      { now: now + 30 * dayMs + 2 * minuteMs + 1 },
    ),
    'deposit-empty': deposit('an item of no bytes', '3.1', 'ERR_WIRE_MALFORMED', { item: new Uint8Array(), delegation }),
    'deposit-past': deposit('an item past its time', '3.1', 'ERR_STATEMENT_EXPIRED', { expiresAt: now, delegation }),
    'deposit-too-long': deposit('beyond seven days and two minutes', '3.1', 'ERR_STATEMENT_LIFETIME', {
      expiresAt: now + 7 * dayMs + 2 * minuteMs + 1,
      delegation,
    }),
    work: {
      comment: 'twelve bits of work',
      spec: '4',
      expect: 'ok',
      kind: 'mailbox-work',
      holder: holder.publicKey,
      recipient: owner.publicKey,
      itemHash,
      expiresAt: storedUntil,
      nonce,
      bits: 12,
    },
    'work-other-holder': {
      comment: 'the same nonce at another holder',
      spec: '4',
      expect: 'ERR_MAILBOX_WORK',
      kind: 'mailbox-work',
      holder: depositor.publicKey,
      recipient: owner.publicKey,
      itemHash,
      expiresAt: storedUntil,
      nonce,
      bits: 12,
    },
  }
}

async function frames(): Promise<Vectors> {
  const bundle = (await fixedPrekeys(owner, 71)).bundle.bytes
  const requests: Readonly<Record<string, MailboxRequest>> = {
    terms: { ask: 'terms', recipient: owner.did },
    register: { ask: 'register', registration: registration.bytes },
    collect: { ask: 'collect', after: 5 },
    acknowledge: { ask: 'acknowledge', seqs: [4, 5] },
    leave: { ask: 'leave' },
    usage: { ask: 'usage' },
    introduce: { ask: 'introduce', delegation: grant.bytes, holders: [{ holder: holder.did, addresses: ['/ip4/192.0.2.1/tcp/4160'] }], bundle },
  }
  const answers: Readonly<Record<string, MailboxAnswer>> = {
    refusal: { answer: 'refusal', code: 'ERR_MAILBOX_FULL', message: 'the mailbox is full', retryAfterMs: 600_000 },
    terms: { answer: 'terms', bits: 16 },
    acceptance: { answer: 'acceptance', acceptance: acceptance.bytes },
    receipt: { answer: 'receipt', receipt: receipt.bytes },
    item: { answer: 'item', seq: 5, item },
    page: { answer: 'page', page: page.bytes },
    done: { answer: 'done' },
    usage: { answer: 'usage', items: 2, bytes: 30, itemsMax: 100, bytesMax: 65_536, until: now + 30 * dayMs },
  }
  const frame = (direction: 'request' | 'answer', name: string, bytes: Uint8Array, more: Partial<Vector> = {}): Vector => ({
    comment: `${direction} ${name}`,
    spec: '1',
    expect: 'ok',
    kind: 'mailbox-frame',
    direction,
    frame: bytes,
    list: decode(bytes, 1 << 20),
    ...more,
  })
  const bad = (comment: string, direction: 'request' | 'answer', value: Parameters<typeof encode>[0]): Vector => ({
    comment,
    spec: '1.1',
    expect: 'ERR_WIRE_MALFORMED',
    kind: 'mailbox-frame',
    direction,
    frame: encode(value),
  })
  return {
    ...Object.fromEntries(Object.entries(requests).map(([name, request]) => [`request-${name}`, frame('request', name, encodeRequest(request))])),
    ...Object.fromEntries(Object.entries(answers).map(([name, answer]) => [`answer-${name}`, frame('answer', name, encodeAnswer(answer))])),
    'request-unknown': bad('a request of no name', 'request', [8]),
    'request-long-item': bad('an item over 256 KiB', 'request', [2, owner.publicKey, new Uint8Array(262_145), storedUntil, null, null]),
    'request-short-nonce': bad('a nonce of 7 bytes', 'request', [2, owner.publicKey, item, storedUntil, null, new Uint8Array(7)]),
    'request-many-acknowledged': bad('257 numbers', 'request', [4, Array.from({ length: 257 }, (_, index) => index)]),
    'request-five-holders': bad('five holders', 'request', [7, null, Array.from({ length: 5 }, () => [holder.publicKey, []]), bundle]),
    'answer-wide-bits': bad('256 bits of work', 'answer', [1, 256]),
  }
}

export async function mailboxVectors(): Promise<Vectors> {
  return { ...statements(), ...losses(), ...(await deposits()), ...(await frames()) }
}
