import { describe, expect, test } from 'vitest'
import { type MailboxHolder, openMailboxHolder } from '../../src/agents/index.ts'
import { createSeededRandom, createVirtualClock, dayMs, fromUtf8, minuteMs, randomInt, silentLogger, utf8 } from '../../src/base/index.ts'
import { openPage, openReceipt, signDepositGrant, signRegistration, type StorageReceipt } from '../../src/protocols/mailbox/index.ts'
import { showsLoss } from '../../src/protocols/mailbox/statements.ts'
import { createFaultyDisk, type FaultyDisk } from '../helpers/mesh-faults.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const [host, owner, friend] = [keyringOf(1), keyringOf(2), keyringOf(3)]
const hows = ['fail', 'fail-late', 'cut-before', 'cut-after'] as const

/** A holder on a disk that fails when told to, and everything that was promised about it. */
async function createStage() {
  const clock = createVirtualClock()
  const random = createSeededRandom(5)
  const disk: FaultyDisk = createFaultyDisk()
  const start = (): Promise<MailboxHolder> => openMailboxHolder({ store: disk.store.sub('held'), keyring: host, clock, random, logger: silentLogger })
  let holder = await start()
  const signing = () => ({ keyring: owner, random, now: clock.now() })
  const delegation = signDepositGrant(friend.did, {}, signing()).bytes
  const expiresAt = clock.now() + dayMs
  const receipts: StorageReceipt[] = []
  const acknowledged = new Set<number>()
  const register = async (): Promise<void> => {
    await holder.register(owner.did, signRegistration(host.did, { items: 1_000, bytes: 1 << 20 }, 30 * dayMs, signing()).bytes)
  }
  return {
    disk,
    receipts,
    register,
    /** Deposits, and notes the receipt when there is one. */
    async deposit(text: string): Promise<StorageReceipt> {
      const bytes = await holder.deposit(friend.did, { recipient: owner.did, item: utf8(text), expiresAt, delegation, nonce: undefined })
      const receipt = openReceipt(bytes, { from: host.did, to: owner.did, now: clock.now() })
      receipts.push(receipt)
      return receipt
    },
    async acknowledge(seqs: readonly number[]): Promise<void> {
      for (const seq of seqs) acknowledged.add(seq)
      await holder.acknowledge(owner.did, seqs)
    },
    async restart(): Promise<void> {
      disk.repair()
      disk.store.crash()
      holder.stop()
      await clock.advance(minuteMs)
      holder = await start()
    },
    /** Everything receipted and not acknowledged is there, under its number; nothing is there twice; no page accuses the holder. */
    async check(): Promise<readonly string[]> {
      const texts: string[] = []
      for (let after = 0; ;) {
        const got = new Map<number, string>()
        let page: ReturnType<typeof openPage> | undefined
        for await (const part of holder.collect(owner.did, after)) {
          if ('page' in part) page = openPage(part.page, { from: host.did, to: owner.did, now: clock.now() })
          else got.set(part.seq, fromUtf8(part.item))
        }
        if (page === undefined) throw new Error('no page')
        expect(page.entries.map(({ seq }) => seq)).toEqual([...got.keys()])
        texts.push(...got.values())
        for (const receipt of receipts) if (!acknowledged.has(receipt.seq)) expect(showsLoss(receipt, page)).toBe(false)
        if (page.upTo >= page.last) break
        after = page.upTo
      }
      expect(new Set(texts).size).toBe(texts.length)
      const usage = holder.usage(owner.did)
      expect(usage.items).toBe(texts.length)
      const owed = receipts.filter(({ seq }) => !acknowledged.has(seq))
      expect(texts.length).toBeGreaterThanOrEqual(new Set(owed.map(({ seq }) => seq)).size)
      return texts
    },
  }
}
const settle = async <T>(attempt: Promise<T>): Promise<T | undefined> => await attempt.catch(() => undefined)

describe.each(hows)('a holder, %s at each of its writes', (how) => {
  test('has every item it gave a receipt for, gives the same receipt again, and takes once what it had not', async () => {
    let strikes = 0
    for (let write = 1; write <= 5; write++) {
      const stage = await createStage()
      await stage.register()
      await stage.deposit('before')
      stage.disk.arm(write, how)
      const texts = ['one', 'two', 'three', 'four']
      const told = new Map<string, StorageReceipt>()
      // Two at once, so that a write fails with another behind it.
      await Promise.all(texts.slice(0, 2).map(async (text) => await settle(stage.deposit(text).then((receipt) => told.set(text, receipt)))))
      for (const text of texts.slice(2)) await settle(stage.deposit(text).then((receipt) => told.set(text, receipt)))
      if (stage.disk.struck) strikes++
      await stage.restart()
      const kept = await stage.check()
      for (const text of told.keys()) expect(kept).toContain(text)
      for (const text of texts) {
        const again = await stage.deposit(text)
        const first = told.get(text)
        if (first !== undefined) expect([again.seq, again.signed.ref]).toEqual([first.seq, first.signed.ref])
      }
      expect([...(await stage.check())].sort()).toEqual(['before', 'four', 'one', 'three', 'two'])
      expect(new Set(stage.receipts.map(({ seq, itemHash }) => `${seq} ${itemHash.join()}`)).size).toBe(5)
    }
    expect(strikes).toBeGreaterThanOrEqual(3)
  })

  test('loses nothing to an acknowledgement but what was acknowledged', async () => {
    const stage = await createStage()
    await stage.register()
    for (const text of ['one', 'two', 'three']) await stage.deposit(text)
    stage.disk.arm(1, how)
    await settle(stage.acknowledge([2]))
    expect(stage.disk.struck).toBe(true)
    await stage.restart()
    const kept = await stage.check()
    expect(kept).toEqual(expect.arrayContaining(['one', 'three']))
    await stage.acknowledge([2])
    expect(await stage.check()).toEqual(['one', 'three'])
    await stage.restart()
    expect(await stage.check()).toEqual(['one', 'three'])
    expect((await stage.deposit('four')).seq).toBe(4)
  })

  test('keeps the registration it had, or has the new one', async () => {
    const stage = await createStage()
    await stage.register()
    await stage.deposit('one')
    stage.disk.arm(1, how)
    await settle(stage.register())
    await stage.restart()
    expect(await stage.check()).toEqual(['one'])
    expect((await stage.deposit('two')).seq).toBe(2)
  })
})

test('100 lives of random deposits, acknowledgements and power cuts: no receipted item is lost, none is there twice', async () => {
  const random = createSeededRandom(77)
  const stage = await createStage()
  await stage.register()
  let count = 0
  for (let life = 0; life < 100; life++) {
    const how = hows[randomInt(random, hows.length)] ?? 'fail'
    stage.disk.arm(1 + randomInt(random, 8), how)
    const acts = Array.from({ length: 6 }, async () => {
      const receipt = stage.receipts[randomInt(random, Math.max(1, stage.receipts.length))]
      if (random.fraction() < 0.3 && receipt !== undefined) await settle(stage.acknowledge([receipt.seq]))
      else await settle(stage.deposit(`letter ${count++ % 40} of ${Math.floor(count / 40)}`))
    })
    await Promise.all(acts)
    await stage.restart()
    await stage.check()
    if (life % 10 === 9) await stage.acknowledge(stage.receipts.map(({ seq }) => seq))
  }
  expect(count).toBeGreaterThan(200)
})
