import { beforeEach, describe, expect, test, vi } from 'vitest'
import { createSeededRandom, createVirtualClock, dayMs, fromUtf8, hex, MeshError, minuteMs, utf8, type VirtualClock } from '../../src/base/index.ts'
import { hkdfExpand, hkdfExtract, x25519 } from '../../src/crypto/index.ts'
import { openBox, openSessions } from '../../src/envelope/index.ts'
import { openContent, packContent } from '../../src/envelope/content.ts'
import { sealModes } from '../../src/envelope/modes.ts'
import { unsealBox, beginBox } from '../../src/envelope/box.ts'
import { decodeSessionFrame, initiate, newKeyPair, openFrame, type Ratchet, respond, sealFrame, skippedPerChainMax } from '../../src/envelope/ratchet.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { attempt } from '../helpers/vectors.ts'
import { copyOf, createSide, entriesOf, flush, read, recordsOf, restart, say, seal, type Side, tell, weekMs } from '../helpers/sessions.ts'

const hmacs = vi.hoisted(() => ({ count: 0 }))
vi.mock('../../src/crypto/hash.ts', async (original) => {
  const real: typeof import('../../src/crypto/hash.ts') = await original()
  return {
    ...real,
    hmacSha256(...args: Parameters<typeof real.hmacSha256>) {
      hmacs.count++
      return real.hmacSha256(...args)
    },
  }
})

let clock: VirtualClock
let anna: Side
let ben: Side
beforeEach(async () => {
  clock = createVirtualClock()
  anna = await createSide({ name: 'anna', seed: 1, clock })
  ben = await createSide({ name: 'ben', seed: 2, clock })
})

/** Words both ways until both have healed and send on what came of it. */
async function talk(rounds = 4): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    expect(await tell(anna, ben, `round ${round}`)).toBe(`round ${round}`)
    expect(await tell(ben, anna, `answer ${round}`)).toBe(`answer ${round}`)
  }
}
/** Somebody with a copy of all that a side keeps, its keys, and any clock he likes. */
async function thiefOf(side: Side, { store, now = clock.now() }: { readonly store?: MemoryStore; readonly now?: number } = {}): Promise<Side> {
  await flush(side)
  const thief = await createSide({
    name: 'thief',
    seed: 0,
    clock: createVirtualClock({ start: now }),
    keyring: side.keyring,
    store: store ?? (await copyOf(side.store)),
  })
  return thief
}
/** What a captured frame says to somebody who tries every way there is. */
function plunder(thief: Side, bytes: Uint8Array): string {
  const said = read(thief, { bytes })
  if (!said.startsWith('ERR_')) return said
  try {
    return `box of ${openBox(bytes, thief.prekeys).length} bytes`
  } catch {
    return said
  }
}

