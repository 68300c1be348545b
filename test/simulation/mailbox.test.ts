import { describe, expect, test } from 'vitest'
import { createPickup } from '../../src/agents/pickup.ts'
import { createSeededRandom, createVirtualClock, dayMs, hex, hourMs, keyFromDid, minuteMs, silentLogger, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { signDepositGrant, signPage, withHolder } from '../../src/protocols/mailbox/index.ts'
import { createMemoryStore, del, type MemoryStore, put } from '../../src/store/index.ts'
import { acquaint, createStreet, type Street } from '../helpers/mailbox.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

test('what a sender left at two holders reaches the recipient once, in order, though the sender is gone and one holder died', async () => {
  await using street = createStreet()
  const [first, second, sender] = [await street.move(1, { serve: {} }), await street.move(2, { serve: {} }), await street.move(3)]
  const recipient = await street.move(4)
  await acquaint(street, [first, second, sender, recipient])
  await street.run(recipient.doors.add(first.did))
  await street.run(recipient.doors.add(second.did))
  recipient.leaveWorld()

  const texts = Array.from({ length: 10 }, (_, index) => `letter ${index}`)
  for (const text of texts) {
    const receipts = await street.run(sender.post(recipient, text))
    expect(receipts.map(({ holder }) => holder).sort()).toEqual([first.did, second.did].sort())
  }
  sender.leaveWorld()
  first.leaveWorld()

  const back = await street.move(4, { store: recipient.store })
  await acquaint(street, [second, back])
  await street.run(back.doors.collect())
  expect(back.taken).toEqual(texts)
  // The dead holder returns: its copies are known and are forgotten there too.
  const firstAgain = await street.move(1, { serve: {}, store: first.store })
  await acquaint(street, [firstAgain, back])
  expect(await street.run(back.doors.collect())).toEqual({ taken: 0, known: 10, refused: 0, left: 0 })
  expect(back.taken).toEqual(texts)
  expect(back.opened).toBe(10)
  expect([firstAgain.doors.status()?.items, second.doors.status()?.items]).toEqual([0, 0])
})

describe('a recipient', () => {
  test('names its holders in a bundle made at once, four at most, and names those it left no more', async () => {
    await using street = createStreet()
    const holders = await Promise.all([1, 2, 3, 4, 5].map((seed) => street.move(seed, { serve: {} })))
    const recipient = await street.move(6)
    await acquaint(street, [...holders, recipient])
    const before = (await recipient.prekeys.current()).bundle
    expect(before.mailboxes).toEqual([])
    for (const { did } of holders.slice(0, 4)) await street.run(recipient.doors.add(did))
    const { bundle } = await recipient.prekeys.current()
    expect([...bundle.mailboxes].sort()).toEqual(
      holders
        .slice(0, 4)
        .map(({ did }) => did)
        .sort(),
    )
    expect(bundle.seq).toBeGreaterThan(before.seq)
    const [first, fifth] = [holders[0]?.did ?? recipient.did, holders[4]?.did ?? recipient.did]
    expect(await street.run(codeOf(recipient.doors.add(fifth)))).toBe('ERR_USAGE')
    expect(await street.run(recipient.doors.remove(first))).toEqual({ did: first, left: true })
    expect((await recipient.prekeys.current()).bundle.mailboxes).not.toContain(first)
    expect(await street.run(codeOf(recipient.doors.remove(first)))).toBe('ERR_NOT_FOUND')
    // After a restart the newest bundle still names them, and they are still known.
    recipient.leaveWorld()
    const back = await street.move(6, { store: recipient.store })
    expect((await back.prekeys.current()).bundle.mailboxes).toHaveLength(3)
    expect((await street.run(back.doors.list())).map(({ status }) => status)).toEqual(['ready', 'ready', 'ready'])
  })

  test('fetches what came while it was off, at start and every ten minutes, without being told to', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    await street.run(sender.post(recipient, 'one'))
    await street.clock.advance(11 * minuteMs)
    expect(recipient.taken).toEqual(['one'])
    recipient.leaveWorld()
    await street.run(sender.post(recipient, 'two'))
    const back = await street.move(4, { store: recipient.store })
    await acquaint(street, [holder, back])
    await street.clock.advance(minuteMs)
    expect([...back.taken].sort()).toEqual(['two'])
    expect(holder.doors.status()?.items).toBe(0)
  })

  test('leaves with the holder what it cannot take now, and has the holder forget what it refuses for good', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    for (const text of ['good', 'bad', 'later']) await street.run(sender.post(recipient, text))
    recipient.judge = (text) => (text === 'bad' ? 'refuse' : text === 'later' ? 'throw' : 'take')
    expect(await street.run(recipient.doors.collect())).toEqual({ taken: 1, known: 0, refused: 1, left: 1 })
    expect(holder.doors.status()?.items).toBe(1)
    recipient.judge = () => 'take'
    expect(await street.run(recipient.doors.collect())).toEqual({ taken: 1, known: 0, refused: 0, left: 0 })
    expect(recipient.taken).toEqual(['good', 'later'])
    expect(holder.doors.status()?.items).toBe(0)
  })

  test('that loses power between taking and acknowledging takes nothing twice', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    for (const text of ['one', 'two', 'three']) await street.run(sender.post(recipient, text))
    recipient.judge = (text) => {
      if (text === 'two') recipient.leaveWorld()
      return 'take'
    }
    await street.run(recipient.doors.collect())
    expect(holder.doors.status()?.items).toBe(3)
    const back = await street.move(4, { store: recipient.store })
    // What a replay guard remembers.
    back.taken.push(...recipient.taken)
    await acquaint(street, [holder, back])
    const { taken, known, left } = await street.run(back.doors.collect())
    expect(left).toBe(0)
    expect(taken + known).toBe(3)
    expect([...back.taken].sort()).toEqual(['one', 'three', 'two'])
    expect(holder.doors.status()?.items).toBe(0)
  })

  test('follows a holder to its next key, and has there what was left under the old one', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    await street.run(sender.post(recipient, 'by the old key'))
    holder.leaveWorld()
    const next = await street.move(11, { serve: {}, store: await mailboxesOf(holder.store) })
    street.successors.set(holder.did, next.did)
    await acquaint(street, [next, sender, recipient])
    expect(await street.run(recipient.doors.collect())).toEqual({ taken: 1, known: 0, refused: 0, left: 0 })
    expect((await recipient.prekeys.current()).bundle.mailboxes).toEqual([next.did])
    expect(await street.run(recipient.doors.list())).toMatchObject([{ did: next.did, status: 'ready', missed: 0, problem: undefined }])
    expect(await street.run(sender.post(recipient, 'by the new key'))).toMatchObject([{ holder: next.did, seq: 2 }])
  })

  test('that has rotated itself registers anew under its own next key', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    recipient.leaveWorld()
    const next = await street.move(12, { store: await mailboxesOf(recipient.store) })
    await acquaint(street, [holder, sender, next])
    await street.run(next.doors.collect())
    expect(await street.run(codeOf(sender.post(next, 'to the new key')))).toBe('ok')
    await street.run(next.doors.collect())
    expect(next.taken).toEqual(['to the new key'])
  })

  test('renews its registration at half of its time', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    const [before] = await street.run(recipient.doors.list())
    street.clock.jump(16 * dayMs)
    await street.clock.advance(11 * minuteMs)
    const [after] = await street.run(recipient.doors.list())
    expect((after?.until ?? 0) - (before?.until ?? 0)).toBeGreaterThan(14 * dayMs)
    street.clock.jump(20 * dayMs)
    await street.clock.advance(11 * minuteMs)
    expect(await street.run(codeOf(sender.post(recipient, 'still here')))).toBe('ok')
    expect(holder.doors.status()?.recipients).toBe(1)
  })
})

