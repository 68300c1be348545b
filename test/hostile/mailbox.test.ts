import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMailboxHolder } from '../../src/agents/index.ts'
import { createSeededRandom, createVirtualClock, hourMs, realClock, realRandom, silentLogger, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import type { Host, HostStream, StreamHandler } from '../../src/net/index.ts'
import { createPickup } from '../../src/agents/pickup.ts'
import {
  encodeAnswer,
  encodeRequest,
  type MailboxAnswer,
  mailboxProtocol,
  type MailboxRequest,
  decodeAnswer,
  decodeRequest,
} from '../../src/protocols/mailbox/codec.ts'
import { doWork, openReceipt, serveMailbox, signDepositGrant, signPage, signRegistration, withHolder } from '../../src/protocols/mailbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { codeOf, createRawPeer, keyringOf, type RawPeer } from '../helpers/raw-peer.ts'
import { createStreamPair } from '../helpers/stream-pair.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 10_000 : 1_000_000
const [host, owner, friend] = [keyringOf(1), keyringOf(2), keyringOf(3)]
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const never = new AbortController().signal
const item = utf8('letter')

/** A holder behind the protocol, without a network. */
async function createServed({ bytes = 1 << 20 } = {}) {
  const clock = createVirtualClock()
  const random = createSeededRandom(3)
  const holder = await openMailboxHolder({ store: createMemoryStore(), keyring: host, clock, random, logger: silentLogger, limits: { workBits: 4 } })
  let handler: StreamHandler | undefined
  const fake: Pick<Host, 'handle'> = { handle: (_protocol, _options, handle) => (handler = handle) }
  serveMailbox({ host: fake as Host, clock, logger: silentLogger, handlers: { ...holder, introduce: async () => undefined } })
  const signing = { keyring: owner, random, now: clock.now() }
  const register = (): Promise<Uint8Array> => holder.register(owner.did, signRegistration(host.did, { items: 100, bytes }, hourMs, signing).bytes)
  await register()
  const delegation = signDepositGrant(friend.did, {}, signing).bytes
  const deposit = (content: Uint8Array): MailboxRequest => ({
    ask: 'deposit',
    recipient: owner.did,
    item: content,
    expiresAt: clock.now() + hourMs,
    delegation,
    nonce: undefined,
  })
  return {
    clock,
    holder,
    register,
    delegation,
    deposit,
    serve: async (stream: HostStream) => await handler?.(stream),
  }
}

describe('many malformed frames', () => {
  test('to a holder: each is refused or answered, ends its stream at most, and stores nothing that was not allowed', async () => {
    const { serve, deposit, holder, register, clock, delegation } = await createServed()
    const random = createSeededRandom(1)
    const samples = (
      [
        deposit(item),
        { ask: 'terms', recipient: owner.did },
        { ask: 'register', registration: delegation },
        { ask: 'collect', after: 0 },
        { ask: 'acknowledge', seqs: [1, 2, 3] },
        { ask: 'leave' },
        { ask: 'usage' },
        { ask: 'introduce', delegation, holders: [{ holder: host.did, addresses: ['/ip4/127.0.0.1/tcp/1'] }], bundle: delegation },
      ] satisfies MailboxRequest[]
    ).map((request) => encodeRequest(request))
    const codes = new Map<string, number>()
    for (let count = 0; count < inputs; count++) {
      // By turns a stranger, somebody who may deposit, and the owner.
      const [own, peer] = createStreamPair(host.did, [keyringOf(9), friend, owner][count % 3]?.did ?? owner.did)
      await peer.send(fuzzed(samples, random))
      const done = serve(own)
      await nextTurn()
      await peer.close()
      await done
      for (const frame of own.sent) {
        const answer = decodeAnswer(frame)
        const code = answer.answer === 'refusal' ? answer.code : answer.answer
        codes.set(code, (codes.get(code) ?? 0) + 1)
      }
    }
    expect([...codes.keys()].filter((code) => code === 'ERR_INTERNAL')).toEqual([])
    expect(codes.get('ERR_WIRE_MALFORMED') ?? 0).toBeGreaterThan(inputs / 2)
    // What got in is what the friend may leave: a quarter of the mailbox.
    expect(holder.status().items).toBeLessThanOrEqual(25)
    // The owner may have left by chance.
    await register()
    const receipt = await holder.deposit(friend.did, { ...(deposit(utf8('honest')) as Extract<MailboxRequest, { ask: 'deposit' }>), delegation })
    expect(openReceipt(receipt, { from: host.did, to: owner.did, now: clock.now() }).bytes).toBe(6)
  })

  test('to one who asks: each is a coded error', async () => {
    const random = createSeededRandom(2)
    const page = signPage(owner.did, { after: 0, upTo: 1, last: 1, entries: [] }, { keyring: host, random, now: 1 }).bytes
    const samples = (
      [
        { answer: 'terms', bits: 16 },
        { answer: 'receipt', receipt: page },
        { answer: 'item', seq: 1, item },
        { answer: 'page', page },
        { answer: 'done' },
        { answer: 'usage', items: 1, bytes: 1, itemsMax: 1, bytesMax: 1, until: 1 },
        { answer: 'refusal', code: 'ERR_MAILBOX_FULL', message: 'full', retryAfterMs: 5 },
      ] satisfies MailboxAnswer[]
    ).map((answer) => encodeAnswer(answer))
    const pickup = createPickup({ self: owner.did, clock: createVirtualClock(), logger: silentLogger, receiveStored: async () => 'taken' })
    const codes = new Set<string>()
    for (let count = 0; count < inputs; count++) {
      const [own, peer] = createStreamPair(owner.did, host.did)
      const fake = { open: async () => own } as unknown as Host
      await peer.send(fuzzed(samples, random))
      const asking = codeOf(withHolder(fake, host.did, { signal: never }, (session) => pickup.collect(host.did, session)))
      await nextTurn()
      await peer.close()
      codes.add(await asking)
    }
    expect([...codes].filter((code) => !/^ERR_(?!INTERNAL)/.test(code))).toEqual([])
    expect(codes.size).toBeGreaterThan(3)
  })

  test('decode to what encodes to the same bytes, or to a coded error', () => {
    const random = createSeededRandom(4)
    const samples = [
      encodeRequest({ ask: 'collect', after: 7 }),
      encodeRequest({ ask: 'acknowledge', seqs: [1] }),
      encodeAnswer({ answer: 'item', seq: 3, item }),
    ]
    for (let count = 0; count < inputs; count++) {
      const bytes = fuzzed(samples, random)
      for (const again of [() => encodeRequest(decodeRequest(bytes)), () => encodeAnswer(decodeAnswer(bytes))]) {
        try {
          expect(again()).toEqual(bytes)
        } catch (error) {
          expect((error as { readonly code?: string }).code).toMatch(/^ERR_WIRE_/)
        }
      }
    }
  })
})

test('a peer that does not read its mail is cut off after 15 s; until then one item of it is in memory', async () => {
  const { serve, clock, holder, deposit } = await createServed({ bytes: 64 << 20 })
  const { delegation, ...request } = deposit(item) as Extract<MailboxRequest, { ask: 'deposit' }>
  for (let count = 0; count < 10; count++) {
    await holder.deposit(friend.did, { ...request, delegation, item: new Uint8Array(100_000).fill(count) })
  }
  const [own, peer] = createStreamPair(host.did, owner.did)
  own.stuck = true
  await peer.send(encodeRequest({ ask: 'collect', after: 0 }))
  const done = serve(own)
  await clock.advance(14_999)
  expect(own.sent).toHaveLength(1)
  await clock.advance(2)
  await expect(
    peer.frames[Symbol.asyncIterator]()
      .next()
      .then(() => peer.send(item)),
  ).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
  void done
})

test('a stream on which nothing is asked is closed after a minute', async () => {
  const { serve, clock } = await createServed()
  const [own, peer] = createStreamPair(host.did, owner.did)
  const done = serve(own)
  await clock.advance(60_001)
  await done
  await expect(peer.send(item)).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
})

describe('a holder on the network', () => {
  let stop: () => Promise<void>
  let mallory: RawPeer
  let anna: RawPeer
  let holderDid: RawPeer['keyring']['did']
  let status: () => { readonly items: number; readonly recipients: number }

  beforeAll(async () => {
    const [hosting, recipient, attacker] = await Promise.all([createRawPeer(41), createRawPeer(42), createRawPeer(43)])
    const holder = await openMailboxHolder({
      store: createMemoryStore(),
      keyring: hosting.keyring,
      clock: realClock,
      random: realRandom,
      logger: silentLogger,
      limits: { workBits: 8, strangerItems: 4 },
    })
    serveMailbox({ host: hosting.host, clock: realClock, logger: silentLogger, handlers: { ...holder, introduce: async () => undefined } })
    ;[anna, mallory, holderDid, status] = [recipient, attacker, hosting.keyring.did, holder.status]
    await Promise.all([anna, mallory].map((peer) => peer.host.dial({ addresses: hosting.host.addresses() })))
    const signing = { keyring: anna.keyring, random: realRandom, now: realClock.now() }
    const registration = signRegistration(holderDid, { items: 100, bytes: 1 << 20 }, hourMs, signing)
    await withHolder(anna.host, holderDid, { signal: never }, (session) => session.register(registration.bytes))
    stop = async () => {
      holder.stop()
      await Promise.all([hosting, recipient, attacker].map((peer) => peer[Symbol.asyncDispose]()))
    }
  })
  afterAll(() => stop())

  interface Attack {
    readonly content?: Uint8Array
    readonly delegation?: Uint8Array | undefined
    readonly nonce?: Uint8Array | undefined
    readonly expiresAt?: number
  }
  const expiresAt = realClock.now() + hourMs
  const attack = (fields: Attack, peer = mallory): Promise<string> =>
    codeOf(
      withHolder(peer.host, holderDid, { signal: never }, (session) =>
        session.deposit({ recipient: anna.keyring.did, item: fields.content ?? item, expiresAt, delegation: undefined, nonce: undefined, ...fields }),
      ),
    )
  const subject = (content = item) => ({ holder: holderDid, recipient: anna.keyring.did, itemHash: sha256(content), expiresAt })

  test('takes nothing without a right, with little work, with the work of another, or with a delegation that is not the depositor’s', async () => {
    expect(await attack({})).toBe('ERR_MAILBOX_GRANT')
    let weak: Uint8Array = new Uint8Array(8)
    while ((await attack({ nonce: weak })) === 'ok') weak = realRandom.bytes(8)
    expect(await attack({ nonce: await doWork({ ...subject(), holder: anna.keyring.did }, 8) })).toBe('ERR_MAILBOX_WORK')
    const signing = { keyring: anna.keyring, random: realRandom, now: realClock.now() }
    const foreign = signDepositGrant(keyringOf(7).did, {}, signing).bytes
    expect(await attack({ delegation: foreign })).toBe('ERR_STATEMENT_AUDIENCE')
    const selfMade = signDepositGrant(mallory.keyring.did, {}, { ...signing, keyring: mallory.keyring }).bytes
    expect(await attack({ delegation: selfMade })).toBe('ERR_STATEMENT_SENDER')
    expect(status().items).toBe(0)
  })

  test('refuses an item over 256 KiB in its form and a frame over its limit by its length, and serves on', async () => {
    const huge = new Uint8Array(262_145)
    const stream = await mallory.host.open(holderDid, mailboxProtocol, { frameBytesMax: 1 << 20 })
    await stream.send(encodeRequest({ ask: 'terms', recipient: anna.keyring.did }))
    // As the codec would write it, were the item a byte smaller.
    const frame = encodeRequest({ ask: 'deposit', recipient: anna.keyring.did, item: huge.subarray(1), expiresAt, delegation: undefined, nonce: undefined })
    const at = frame.indexOf(0x5a)
    const grown = Uint8Array.from([...frame.subarray(0, at), 0x5a, 0, 4, 0, 1, 0, ...frame.subarray(at + 5)])
    await stream.send(grown)
    const answers: MailboxAnswer[] = []
    for await (const bytes of stream.frames) answers.push(decodeAnswer(bytes))
    expect(answers).toMatchObject([{ answer: 'terms' }, { answer: 'refusal', code: 'ERR_WIRE_MALFORMED' }])

    const wide = await mallory.host.open(holderDid, mailboxProtocol, { frameBytesMax: 1 << 20 })
    const refused = wide.send(new Uint8Array(300_000)).then(() => wide.frames[Symbol.asyncIterator]().next())
    expect(await codeOf(refused)).toBe('ERR_NET_CLOSED')
    expect(await attack({ nonce: await doWork(subject(), 8) })).toBe('ok')
  })

  test('lets a stranger in up to its quota and no further, and nobody read, empty or close another’s mailbox', async () => {
    const outcomes: string[] = []
    for (let count = 0; count < 5; count++) {
      const content = utf8(`flood ${count}`)
      outcomes.push(await attack({ content, nonce: await doWork(subject(content), 10) }))
    }
    expect(outcomes).toEqual(['ok', 'ok', 'ok', 'ERR_MAILBOX_FULL', 'ERR_MAILBOX_FULL'])
    const [all] = [status().items]
    await withHolder(mallory.host, holderDid, { signal: never }, async (session) => {
      expect(await codeOf(session.collect(0).next())).toBe('ERR_MAILBOX_UNKNOWN')
      expect(await codeOf(session.acknowledge([1, 2, 3, 4, 5]))).toBe('ERR_MAILBOX_UNKNOWN')
      expect(await codeOf(session.leave())).toBe('ERR_MAILBOX_UNKNOWN')
      expect(await codeOf(session.usage())).toBe('ERR_MAILBOX_UNKNOWN')
    })
    expect(status().items).toBe(all)
    // The owner reads and empties it.
    const taken: Uint8Array[] = []
    const pickup = createPickup({
      self: anna.keyring.did,
      clock: realClock,
      logger: silentLogger,
      receiveStored: async (sealed) => {
        taken.push(sealed)
        return 'taken'
      },
    })
    const got = await withHolder(anna.host, holderDid, { signal: never }, (session) => pickup.collect(holderDid, session))
    expect(got).toEqual({ taken: 4, known: 0, refused: 0, left: 0 })
    expect(status().items).toBe(0)
  })

  test('does not register somebody by the word of another', async () => {
    const signing = { keyring: keyringOf(7), random: realRandom, now: realClock.now() }
    const carried = signRegistration(holderDid, { items: 1, bytes: 1 }, hourMs, signing).bytes
    expect(await codeOf(withHolder(mallory.host, holderDid, { signal: never }, (session) => session.register(carried)))).toBe('ERR_STATEMENT_SENDER')
    expect(status().recipients).toBe(1)
  })
})