describe('captured keys', () => {
  test('the long-term key and the full state of today open no frame of yesterday', async () => {
    const wire: { readonly to: Side; readonly bytes: Uint8Array; readonly text: string }[] = []
    async function carry(from: Side, to: Side, text: string): Promise<void> {
      const { bytes } = await seal(from, to, text)
      wire.push({ to, bytes, text })
      expect(read(to, { bytes })).toBe(text)
    }
    await carry(anna, ben, 'first')
    for (let turn = 0; turn < 40; turn++) await (turn % 3 === 0 ? carry(ben, anna, `ben ${turn}`) : carry(anna, ben, `anna ${turn}`))
    // What is left of the first exchange goes with the next: one more of each side's own.
    await clock.advance(dayMs)
    await carry(anna, ben, 'good morning')
    await carry(ben, anna, 'you too')

    for (const side of [anna, ben]) {
      const thief = await thiefOf(side)
      const opened = wire.filter(({ bytes }) => !plunder(thief, bytes).startsWith('ERR_')).map(({ text }) => text)
      // The box, and nothing behind it, as long as the private half of its prekey is kept.
      expect(opened, side.name).toEqual(side === ben ? ['first'] : [])
    }
  })

  test('the window of a first message: what the kept prekey gives, and for how long', async () => {
    const first = await seal(anna, ben, 'first')
    const second = await seal(anna, ben, 'second, before an answer')
    for (const sealed of [first, second]) read(ben, sealed)
    const answer = await seal(ben, anna, 'the answer')
    read(anna, answer)
    const third = await seal(anna, ben, 'after the answer')
    read(ben, third)
    await flush(ben)

    /** With the kept prekey and no session: boxes open, and what the first of them opened is derived anew. */
    async function loot(now: number): Promise<string[]> {
      const thief = await thiefOf(ben, { now })
      const fresh = await openSessions({ store: createMemoryStore(), keyring: thief.keyring, prekeys: thief.prekeys, clock: thief.clock, random: thief.random })
      return [first, second, third].map(({ bytes }) => plunder({ ...thief, sessions: fresh }, bytes))
    }
    /** The answer with it, as long as the pair it was sealed under is the newest of its session in Ben's state. */
    async function lootAnswer(now: number): Promise<string> {
      const thief = await thiefOf(ben, { now })
      const frame = decodeSessionFrame(answer.bytes)
      const record = (await recordsOf(ben)).find(({ own }) => hex(own.public) === hex(frame.dh))
      const [box, own] = [attempt(() => unsealBox(first.bytes, thief.prekeys)), record?.own.secret]
      const offer = box && openContent(box.content, { now, lifetimeMsMax: weekMs }).offer
      if (box === undefined || offer === undefined || own === undefined) return 'nothing'
      const { ratchetSecret: secret, bundle } = box.own
      const secrets = { suite: box.suite, secret: box.exportSecret(utf8('klp/1/session')), initiator: anna.keyring.publicKey, responder: ben.keyring.publicKey }
      const { root } = respond({ ...secrets, own: { secret, public: bundle.ratchet }, offered: offer.dh })
      const chain = hkdfExpand(hkdfExtract(root, x25519(own, offer.dh)), utf8('klp/1/session root'), 64).subarray(32)
      const { content } = openFrame(
        { ...structuredClone(record), suite: 1, peer: frame.dh, sending: undefined, receiving: { key: chain, n: 0 } } as Ratchet,
        frame,
        () => undefined,
      )
      return openContent(content, { now, lifetimeMsMax: weekMs })
        .items.map((item) => (item instanceof MeshError ? item.code : fromUtf8(item.statement.payload)))
        .join()
    }
    const start = clock.now()
    expect([...(await loot(start)), await lootAnswer(start)]).toEqual(['first', 'second, before an answer', 'ERR_SESSION_LOST', 'the answer'])
    // Prekeys change daily; the thief sets his clock as he likes, so only what is erased is safe.
    for (let day = 1; day <= 8; day++) {
      await clock.advance(dayMs)
      await ben.prekeys.current()
      expect((await loot(start))[0], `day ${day}`).toBe('first')
    }
    await clock.advance(1)
    await ben.prekeys.current()
    expect([...(await loot(start)), await lootAnswer(start)]).toEqual(['ERR_SEAL_PREKEY', 'ERR_SEAL_PREKEY', 'ERR_SESSION_LOST', 'nothing'])
  })

  test('a healed session locks out a thief of the old state, who until then hears all', async () => {
    await talk()
    for (const victim of [anna, ben]) {
      const other = victim === anna ? ben : anna
      const thief = await thiefOf(victim)
      // He follows the conversation of the side whose state he took, as long as nothing heals.
      const heard = await seal(other, victim, 'still the old session')
      expect(read(victim, heard)).toBe('still the old session')
      expect(read(thief, heard)).toBe('still the old session')

      // Both heal to prekeys he has not seen.
      await clock.advance(2 * dayMs)
      const healing = [await seal(victim, other, 'fresh secrets'), await seal(other, victim, 'fresh ones too')] as const
      expect([read(other, healing[0]), read(victim, healing[1])]).toEqual(['fresh secrets', 'fresh ones too'])
      read(thief, healing[1])
      for (let turn = 0; turn < 5; turn++) {
        const later = await seal(other, victim, `secret ${turn}`)
        expect(read(victim, later)).toBe(`secret ${turn}`)
        expect(plunder(thief, later.bytes)).toBe('ERR_SESSION_LOST')
        read(other, await seal(victim, other, `mine ${turn}`))
      }
    }
  })

  test('healed, nobody speaks on an older session again: not after a restart, not after a replay of what opened it', async () => {
    const first = await seal(anna, ben, 'first')
    read(ben, first)
    const thief = await thiefOf(anna)
    for (let heal = 0; heal < 6; heal++) {
      await clock.advance(dayMs + 1)
      await talk(2)
    }
    // The first session has fallen out; its box comes again, within its time and the prekey's.
    expect((await recordsOf(ben)).some(({ generation }) => generation === 1)).toBe(false)
    expect(read(ben, first)).toBe('first')
    expect((await recordsOf(ben)).some(({ generation }) => generation === 1)).toBe(true)
    await flush(ben)
    for (const again of [false, true]) {
      if (again) await restart(ben)
      const next = await seal(ben, anna, 'for anna alone')
      expect(plunder(thief, next.bytes)).toMatch(/^ERR_/)
      expect(read(anna, next)).toBe('for anna alone')
    }
    // Nor when the sessions above may not be sent on.
    ben.sessions.lost(anna.keyring.did)
    read(ben, first)
    expect((await seal(ben, anna, 'anew')).mode).toBe('box')
  })
})

