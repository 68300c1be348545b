import { beforeEach, describe, expect, test } from 'vitest'
import { createVirtualClock, dayMs, MeshError, minuteMs, type VirtualClock } from '../../src/base/index.ts'
import { openSessions } from '../../src/envelope/index.ts'
import { offerEveryMs } from '../../src/envelope/sessions.ts'
import { decodeSessionFrame } from '../../src/envelope/ratchet.ts'
import { createSide, flush, open, read, recordsOf, restart, say, seal, type SealHow, type Side, tell, textsOf, weekMs } from '../helpers/sessions.ts'

let clock: VirtualClock
let anna: Side
let ben: Side
beforeEach(async () => {
  clock = createVirtualClock()
  anna = await createSide({ name: 'anna', seed: 1, clock })
  ben = await createSide({ name: 'ben', seed: 2, clock })
})

const codeOf = (act: () => unknown): string => {
  try {
    act()
    return 'ok'
  } catch (error) {
    return error instanceof MeshError ? error.code : String(error)
  }
}
async function talk(rounds = 3): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    expect(await tell(anna, ben, `to ben ${round}`)).toBe(`to ben ${round}`)
    expect(await tell(ben, anna, `to anna ${round}`)).toBe(`to anna ${round}`)
  }
}
const modeOf = async (from: Side, to: Side, how?: SealHow): Promise<string> => {
  const sealed = await seal(from, to, 'x', how)
  return `${sealed.mode} ${read(to, sealed)}`
}
const generations = async (side: Side): Promise<number[]> => (await recordsOf(side)).map(({ generation }) => generation).toSorted((a, b) => b - a)
const tagOf = (bytes: Uint8Array): string => Buffer.from(decodeSessionFrame(bytes).tag).toString('hex')

test('a box opens a session and both sides go on in it', async () => {
  const first = await seal(anna, ben, 'one')
  expect([first.mode, read(ben, first)]).toEqual(['box', 'one'])
  // Nothing is sent on it before the other is known to hold it.
  expect(await modeOf(anna, ben)).toBe('box x')
  for (let turn = 0; turn < 5; turn++) {
    expect(await modeOf(ben, anna)).toBe('session x')
    expect(await modeOf(anna, ben)).toBe('session x')
  }
})

test('one to thirty-two statements under one seal come out in their order', async () => {
  for (const count of [1, 2, 31, 32]) {
    const texts = Array.from({ length: count }, (_, index) => `${count} ${index}`)
    expect(textsOf(open(ben, await seal(anna, ben, texts)))).toEqual(texts)
  }
  await expect(seal(anna, ben, Array<string>(33).fill('x'))).rejects.toThrow(MeshError)
})

test('one statement of a batch past its time is refused alone', async () => {
  await talk()
  const items = [say(anna, ben, 'a'), say(anna, ben, 'long', weekMs + 1), say(anna, ben, 'c')]
  const { bytes } = anna.sessions.seal(ben.keyring.did, items, { bundle: undefined })
  expect(textsOf(open(ben, { bytes }))).toEqual(['a', 'ERR_STATEMENT_LIFETIME', 'c'])
})

