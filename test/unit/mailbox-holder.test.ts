import { describe, expect, test } from 'vitest'
import { type HolderLimits, openMailboxHolder } from '../../src/agents/mailbox-holder.ts'
import { createSeededRandom, createVirtualClock, dayMs, type Did, hourMs, minuteMs, silentLogger, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import type { Keyring } from '../../src/identity/index.ts'
import {
  doWork,
  isWorkDone,
  type MailboxPage,
  openAcceptance,
  openPage,
  openReceipt,
  openRegistration,
  signDepositGrant,
  signRegistration,
} from '../../src/protocols/mailbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const [host, owner, friend, stranger] = [keyringOf(1), keyringOf(2), keyringOf(3), keyringOf(4)]

async function createStage(limits: Partial<HolderLimits> = {}, { registered = true, mayRegister = (_peer: Did): boolean => true } = {}) {
  const clock = createVirtualClock()
  const random = createSeededRandom(9)
  const changes: string[] = []
  const holder = await openMailboxHolder({
    store: createMemoryStore(),
    keyring: host,
    clock,
    random,
    logger: silentLogger,
    limits: { workBits: 4, ...limits },
    mayRegister,
    onChange: (change) => changes.push(change),
  })
  const signing = (keyring: Keyring) => ({ keyring, random, now: clock.now() })
  const register = (keyring = owner, { items = 1_000, bytes = 1 << 20, lifetimeMs = 30 * dayMs } = {}): Promise<Uint8Array> =>
    holder.register(keyring.did, signRegistration(host.did, { items, bytes }, lifetimeMs, signing(keyring)).bytes)
  if (registered) await register()
  const end = (): number => clock.now() + hourMs
  const grant = (fields: Parameters<typeof signDepositGrant>[1] = {}, to = friend, from = owner): Uint8Array =>
    signDepositGrant(to.did, fields, signing(from)).bytes
  interface Fields {
    readonly text?: string
    readonly from?: Keyring
    readonly delegation?: Uint8Array | undefined
    readonly nonce?: Uint8Array | undefined
    readonly expiresAt?: number
    readonly to?: Keyring
  }
  const deposit = ({ text = 'letter', from = friend, delegation, nonce, expiresAt = end(), to = owner }: Fields): Promise<Uint8Array> =>
    holder.deposit(from.did, { recipient: to.did, item: utf8(text), expiresAt, delegation, nonce })
  const work = async (text: string, { bits, expiresAt = end() }: { readonly bits?: number; readonly expiresAt?: number } = {}): Promise<Uint8Array> =>
    await doWork({ holder: host.did, recipient: owner.did, itemHash: sha256(utf8(text)), expiresAt }, bits ?? holder.terms(stranger.did, owner.did).bits)
  const asStranger = async (text: string, from = stranger): Promise<Uint8Array> => await deposit({ text, from, nonce: await work(text) })
  async function collect(after = 0): Promise<{ readonly texts: readonly string[]; readonly page: MailboxPage }> {
    const texts: string[] = []
    for await (const part of holder.collect(owner.did, after)) {
      if ('page' in part) return { texts, page: openPage(part.page, { from: host.did, to: owner.did, now: clock.now() }) }
      texts.push(new TextDecoder().decode(part.item))
    }
    throw new Error('no page')
  }
  return { clock, holder, changes, signing, register, end, grant, deposit, work, asStranger, collect }
}
const open = (bytes: Uint8Array, now: number) => openReceipt(bytes, { from: host.did, to: owner.did, now })

describe('registration', () => {
  test('is answered with the quota granted, never more than the holder gives', async () => {
    const { register, clock, changes } = await createStage({ itemsPerRecipient: 10, bytesPerRecipient: 1_000 }, { registered: false })
    const acceptance = openAcceptance(await register(owner, { items: 5, bytes: 9_999 }), { from: host.did, to: owner.did, now: clock.now() })
    expect(acceptance).toMatchObject({ items: 5, bytes: 1_000, itemBytesMax: 262_144, ttlMsMax: 7 * dayMs, lastSeq: 0, until: clock.now() + 30 * dayMs })
    await register(owner, { items: 7 })
    expect(changes).toEqual(['opened'])
  })

  test('of a peer is brought by nobody else, is for this holder, and lives 30 days at most', async () => {
    const { holder, signing, clock } = await createStage({}, { registered: false })
    const registration = signRegistration(host.did, { items: 1, bytes: 1 }, dayMs, signing(owner))
    expect(await codeOf(holder.register(friend.did, registration.bytes))).toBe('ERR_STATEMENT_SENDER')
    const elsewhere = signRegistration(friend.did, { items: 1, bytes: 1 }, dayMs, signing(owner))
    expect(await codeOf(holder.register(owner.did, elsewhere.bytes))).toBe('ERR_STATEMENT_AUDIENCE')
    const long = signRegistration(host.did, { items: 1, bytes: 1 }, 30 * dayMs + 1, signing(owner))
    expect(await codeOf(holder.register(owner.did, long.bytes))).toBe('ERR_STATEMENT_LIFETIME')
    const flipped = registration.bytes.slice()
    flipped[20] = (flipped[20] ?? 0) ^ 1
    expect(await codeOf(holder.register(owner.did, flipped))).toBe('ERR_STATEMENT_SIGNATURE')
    expect(openRegistration(registration.bytes, { from: owner.did, to: host.did, now: clock.now() }).items).toBe(1)
    expect(holder.status().recipients).toBe(0)
  })

  test('older than the one known is refused', async () => {
    const { holder, signing, register, clock } = await createStage()
    const old = signRegistration(host.did, { items: 1, bytes: 1 }, dayMs, signing(owner))
    await clock.advance(1_000)
    await register()
    expect(await codeOf(holder.register(owner.did, old.bytes))).toBe('ERR_REPLAYED')
  })

  test('is refused when the table is full, and by the operator’s word', async () => {
    const { register } = await createStage({ recipients: 1 })
    expect(await codeOf(register(friend))).toBe('ERR_MAILBOX_FULL')
    expect(await codeOf(register())).toBe('ok')
    const closed = await createStage({}, { registered: false, mayRegister: (peer) => peer !== owner.did })
    expect(await codeOf(closed.register())).toBe('ERR_POLICY_DENIED')
    expect(await codeOf(closed.register(friend))).toBe('ok')
  })

  test('too often is refused', async () => {
    const { register } = await createStage()
    const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf(register())))
    expect(codes.filter((code) => code === 'ERR_OVERLOADED')).toHaveLength(1)
  })

  test('that ended, or was left, takes nothing more and gives out what is there', async () => {
    const { deposit, grant, clock, holder, collect, register, changes } = await createStage()
    await deposit({ delegation: grant() })
    await holder.leave(owner.did)
    expect(await codeOf(deposit({ text: 'late', delegation: grant() }))).toBe('ERR_MAILBOX_UNKNOWN')
    expect((await collect()).texts).toEqual(['letter'])
    await register()
    expect(await codeOf(deposit({ text: 'again', delegation: grant(), expiresAt: clock.now() + 7 * dayMs }))).toBe('ok')
    expect(changes).toEqual(['opened', 'left', 'opened'])
    clock.jump(30 * dayMs + 3 * minuteMs)
    expect(await codeOf(deposit({ text: 'later', delegation: grant() }))).toBe('ERR_MAILBOX_UNKNOWN')
  })
})