describe('replays, a thousand of each kind', () => {
  const times = 1_000
  const refusals = (to: Side, bytes: Uint8Array): Set<string> => new Set(Array.from({ length: times }, () => read(to, { bytes })))

  test('a session frame, its session alive, restarted or gone', async () => {
    await talk()
    const frame = await seal(anna, ben, 'once')
    expect(read(ben, frame)).toBe('once')
    const before = await records(ben)
    expect(refusals(ben, frame.bytes)).toEqual(new Set(['ERR_SESSION_LOST']))
    await flush(ben)
    await restart(ben)
    expect(refusals(ben, frame.bytes)).toEqual(new Set(['ERR_SESSION_LOST']))
    expect(await records(ben)).toBe(before)
  })

  test('a late frame that a kept key opened', async () => {
    await talk()
    const [late, next] = [await seal(anna, ben, 'late'), await seal(anna, ben, 'next')]
    expect([read(ben, next), read(ben, late)]).toEqual(['next', 'late'])
    expect(refusals(ben, late.bytes)).toEqual(new Set(['ERR_SESSION_LOST']))
    await flush(ben)
    await restart(ben)
    expect(refusals(ben, late.bytes)).toEqual(new Set(['ERR_SESSION_LOST']))
  })

  test('a box opens again, its statements left to the replay guard, but opens no session twice', async () => {
    const box = await seal(anna, ben, 'first')
    expect(read(ben, box)).toBe('first')
    await talk()
    const before = await records(ben)
    expect(refusals(ben, box.bytes)).toEqual(new Set(['first']))
    expect(await records(ben)).toBe(before)
    expect(ben.sessions.count).toBeLessThanOrEqual(4)
    // Past the time of what it says it opens no session at all.
    await clock.advance(weekMs + 3 * minuteMs)
    const fresh = await openSessions({ store: createMemoryStore(), keyring: ben.keyring, prekeys: ben.prekeys, clock, random: ben.random })
    expect(read({ ...ben, sessions: fresh }, box)).toBe('ERR_STATEMENT_EXPIRED')
    expect(fresh.count).toBe(0)
  })

  test('a content put into another session, or into a box to another, is of nobody there', async () => {
    const carol = await createSide({ name: 'carol', seed: 3, clock })
    const box = await seal(anna, ben, 'for ben')
    const { content } = unsealBox(box.bytes, ben.prekeys)
    read(ben, box)
    await tell(ben, carol, 'hello')
    await tell(carol, ben, 'hello')

    // Ben passes on what Anna signed, offer and all, under a box of his own: Carol gets no session with Anna out of it.
    const { bundle } = await carol.prekeys.current()
    for (let count = 0; count < times; count++) {
      const passed = beginBox({ bundle, now: clock.now(), random: ben.random }).seal(content)
      const opened = carol.sessions.open(passed, { lifetimeMsMax: weekMs })
      if (count % 100 === 0) expect([opened.from, opened.ops]).toEqual([anna.keyring.did, []])
    }
    expect(carol.sessions.has(anna.keyring.did)).toBe(false)

    // And in a frame of the session he has with her.
    const evil = await createEvil(ben, carol)
    expect(read(carol, evil.box)).toBe('hello')
    const count = carol.sessions.count
    for (let again = 0; again < times; again++) expect(read(carol, evil.frame(content))).toBe('ERR_STATEMENT_SENDER')
    expect(carol.sessions.count).toBe(count)
  })

  test('statements of somebody else in a session, a member of a batch alone, a batch in another order, an offer of another', async () => {
    const evil = await createEvil(anna, ben)
    expect(read(ben, evil.box)).toBe('hello')
    const items = ['a', 'b', 'c'].map((text) => say(anna, ben, text))
    const batch = contentOf(packContent(items, undefined, anna.keyring))
    const carol = await createSide({ name: 'carol', seed: 3, clock })
    const before = await records(ben)
    const [first, second, third] = batch.items
    const offer = [new Uint8Array(32).fill(9), 7, null]
    const attempts: Readonly<Record<string, Plain>> = {
      'a member alone': [1, null, batch.signature, [first as Plain]],
      'another order': [1, null, batch.signature, [second as Plain, first as Plain, third as Plain]],
      'one left out': [1, null, batch.signature, [first as Plain, second as Plain]],
      'one twice': [1, null, batch.signature, [first as Plain, first as Plain, second as Plain, third as Plain]],
      'an offer beside it': [1, offer, batch.signature, batch.items],
      'two authors': [1, null, batch.signature, [first as Plain, ['message', say(carol, ben, 'mine').body]]],
    }
    for (const [name, content] of Object.entries(attempts)) {
      const codes = new Set<string>()
      for (let count = 0; count < times / 5; count++) codes.add(read(ben, evil.frame(encode(content))))
      expect([...codes], name).toEqual(['ERR_STATEMENT_SIGNATURE'])
    }
    expect(read(ben, evil.frame(packContent([say(carol, ben, 'mine')], undefined, carol.keyring)))).toBe('ERR_STATEMENT_SENDER')
    const noHeal = packContent([say(anna, ben, 'x')], { dh: new Uint8Array(32).fill(9), generation: 9, heal: undefined }, anna.keyring)
    expect(read(ben, evil.frame(noHeal))).toBe('ERR_WIRE_MALFORMED')
    const badOffer = { dh: new Uint8Array(32), generation: 9, heal: { kid: (await ben.prekeys.current()).bundle.kid, enc: new Uint8Array(1_120).fill(1) } }
    expect(read(ben, evil.frame(packContent([say(anna, ben, 'x')], badOffer, anna.keyring)))).toBe('ERR_CRYPTO_INPUT')
    expect(await records(ben)).toBe(before)
    // None of it has taken a key: what Anna says next opens.
    expect(read(ben, evil.frame(packContent([say(anna, ben, 'and on')], undefined, anna.keyring)))).toBe('and on')
  })
})