describe('a holder that fails its owner', () => {
  test('by losing its disk is told, is registered with again, and a sender’s receipt proves what is lost', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    await street.run(sender.post(recipient, 'read'))
    await street.run(recipient.doors.collect())
    const [receipt] = await street.run(sender.post(recipient, 'gone'))
    holder.leaveWorld()
    const empty = await street.move(1, { serve: {} })
    await acquaint(street, [empty, sender, recipient])
    await street.run(recipient.doors.collect())
    expect(await street.run(recipient.doors.list())).toMatchObject([{ status: 'ready', problem: 'ERR_MAILBOX_LOST' }])
    expect(await street.run(recipient.doors.check(receipt?.signed.bytes ?? new Uint8Array()))).toMatchObject({ holder: holder.did, seq: 2, verdict: 'lost' })
    expect(await street.run(codeOf(sender.post(recipient, 'new')))).toBe('ok')
    await street.run(recipient.doors.collect())
    expect(recipient.taken).toEqual(['read', 'new'])
  })

  test('by dropping one item among others shows it in its own pages', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    const receipts = []
    for (const text of ['one', 'two', 'three']) receipts.push(...(await street.run(sender.post(recipient, text))))
    // The holder’s own hand: item 2 is taken out of its store.
    const owner = hex(keyFromDid(recipient.did))
    const place = `${owner}/${'2'.padStart(16, '0')}`
    holder.leaveWorld()
    await holder.store
      .sub('mailbox')
      .sub('held')
      .durable([del(`meta/${place}`), del(`item/${place}`)])
    const again = await street.move(1, { serve: {}, store: holder.store })
    await acquaint(street, [again, recipient])
    await street.run(recipient.doors.collect())
    expect(recipient.taken).toEqual(['one', 'three'])
    expect(await street.run(recipient.doors.list())).toMatchObject([{ missed: 1 }])
    const verdicts = []
    for (const receipt of receipts) verdicts.push((await street.run(recipient.doors.check(receipt.signed.bytes))).verdict)
    expect(verdicts).toEqual(['delivered', 'lost', 'delivered'])
    expect(await street.run(recipient.doors.list())).toMatchObject([{ problem: 'ERR_MAILBOX_LOST' }])
  })

  test('is not accused of what was past its time', async () => {
    await using street = createStreet()
    const { sender, recipient } = await createThree(street)
    recipient.leaveWorld()
    const [receipt] = await street.run(sender.post(recipient, 'too late'))
    await street.clock.advance(2 * hourMs)
    const back = await street.move(4, { store: recipient.store })
    await street.run(back.doors.collect())
    expect(await street.run(back.doors.list())).toMatchObject([{ missed: 1, problem: undefined }])
    expect(await street.run(back.doors.check(receipt?.signed.bytes ?? new Uint8Array()))).toMatchObject({ verdict: 'expired' })
  })

  test('by sending another page than it signed is not acknowledged to', async () => {
    const [holder, owner] = [keyringOf(1), keyringOf(2)]
    const signing = { keyring: holder, random: createSeededRandom(1), now: 1_000 }
    const acknowledged: number[] = []
    const item = utf8('letter')
    const cases = [
      { entries: [{ seq: 1, itemHash: sha256(item) }], upTo: 1, last: 1, code: 'ok' },
      { entries: [{ seq: 1, itemHash: sha256(utf8('another')) }], upTo: 1, last: 1, code: 'ERR_PROTOCOL' },
      { entries: [{ seq: 2, itemHash: sha256(item) }], upTo: 2, last: 2, code: 'ERR_PROTOCOL' },
      { entries: [], upTo: 1, last: 1, code: 'ERR_PROTOCOL' },
    ]
    for (const { entries, upTo, last, code } of cases) {
      acknowledged.length = 0
      const clock = createVirtualClock({ start: 1_000 })
      const pickup = createPickup({ self: owner.did, clock, logger: silentLogger, receiveStored: async () => 'taken' })
      const session = {
        async *collect() {
          yield { seq: 1, item }
          return signPage(owner.did, { after: 0, upTo, last, entries }, signing).bytes
        },
        acknowledge: async (seqs: readonly number[]) => void acknowledged.push(...seqs),
      }
      expect(await codeOf(pickup.collect(holder.did, session))).toBe(code)
      expect(acknowledged).toEqual(code === 'ok' ? [1] : [])
    }
  })
})