describe('a deposit', () => {
  test('is answered with a receipt about holder, recipient, item and time', async () => {
    const { deposit, grant, clock, end } = await createStage()
    const receipt = open(await deposit({ delegation: grant() }), clock.now())
    expect(receipt).toMatchObject({ holder: host.did, recipient: owner.did, itemHash: sha256(utf8('letter')), bytes: 6, seq: 1, storedUntil: end() })
  })

  test('of the same item has the same receipt and takes no more room, whoever brings it and how often', async () => {
    const { deposit, grant, asStranger, holder } = await createStage()
    const delegation = grant()
    const receipts = await Promise.all(Array.from({ length: 5 }, () => deposit({ delegation })))
    receipts.push(await asStranger('letter'))
    expect(new Set(receipts.map((bytes) => bytes.join())).size).toBe(1)
    expect(holder.status()).toMatchObject({ items: 1, bytes: 6 })
  })

  test('without any right is refused', async () => {
    const { deposit, holder } = await createStage()
    expect(await codeOf(deposit({}))).toBe('ERR_MAILBOX_GRANT')
    expect(holder.status().items).toBe(0)
  })

  type Stage = Awaited<ReturnType<typeof createStage>>
  test.each([
    ['for somebody else', (stage: Stage) => stage.grant({}, stranger), 'ERR_STATEMENT_AUDIENCE'],
    ['by somebody else', (stage: Stage) => stage.grant({}, friend, stranger), 'ERR_STATEMENT_SENDER'],
    ['too long', (stage: Stage) => stage.grant({ lifetimeMs: 31 * dayMs }), 'ERR_STATEMENT_LIFETIME'],
    ['of no form', () => utf8('please'), 'ERR_WIRE_MALFORMED'],
  ] as const)('with a delegation %s is refused', async (_what, make, code) => {
    const stage = await createStage()
    expect(await codeOf(stage.deposit({ delegation: make(stage) }))).toBe(code)
  })

  test('with a delegation past its time is refused', async () => {
    const { deposit, grant, clock } = await createStage()
    const delegation = grant({ lifetimeMs: hourMs })
    await clock.advance(hourMs + 3 * minuteMs)
    expect(await codeOf(deposit({ delegation }))).toBe('ERR_STATEMENT_EXPIRED')
  })

  test('for somebody unknown here, empty, past its time or beyond seven days is refused', async () => {
    const { deposit, grant, clock } = await createStage()
    const delegation = grant()
    expect(await codeOf(deposit({ delegation, to: stranger }))).toBe('ERR_MAILBOX_UNKNOWN')
    expect(await codeOf(deposit({ delegation, text: '' }))).toBe('ERR_WIRE_MALFORMED')
    expect(await codeOf(deposit({ delegation, expiresAt: clock.now() }))).toBe('ERR_STATEMENT_EXPIRED')
    expect(await codeOf(deposit({ delegation, expiresAt: clock.now() + 7 * dayMs + 2 * minuteMs + 1 }))).toBe('ERR_STATEMENT_LIFETIME')
    expect(await codeOf(deposit({ delegation, expiresAt: clock.now() + 7 * dayMs }))).toBe('ok')
  })
})