describe('order, loss, both at once', () => {
  test('frames open in any order, across a change of keys', async () => {
    await talk()
    const early = [await seal(anna, ben, 'a0'), await seal(anna, ben, 'a1'), await seal(anna, ben, 'a2')]
    expect(read(ben, early[1] ?? { bytes: new Uint8Array() })).toBe('a1')
    expect(await tell(ben, anna, 'b')).toBe('b')
    const later = [await seal(anna, ben, 'a3'), await seal(anna, ben, 'a4')]
    expect([later[1], early[2], later[0], early[0]].map((sealed) => read(ben, sealed ?? { bytes: new Uint8Array() }))).toEqual(['a4', 'a2', 'a3', 'a0'])
  })

  test('two that open at once settle on one session', async () => {
    const [one, two] = [await seal(anna, ben, 'one'), await seal(ben, anna, 'two')]
    expect([one.mode, two.mode, read(ben, one), read(anna, two)]).toEqual(['box', 'box', 'one', 'two'])
    await talk(1)
    const [fromAnna, fromBen] = [await seal(anna, ben, 'a'), await seal(ben, anna, 'b')]
    const records = await recordsOf(anna)
    const shared = records.find(({ sendTag }) => Buffer.from(sendTag).toString('hex') === tagOf(fromAnna.bytes))
    expect(Buffer.from(shared?.receiveTag ?? []).toString('hex')).toBe(tagOf(fromBen.bytes))
    expect([read(ben, fromAnna), read(anna, fromBen)]).toEqual(['a', 'b'])
  })

  test('two whose first answers cross as well settle by the keys of their offers', async () => {
    const boxes = [await seal(anna, ben, 'one'), await seal(ben, anna, 'two')] as const
    expect([read(ben, boxes[0]), read(anna, boxes[1])]).toEqual(['one', 'two'])
    const answers = [await seal(anna, ben, 'a', { noBundle: true }), await seal(ben, anna, 'b', { noBundle: true })] as const
    expect([read(ben, answers[0]), read(anna, answers[1])]).toEqual(['a', 'b'])
    const [fromAnna, fromBen] = [await seal(anna, ben, 'c', { noBundle: true }), await seal(ben, anna, 'd', { noBundle: true })]
    const shared = (await recordsOf(anna)).find(({ sendTag }) => Buffer.from(sendTag).toString('hex') === tagOf(fromAnna.bytes))
    expect(Buffer.from(shared?.receiveTag ?? []).toString('hex')).toBe(tagOf(fromBen.bytes))
    expect([read(ben, fromAnna), read(anna, fromBen)]).toEqual(['c', 'd'])
  })

  test('heals that cross settle on one session too', async () => {
    await talk()
    await clock.advance(dayMs)
    const [one, two] = [await seal(anna, ben, 'one'), await seal(ben, anna, 'two')]
    expect([one.mode, two.mode, read(ben, one), read(anna, two)]).toEqual(['session', 'session', 'one', 'two'])
    await talk(1)
    const [fromAnna, fromBen] = [await seal(anna, ben, 'a'), await seal(ben, anna, 'b')]
    const shared = (await recordsOf(anna)).find(({ sendTag }) => Buffer.from(sendTag).toString('hex') === tagOf(fromAnna.bytes))
    expect(Buffer.from(shared?.receiveTag ?? []).toString('hex')).toBe(tagOf(fromBen.bytes))
    expect([read(ben, fromAnna), read(anna, fromBen)]).toEqual(['a', 'b'])
  })
})