interface Content {
  readonly signature: Uint8Array
  readonly items: Plain[]
}
function contentOf(bytes: Uint8Array): Content {
  const [, , signature, items] = decode(bytes, bytes.length) as [number, Plain, Uint8Array, Plain[]]
  return { signature, items }
}
/** A side that keeps to no rule: a session opened by hand, and frames of any content, each under the same key as long as none opens. */
async function createEvil(from: Side, to: Side, { generation = 1 } = {}) {
  const { bundle } = await to.prekeys.current()
  const own = newKeyPair(from.random)
  const boxed = beginBox({ bundle, now: clock.now(), random: from.random })
  const secrets = { suite: 1, secret: boxed.exportSecret(utf8('klp/1/session')), initiator: from.keyring.publicKey, responder: to.keyring.publicKey } as const
  const bytes = boxed.seal(packContent([say(from, to, 'hello')], { dh: own.public, generation, heal: undefined }, from.keyring))
  const ratchet = initiate({ ...secrets, own, peerRatchet: bundle.ratchet })
  return {
    box: { bytes },
    ratchet,
    frame: (content: Uint8Array) => ({ bytes: sealFrame({ ...ratchet, sending: ratchet.sending && { ...ratchet.sending } }, content, from.random) }),
  }
}

describe('forged frames', () => {
  test('every bit of every byte turned: refused, and nothing is changed', async () => {
    await talk()
    const skipped = await seal(anna, ben, 'skipped')
    read(ben, await seal(anna, ben, 'there'))
    const frame = await seal(anna, ben, 'a')
    const before = await records(ben)
    const codes = new Set<string>()
    for (const { bytes } of [frame, skipped]) {
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const forged = Uint8Array.from(bytes)
        forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        codes.add(read(ben, { bytes: forged }))
      }
    }
    expect([...codes].toSorted()).toEqual(['ERR_CRYPTO_INPUT', 'ERR_SEAL_SUITE', 'ERR_SESSION_LOST', 'ERR_WIRE_MALFORMED'].filter((code) => codes.has(code)))
    await flush(ben)
    expect(await records(ben)).toBe(before)
    expect([read(ben, frame), read(ben, skipped)]).toEqual(['a', 'skipped'])
  })

  test('the ratchet itself is the same, byte for byte, after a frame that does not open', async () => {
    const evil = await createEvil(anna, ben)
    read(ben, evil.box)
    const pair = newKeyPair(createSeededRandom(5))
    const [mine, theirs] = [newKeyPair(createSeededRandom(6)), newKeyPair(createSeededRandom(7))]
    const secrets = { suite: 1, secret: pair.secret, initiator: pair.public, responder: mine.public } as const
    const sender = initiate({ ...secrets, own: theirs, peerRatchet: mine.public })
    const receiver = respond({ ...secrets, own: mine, offered: theirs.public })
    const random = createSeededRandom(8)
    const bytes = sealFrame(sender, utf8('sound'), random)
    const before = structuredClone(receiver)
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Uint8Array.from(bytes)
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(() => openFrame(receiver, decodeSessionFrame(forged), () => undefined)).toThrow(MeshError)
      expect(receiver).toEqual(before)
    }
    expect(openFrame(receiver, decodeSessionFrame(bytes), () => undefined).content).toEqual(utf8('sound'))
    expect(receiver).toEqual(before)
  })

  test('a ratchet key of small order is refused', async () => {
    const evil = await createEvil(anna, ben)
    read(ben, evil.box)
    const zero = sealFrame(
      { ...evil.ratchet, sending: { key: new Uint8Array(32), n: 0 }, own: { secret: new Uint8Array(32), public: new Uint8Array(32) } },
      utf8('x'),
      anna.random,
    )
    expect(read(ben, { bytes: zero })).toBe('ERR_CRYPTO_INPUT')
    const { bundle } = await ben.prekeys.current()
    const offer = { dh: new Uint8Array(32), generation: 1, heal: undefined }
    const box = beginBox({ bundle, now: clock.now(), random: anna.random }).seal(packContent([say(anna, ben, 'x')], offer, anna.keyring))
    const count = ben.sessions.count
    expect(read(ben, { bytes: box })).toBe('ERR_CRYPTO_INPUT')
    expect(ben.sessions.count).toBe(count)
  })
})