describe('a sender', () => {
  test('whom the recipient knows needs no work; a stranger does, and gives up where too much is asked', async () => {
    await using street = createStreet()
    const holder = await street.move(1, { serve: { workBits: 25 } })
    const [friend, stranger] = [await street.move(2), await street.move(3)]
    const recipient = await street.move(4, { knows: [friend.did] })
    await acquaint(street, [holder, friend, stranger, recipient])
    await street.run(recipient.doors.add(holder.did))
    for (const { did } of [friend, stranger]) recipient.mailboxes.met(did)
    await street.clock.advance(5_000)
    recipient.leaveWorld()
    expect(await street.run(codeOf(friend.post(recipient, 'hello again')))).toBe('ok')
    expect(await street.run(codeOf(stranger.post(recipient, 'hello')))).toBe('ERR_MAILBOX_WORK')
    // The right survives a restart of the friend, and ends after 30 days.
    friend.leaveWorld()
    const again = await street.move(2, { store: friend.store })
    await acquaint(street, [holder, again])
    expect(await street.run(codeOf(again.post(recipient, 'still me')))).toBe('ok')
  })

  test('finds holders it was told of though the bundle it has names none yet', async () => {
    await using street = createStreet()
    const [holder, sender, recipient] = [await street.move(1, { serve: {} }), await street.move(3), await street.move(4)]
    await acquaint(street, [holder, recipient])
    await acquaint(street, [sender, recipient])
    const { bundle } = await recipient.prekeys.current()
    const old = { recipient: bundle, sealed: utf8('by an old bundle'), expiresAt: street.clock.now() + hourMs }
    expect(await street.run(codeOf(sender.mailboxes.deposit(old)))).toBe('ERR_MAILBOX_NONE')
    await street.run(sender.host.dial(recipient.did))
    await street.run(recipient.doors.add(holder.did))
    await street.clock.advance(5_000)
    recipient.leaveWorld()
    expect(sender.learned.get(recipient.did)?.mailboxes).toEqual([holder.did])
    // It never met the holder: the address came with the introduction.
    expect(await street.run(sender.mailboxes.deposit(old))).toMatchObject([{ holder: holder.did, seq: 1 }])
  })

  test('gets the receipts of those that took it, and the reason when none did', async () => {
    await using street = createStreet()
    const [first, second] = [await street.move(1, { serve: {} }), await street.move(2, { serve: {} })]
    const [sender, recipient] = [await street.move(3), await street.move(4)]
    await acquaint(street, [first, second, sender, recipient])
    for (const { did } of [first, second]) await street.run(recipient.doors.add(did))
    first.leaveWorld()
    expect((await street.run(sender.post(recipient, 'one'))).map(({ holder }) => holder)).toEqual([second.did])
    // The next need not wait for the one that was not reached, until it is tried again.
    const before = street.clock.monotonic()
    await street.run(sender.post(recipient, 'at once'))
    expect(street.clock.monotonic() - before).toBeLessThan(5_000)
    const firstAgain = await street.move(1, { serve: {}, store: first.store })
    await acquaint(street, [firstAgain, sender])
    await street.clock.advance(31_000)
    expect(await street.run(sender.post(recipient, 'to both again'))).toHaveLength(2)
    firstAgain.leaveWorld()
    second.leaveWorld()
    expect(await street.run(codeOf(sender.post(recipient, 'two')))).toMatch(/^ERR_(NET|TIMEOUT)/)
    const { bundle } = await recipient.prekeys.current()
    const large = sender.mailboxes.deposit({ recipient: bundle, sealed: new Uint8Array(262_145), expiresAt: street.clock.now() + hourMs })
    expect(await codeOf(large)).toBe('ERR_WIRE_TOO_LARGE')
  })

  test('leaves forty items at once, each stored once, in a mailbox that takes them', async () => {
    await using street = createStreet()
    const { holder, sender, recipient } = await createThree(street)
    const texts = Array.from({ length: 40 }, (_, index) => `letter ${index}`)
    await street.run(Promise.all(texts.flatMap((text) => [sender.post(recipient, text), sender.post(recipient, text)])))
    expect(holder.doors.status()?.items).toBe(40)
    await street.run(recipient.doors.collect())
    expect([...recipient.taken].sort()).toEqual([...texts].sort())
  })

  test('that is itself the holder of the recipient’s mail keeps it without a network', async () => {
    await using street = createStreet()
    const [sender, recipient] = [await street.move(1, { serve: {} }), await street.move(4)]
    await acquaint(street, [sender, recipient])
    await street.run(recipient.doors.add(sender.did))
    expect(await street.run(sender.post(recipient, 'under my own roof'))).toMatchObject([{ holder: sender.did }])
    await street.run(recipient.doors.collect())
    expect(recipient.taken).toEqual(['under my own roof'])
  })

  test('cannot be handed a delegation by somebody it is not from', async () => {
    await using street = createStreet()
    const [sender, mallory, recipient] = [await street.move(1), await street.move(2), await street.move(3)]
    await acquaint(street, [sender, mallory, recipient])
    const signing = { keyring: recipient.keyring, random: createSeededRandom(1), now: street.clock.now() }
    const bundle = (await mallory.prekeys.current()).bundle.bytes
    const forMallory = signDepositGrant(mallory.did, {}, signing).bytes
    const forSender = signDepositGrant(sender.did, {}, signing).bytes
    const introduce = (delegation: Uint8Array): Promise<string> =>
      codeOf(
        withHolder(mallory.host, sender.did, { signal: new AbortController().signal }, (session) => session.introduce({ delegation, holders: [], bundle })),
      )
    expect(await street.run(introduce(forMallory))).toBe('ERR_STATEMENT_SENDER')
    expect(await street.run(introduce(forSender))).toBe('ERR_STATEMENT_SENDER')
    const codes = []
    for (let count = 0; count < 12; count++) codes.push(await street.run(introduce(forSender)))
    expect(codes.at(-1)).toBe('ERR_OVERLOADED')
  })
})

/** A holder, a sender and a recipient registered there, who all know each other. */
async function createThree(street: Street) {
  const [holder, sender, recipient] = [await street.move(1, { serve: {} }), await street.move(3), await street.move(4)]
  await acquaint(street, [holder, sender, recipient])
  await street.run(recipient.doors.add(holder.did))
  return { holder, sender, recipient }
}

/** What a disk holds of mailboxes, for the same node under another key. */
async function mailboxesOf(disk: MemoryStore): Promise<MemoryStore> {
  const store = createMemoryStore()
  for await (const [key, value] of disk.sub('mailbox').range({})) await store.sub('mailbox').durable([put(key, value)])
  return store
}