describe('healing', () => {
  test('each side brings fresh secrets after a day, and after a thousand messages of its own', async () => {
    await talk()
    const [before] = await generations(anna)
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(false)
    await clock.advance(dayMs)
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(true)
    await tell(anna, ben, 'a day later')
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(false)
    expect((await generations(anna))[0]).toBe((before ?? 0) + 1)
    // An offer is answered before another is made.
    await tell(ben, anna, 'heard')
    for (let count = 0; count < 31; count++) await tell(anna, ben, 'x')
    for (let count = 0; count < 30; count++) open(ben, await seal(anna, ben, Array<string>(32).fill('x')))
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(false)
    open(ben, await seal(anna, ben, Array<string>(8).fill('x')))
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(true)
  })

  test('without a bundle the session goes on unhealed, until there is one', async () => {
    await talk()
    await clock.advance(3 * dayMs)
    expect(await modeOf(anna, ben, { noBundle: true })).toBe('session x')
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(true)
    expect(await modeOf(anna, ben)).toBe('session x')
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(false)
  })

  test('a bundle past its time heals nothing, and is no reason not to send', async () => {
    await talk()
    const { bundle } = await ben.prekeys.current()
    await clock.advance(3 * dayMs)
    const sealed = anna.sessions.seal(ben.keyring.did, [say(anna, ben, 'still')], { bundle })
    expect([sealed.mode, read(ben, sealed)]).toEqual(['session', 'still'])
    await restart(anna)
    expect(codeOf(() => anna.sessions.seal(ben.keyring.did, [say(anna, ben, 'x')], { bundle }))).toBe('ERR_STATEMENT_EXPIRED')
  })

  test('a peer that has risen above the suite of a session is spoken to in a new one', async () => {
    await talk()
    await clock.advance(dayMs)
    const current = await ben.prekeys.current()
    const strict = { ...current.bundle, minSuite: 2 }
    ben.prekeys = { ...ben.prekeys, find: (kid) => ({ ...(ben.prekeys.find(kid) ?? current), bundle: strict }) }
    const sealed = anna.sessions.seal(ben.keyring.did, [say(anna, ben, 'x')], { bundle: strict })
    expect([sealed.mode, sealed.bytes[2], read(ben, sealed)]).toEqual(['box', 2, 'x'])
    expect(await modeOf(ben, anna)).toBe('session x')
    const next = await seal(anna, ben, 'y')
    expect([next.mode, next.bytes[2], read(ben, next)]).toEqual(['session', 2, 'y'])
  })

  test('an offer in a suite that the bundle does not take is refused', async () => {
    await talk()
    await clock.advance(dayMs)
    const healing = await seal(anna, ben, 'x')
    await flush(ben)
    const { find } = ben.prekeys
    const strict: typeof find = (kid) => {
      const found = find(kid)
      return found === undefined ? undefined : { ...found, bundle: { ...found.bundle, minSuite: 2 } }
    }
    ben.sessions = await openSessions({ store: ben.store.sub('sessions'), keyring: ben.keyring, prekeys: { find: strict }, clock, random: ben.random })
    const before = await recordsOf(ben)
    expect(read(ben, healing)).toBe('ERR_SEAL_SUITE')
    expect(await recordsOf(ben)).toEqual(before)
  })

  test('an offer to a prekey that is gone is refused, and changes nothing', async () => {
    await talk()
    const { bundle } = await ben.prekeys.current()
    await clock.advance(2 * dayMs - 1)
    expect(await tell(anna, ben, 'here', { noBundle: true })).toBe('here')
    const healing = anna.sessions.seal(ben.keyring.did, [say(anna, ben, 'x')], { bundle })
    await clock.advance(6 * dayMs + 2)
    await ben.prekeys.current()
    const before = await recordsOf(ben)
    expect(read(ben, healing)).toBe('ERR_SEAL_PREKEY')
    expect(await recordsOf(ben)).toEqual(before)
    anna.sessions.lost(ben.keyring.did)
    expect(await modeOf(anna, ben)).toBe('box x')
  })
})