describe('bounds', () => {
  const content = (from: Side, to: Side, text: string): Uint8Array => packContent([say(from, to, text)], undefined, from.keyring)
  /** A frame `ahead` places further on. */
  function skipTo(ratchet: Ratchet, ahead: number, random = anna.random): void {
    for (let count = 0; count < ahead; count++) sealFrame(ratchet, new Uint8Array(), random)
  }

  test('a frame may skip a thousand keys of a chain; one more is refused before any is computed', async () => {
    const evil = await createEvil(anna, ben)
    read(ben, evil.box)
    skipTo(evil.ratchet, skippedPerChainMax)
    const far = { bytes: sealFrame(evil.ratchet, content(anna, ben, 'a thousand on'), anna.random) }
    const further = structuredClone(evil.ratchet)
    hmacs.count = 0
    expect(read(ben, forgedHeader(far.bytes, { n: skippedPerChainMax + 1 }))).toBe('ERR_SESSION_LOST')
    expect(read(ben, forgedHeader(far.bytes, { n: 0xffff_ffff }))).toBe('ERR_SESSION_LOST')
    expect(read(ben, forgedHeader(far.bytes, { dh: new Uint8Array(32).fill(9), n: skippedPerChainMax + 1 }))).toBe('ERR_SESSION_LOST')
    expect(read(ben, forgedHeader(far.bytes, { dh: new Uint8Array(32).fill(9), n: 0, pn: 0xffff_ffff }))).toBe('ERR_SESSION_LOST')
    expect(hmacs.count).toBe(0)
    // A header nobody sealed costs one chain of keys at most.
    expect(read(ben, forgedHeader(far.bytes, { dh: new Uint8Array(32).fill(9), n: skippedPerChainMax, pn: skippedPerChainMax }))).toBe('ERR_SESSION_LOST')
    expect(hmacs.count).toBeLessThanOrEqual(skippedPerChainMax + 10)

    expect(read(ben, far)).toBe('a thousand on')
    expect(ben.sessions.skippedCount).toBe(skippedPerChainMax)
    skipTo(further, skippedPerChainMax + 1)
    expect(read(ben, { bytes: sealFrame(further, content(anna, ben, 'too far'), anna.random) })).toBe('ERR_SESSION_LOST')
  })

  test('two thousand late keys a peer, the oldest go first; after seven days none opens, in memory or on disk', async () => {
    const evil = await createEvil(anna, ben)
    read(ben, evil.box)
    const late: Uint8Array[] = []
    for (let round = 0; round < 3; round++) {
      late.push(sealFrame(evil.ratchet, content(anna, ben, `late ${round}`), anna.random))
      skipTo(evil.ratchet, skippedPerChainMax - 1)
      expect(read(ben, { bytes: sealFrame(evil.ratchet, content(anna, ben, 'now'), anna.random) })).toBe('now')
    }
    expect(ben.sessions.skippedCount).toBe(2_000)
    await flush(ben)
    await restart(ben)
    expect(ben.sessions.skippedCount).toBe(2_000)
    const [first, second, third] = late.map((bytes) => ({ bytes }))
    if (first === undefined || second === undefined || third === undefined) throw new Error('three are late')
    expect([read(ben, first), read(ben, second)]).toEqual(['ERR_SESSION_LOST', 'late 1'])
    // What is past its time is looked for once an hour, and not used in between.
    await clock.advance(weekMs - minuteMs)
    ben.pending.push(ben.sessions.sweep())
    await clock.advance(minuteMs + 1)
    expect(ben.sessions.skippedCount).toBeGreaterThan(0)
    expect(read(ben, third)).toBe('ERR_SESSION_LOST')
    ben.pending.push(ben.sessions.sweep())
    await flush(ben)
    expect([...(await entriesOf(ben, 'sessions/k/')).keys()]).toEqual([])
    expect(ben.sessions.skippedCount).toBe(0)
  })

  test('four sessions a peer, in memory and on disk, however many it opens and however low or high it counts', async () => {
    await talk()
    for (let count = 0; count < 300; count++) {
      const evil = await createEvil(anna, ben, { generation: [0, 1, 2, 0xffff_ffff][count % 4] ?? 0 })
      expect(read(ben, evil.box)).toBe('hello')
      expect(ben.sessions.count).toBeLessThanOrEqual(4)
      // The one just opened is held, whatever else is: a peer that lost all knows no higher.
      expect(read(ben, evil.frame(content(anna, ben, 'on it')))).toBe('on it')
    }
    await flush(ben)
    expect((await entriesOf(ben, 'sessions/s/')).size).toBe(4)
    await restart(ben)
    expect(ben.sessions.count).toBe(4)
    // Even at the end of counting the two find one session again.
    for (let turn = 0; turn < 3; turn++) {
      expect(await tellAgain(ben, anna, `b ${turn}`)).toBe(`b ${turn}`)
      expect(await tellAgain(anna, ben, `a ${turn}`)).toBe(`a ${turn}`)
    }
  })

  test('a session that nothing came on for eight days is erased, also the only one', async () => {
    await talk()
    await clock.advance(8 * dayMs + 1)
    ben.pending.push(ben.sessions.sweep())
    await flush(ben)
    expect([ben.sessions.count, (await entriesOf(ben)).size]).toEqual([0, 0])
    expect(await tellAgain(anna, ben, 'long ago')).toBe('long ago')
  })
})

/** As the message plane does: what is refused is sealed anew. */
async function tellAgain(from: Side, to: Side, text: string): Promise<string> {
  const first = await seal(from, to, text)
  const said = read(to, first)
  if (said !== 'ERR_SESSION_LOST') return said
  from.sessions.lost(to.keyring.did, first.bytes)
  return await tell(from, to, text)
}
function forgedHeader(bytes: Uint8Array, change: { readonly dh?: Uint8Array; readonly n?: number; readonly pn?: number }): { readonly bytes: Uint8Array } {
  const frame = { ...decodeSessionFrame(bytes), ...change }
  return { bytes: encode([1, frame.suite, sealModes.session, frame.tag, frame.dh, frame.pn, frame.n, frame.ciphertext]) }
}
/** What a side keeps of its sessions, for comparing. */
const records = async (side: Side): Promise<string> =>
  JSON.stringify(await recordsOf(side), (_, value: unknown) => (value instanceof Uint8Array ? hex(value) : value))