describe('work', () => {
  test('is for one holder, recipient, item and time', async () => {
    const subject = { holder: host.did, recipient: owner.did, itemHash: sha256(utf8('letter')), expiresAt: 5 }
    const nonce = await doWork(subject, 12)
    expect(isWorkDone(subject, nonce, 12)).toBe(true)
    for (const other of [{ holder: friend.did }, { recipient: friend.did }, { itemHash: sha256(utf8('other')) }, { expiresAt: 6 }]) {
      expect(isWorkDone({ ...subject, ...other }, nonce, 12)).toBe(false)
    }
    expect(isWorkDone(subject, nonce, 40)).toBe(false)
    expect(isWorkDone(subject, nonce.subarray(1), 0)).toBe(false)
  })

  test('beyond 24 bits is not done, and stops when it is told to', async () => {
    const subject = { holder: host.did, recipient: owner.did, itemHash: sha256(utf8('letter')), expiresAt: 5 }
    expect(await codeOf(doWork(subject, 25))).toBe('ERR_MAILBOX_WORK')
    const controller = new AbortController()
    const working = doWork(subject, 24, { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(working).rejects.toThrow('enough')
  })

  test('that is missing or too little is refused before anything is stored', async () => {
    const { deposit, work, holder } = await createStage({ workBits: 10 })
    const nonce = await work('another')
    expect(await codeOf(deposit({ from: stranger, nonce }))).toBe('ERR_MAILBOX_WORK')
    expect(holder.status().items).toBe(0)
    expect(await codeOf(deposit({ from: stranger, nonce: await work('letter') }))).toBe('ok')
  })

  test('grows as the strangers’ part of the mailbox fills, and not by what friends leave', async () => {
    const { register, asStranger, deposit, grant, holder } = await createStage()
    await register(owner, { items: 32, bytes: 1 << 20 })
    const bits = (): number => holder.terms(stranger.did, owner.did).bits
    const delegation = grant()
    for (let count = 0; count < 8; count++) await deposit({ text: `friend ${count}`, delegation })
    expect(bits()).toBe(4)
    const seen = [bits()]
    for (let count = 0; count < 15; count++) {
      await asStranger(`stranger ${count}`)
      seen.push(bits())
    }
    expect(seen).toEqual([4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11])
  })
})

describe('quotas', () => {
  test('one stranger fills his own part only, all strangers half of the mailbox, and a friend still gets in', async () => {
    const { register, asStranger, deposit, grant } = await createStage({ strangerItems: 3 })
    await register(owner, { items: 10, bytes: 1 << 20 })
    for (let count = 0; count < 3; count++) await asStranger(`a ${count}`)
    expect(await codeOf(asStranger('a 3'))).toBe('ERR_MAILBOX_FULL')
    const other = keyringOf(5)
    for (let count = 0; count < 2; count++) await asStranger(`b ${count}`, other)
    expect(await codeOf(asStranger('b 2', other))).toBe('ERR_MAILBOX_FULL')
    expect(await codeOf(deposit({ delegation: grant() }))).toBe('ok')
  })

  test('a friend fills a quarter of the mailbox, or what the delegation says', async () => {
    const { register, deposit, grant } = await createStage()
    await register(owner, { items: 8, bytes: 1 << 20 })
    const delegation = grant()
    for (let count = 0; count < 2; count++) expect(await codeOf(deposit({ text: `${count}`, delegation }))).toBe('ok')
    expect(await codeOf(deposit({ text: '2', delegation }))).toBe('ERR_MAILBOX_FULL')
    const few = grant({ items: 1, bytes: 3 }, stranger)
    expect(await codeOf(deposit({ from: stranger, text: 'long', delegation: few }))).toBe('ERR_MAILBOX_FULL')
    expect(await codeOf(deposit({ from: stranger, text: 'sho', delegation: few }))).toBe('ok')
    expect(await codeOf(deposit({ from: stranger, text: 'o', delegation: few }))).toBe('ERR_MAILBOX_FULL')
  })

  test('a full mailbox or holder says when to come again, and takes again once the owner has acknowledged', async () => {
    const { deposit, grant, holder, register } = await createStage({ items: 1 })
    const delegation = grant()
    await deposit({ delegation })
    await expect(deposit({ text: 'next', delegation })).rejects.toMatchObject({ code: 'ERR_MAILBOX_FULL', details: { retryAfterMs: 600_000 } })
    await holder.acknowledge(owner.did, [1])
    expect(await codeOf(deposit({ text: 'next', delegation }))).toBe('ok')
    await register(friend, { items: 1 })
    expect(await codeOf(deposit({ text: 'elsewhere', to: friend, delegation: grant({}, friend, friend) }))).toBe('ERR_MAILBOX_FULL')
  })

  test('what is past its time makes room', async () => {
    const { deposit, grant, holder, clock } = await createStage({ items: 1 })
    await deposit({ delegation: grant() })
    await clock.advance(hourMs + 11 * minuteMs)
    expect(holder.status().items).toBe(0)
    expect(await codeOf(deposit({ text: 'next', delegation: grant() }))).toBe('ok')
  })
})

describe('a pick-up', () => {
  test('pages through everything in order, and the pages say so', async () => {
    const { deposit, grant, register, collect } = await createStage()
    await register(owner, { items: 1_000, bytes: 1 << 20 })
    const delegation = grant()
    for (let count = 0; count < 150; count++) await deposit({ text: `letter ${count}`, delegation })
    const texts: string[] = []
    let after = 0
    for (let pages = 1; ; pages++) {
      const { texts: some, page } = await collect(after)
      texts.push(...some)
      expect(page).toMatchObject({ after, last: 150 })
      expect(page.entries).toHaveLength(some.length)
      after = page.upTo
      if (page.upTo === page.last) {
        expect(pages).toBe(3)
        break
      }
    }
    expect(texts).toEqual(Array.from({ length: 150 }, (_, count) => `letter ${count}`))
  })

  test('sends no second item of a page over 1 MiB', async () => {
    const { deposit, grant, register, collect } = await createStage()
    await register(owner, { items: 100, bytes: 64 << 20 })
    const delegation = grant()
    for (const letter of 'abcdefghij') await deposit({ text: letter.repeat(200 * 1_024), delegation })
    const { texts, page } = await collect()
    expect([texts.length, page.upTo, page.last]).toEqual([5, 5, 10])
    expect((await collect(page.upTo)).texts).toHaveLength(5)
  })

  test('repeats what was not acknowledged, leaves out what was, and goes on numbering', async () => {
    const { deposit, grant, holder, collect } = await createStage()
    const delegation = grant()
    for (const text of ['one', 'two', 'three']) await deposit({ text, delegation })
    await holder.acknowledge(owner.did, [2, 77])
    const { texts, page } = await collect()
    expect(texts).toEqual(['one', 'three'])
    expect(page).toMatchObject({ upTo: 3, last: 3, entries: [{ seq: 1 }, { seq: 3 }] })
    await holder.acknowledge(owner.did, [1, 3])
    expect(await collect()).toMatchObject({ texts: [], page: { upTo: 3, last: 3, entries: [] } })
    await deposit({ text: 'four', delegation })
    expect((await collect()).page.entries).toMatchObject([{ seq: 4 }])
  })

  test('from beyond the last number is refused', async () => {
    const { collect } = await createStage()
    expect(await codeOf(collect(1))).toBe('ERR_PROTOCOL')
  })

  test('is for the registered only', async () => {
    const { holder } = await createStage()
    const first = holder.collect(stranger.did, 0)[Symbol.asyncIterator]().next()
    expect(await codeOf(first)).toBe('ERR_MAILBOX_UNKNOWN')
    expect(await codeOf(holder.acknowledge(stranger.did, [1]))).toBe('ERR_MAILBOX_UNKNOWN')
    expect(() => holder.usage(stranger.did)).toThrow(expect.objectContaining({ code: 'ERR_MAILBOX_UNKNOWN' }))
  })
})