describe('loss of state', () => {
  test('a restarted side never sends on what it read, and what it is sent still opens', async () => {
    await talk()
    const waiting = [await seal(anna, ben, 'one'), await seal(anna, ben, 'two')]
    read(ben, waiting[1] ?? { bytes: new Uint8Array() })
    await flush(ben)
    await restart(ben)
    expect(read(ben, waiting[0] ?? { bytes: new Uint8Array() })).toBe('one')
    expect(await tell(anna, ben, 'three')).toBe('three')
    expect(ben.sessions.has(anna.keyring.did)).toBe(false)
    expect(codeOf(() => ben.sessions.seal(anna.keyring.did, [say(ben, anna, 'x')], { bundle: undefined }))).toBe('ERR_NO_PREKEYS')
    expect(await modeOf(ben, anna)).toBe('box x')
    await talk()
    expect(await modeOf(ben, anna)).toBe('session x')
  })

  test('who lost all is told so, and both go on within a message', async () => {
    await talk()
    await clock.advance(offerEveryMs)
    const lost = await createSide({ name: 'ben', seed: 2, clock })
    const sealed = await seal(anna, lost, 'x')
    expect([sealed.mode, read(lost, sealed)]).toEqual(['session', 'ERR_SESSION_LOST'])
    anna.sessions.lost(lost.keyring.did, sealed.bytes)
    expect(await modeOf(anna, lost)).toBe('box x')
    expect(await modeOf(lost, anna)).toBe('session x')
    expect(await modeOf(anna, lost)).toBe('session x')
  })

  test('many refusals of one loss begin one session', async () => {
    await talk()
    await clock.advance(offerEveryMs)
    const lost = await createSide({ name: 'ben', seed: 2, clock })
    const inFlight = [await seal(anna, lost, 'a'), await seal(anna, lost, 'b'), await seal(anna, lost, 'c')]
    const [before = 0] = await generations(anna)
    for (const sealed of inFlight) {
      expect(read(lost, sealed)).toBe('ERR_SESSION_LOST')
      anna.sessions.lost(lost.keyring.did, sealed.bytes)
      expect(await modeOf(anna, lost)).toBe('box x')
    }
    expect((await generations(anna))[0]).toBe(before + 1)
    expect(await modeOf(lost, anna)).toBe('session x')
    // A refusal that comes late says nothing about the session that is begun since.
    anna.sessions.lost(lost.keyring.did, inFlight[0]?.bytes)
    expect(await modeOf(anna, lost)).toBe('session x')
  })

  test('who begins anew at the same height is answered where it now is', async () => {
    for (let seed = 100; seed < 106; seed++) {
      const [mine, theirs] = [await createSide({ name: 'anna', seed, clock }), await createSide({ name: 'ben', seed: seed + 100, clock })]
      for (const [from, to] of [
        [mine, theirs],
        [theirs, mine],
        [mine, theirs],
      ] as const) {
        expect(await tell(from, to, 'x', { noBundle: from.sessions.has(to.keyring.did) })).toBe('x')
      }
      // Other chance, so that the key of its offer is now lower, now higher than that of the first.
      const lost = await createSide({ name: 'anna', seed: seed + 200, clock, keyring: mine.keyring })
      expect(await modeOf(lost, theirs)).toBe('box x')
      expect(await modeOf(theirs, lost)).toBe('session x')
    }
  })

  test('who begins anew below is heard, and answered above', async () => {
    for (let day = 0; day < 6; day++) {
      await talk(1)
      await clock.advance(dayMs)
    }
    const [before = 0] = await generations(ben)
    const lost = await createSide({ name: 'anna', seed: 1, clock })
    expect(await modeOf(lost, ben)).toBe('box x')
    // No frame of a session it lost, and none of one below what both have held.
    expect(await modeOf(ben, lost)).toBe('box x')
    expect((await generations(ben))[0]).toBe(before + 1)
    expect(await modeOf(lost, ben)).toBe('session x')
    expect(await modeOf(ben, lost)).toBe('session x')
  })

  test('an offer that nothing came back on is made again after ten minutes, and not for one long settled', async () => {
    await talk()
    await clock.advance(dayMs)
    await seal(anna, ben, 'lost on the way')
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(false)
    await clock.advance(10 * minuteMs)
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(true)
    await talk()
    await clock.advance(10 * minuteMs)
    expect(anna.sessions.needsBundle(ben.keyring.did)).toBe(false)
  })
})

describe('for a peer that is off', () => {
  test('the session in use outlives offers that nobody answers, on both sides', async () => {
    await talk()
    await clock.advance(dayMs)
    const stored: Awaited<ReturnType<typeof seal>>[] = []
    for (let count = 0; count < 12; count++) {
      stored.push(await seal(anna, ben, `stored ${count}`))
      await clock.advance(5 * minuteMs)
    }
    expect(stored.map(({ mode }) => mode)).toEqual(stored.map(() => 'session'))
    // Picked up from two mailboxes, the later ones first.
    const order = [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]
    expect(order.map((index) => read(ben, stored[index] ?? { bytes: new Uint8Array() }))).toEqual(order.map((index) => `stored ${index}`))
    expect(await modeOf(ben, anna)).toBe('session x')
    expect(await modeOf(anna, ben)).toBe('session x')
  })

  test('until its first answer it gets boxes, the first of them with the offer', async () => {
    const stored = [await seal(anna, ben, 'a'), await seal(anna, ben, 'b')]
    expect(stored.map(({ mode }) => mode)).toEqual(['box', 'box'])
    // In either order, and one of them lost.
    expect(read(ben, stored[1] ?? { bytes: new Uint8Array() })).toBe('b')
    expect(ben.sessions.has(anna.keyring.did)).toBe(false)
    expect(read(ben, stored[0] ?? { bytes: new Uint8Array() })).toBe('a')
    expect(await modeOf(ben, anna)).toBe('session x')
    expect(await modeOf(anna, ben)).toBe('session x')
  })

  test('a healing offer that may not have come is not leant on', async () => {
    await talk()
    await clock.advance(dayMs)
    await seal(anna, ben, 'lost on the way')
    const stored = await seal(anna, ben, 'stored')
    expect([stored.mode, read(ben, stored)]).toEqual(['session', 'stored'])
  })
})
