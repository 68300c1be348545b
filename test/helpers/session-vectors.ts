import { expect } from 'vitest'
import { createVirtualClock, dayMs, fromHex, fromUtf8, hex, MeshError } from '../../src/base/index.ts'
import { createKemPrivateKey, hpkeRecipient, x25519PublicKey } from '../../src/crypto/index.ts'
import { openBundle, openSessions, type PrekeyRing } from '../../src/envelope/index.ts'
import { unsealBox } from '../../src/envelope/box.ts'
import { openContent, type OpenedContent, packContent } from '../../src/envelope/content.ts'
import { sealModeOf, sealModes } from '../../src/envelope/modes.ts'
import { decodeSessionFrame, initiate, openFrame, type Ratchet, respond, sealFrame, skippedName } from '../../src/envelope/ratchet.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { anna, ben, type Vector } from '../../scripts/vectors/world.ts'

interface PartyFields {
  readonly publicKey: string
  readonly bundle: string
  readonly kemSeed: string
  readonly ratchetSecret: string
}

const lifetimeMsMax = 7 * dayMs
const context = new TextEncoder().encode('klp/1/session')

function ringOf({ bundle, kemSeed, ratchetSecret }: PartyFields, now: number): Pick<PrekeyRing, 'find'> {
  const own = { bundle: openBundle(fromHex(bundle), now), private: createKemPrivateKey(fromHex(kemSeed)), ratchetSecret: fromHex(ratchetSecret) }
  return { find: (kid) => (hex(kid) === hex(own.bundle.kid) ? own : undefined) }
}
const textsOf = ({ items }: OpenedContent): string[] => items.map((item) => (item instanceof MeshError ? item.code : fromUtf8(item.statement.payload)))

/** What arrives at Ben, through the sessions of a node. All but the last must open. */
export async function readSession(vector: Vector): Promise<void> {
  const now = Number(vector['now'])
  const clock = createVirtualClock({ start: now })
  const random = { bytes: () => expect.fail('nothing is drawn to open'), fraction: () => 0 }
  const prekeys = ringOf(vector['ben'] as PartyFields, now)
  const sessions = await openSessions({ store: createMemoryStore(), keyring: ben, prekeys, clock, random })
  const arrivals = vector['arrivals'] as readonly string[]
  for (const early of arrivals.slice(0, -1)) sessions.open(fromHex(early), { lifetimeMsMax })
  const last = sessions.open(fromHex(arrivals.at(-1) ?? ''), { lifetimeMsMax })
  expect(textsOf(last)).toEqual(vector['texts'])
}

interface SealEvent {
  readonly event: 'seal'
  readonly from: 'anna' | 'ben'
  readonly sealed: string
  readonly content: string
  readonly offerSecret?: string
  readonly dhSecret?: string
}
interface OpenEvent {
  readonly event: 'open'
  readonly to: 'anna' | 'ben'
  readonly of: number
  readonly texts: readonly string[]
}

/** Both sides of a conversation: every session frame is sealed again, to the same bytes, and opened. */
export function readSessionRun(vector: Vector): void {
  const now = Number(vector['now'])
  const sides = Object.fromEntries(
    (['anna', 'ben'] as const).map((name) => {
      const ring = ringOf(vector[name] as PartyFields, now)
      return [name, { ring, keyring: name === 'anna' ? anna : ben, ratchets: [] as Ratchet[], skipped: new Map<string, Uint8Array>() }]
    }),
  ) as Record<'anna' | 'ben', { ring: Pick<PrekeyRing, 'find'>; keyring: typeof anna; ratchets: Ratchet[]; skipped: Map<string, Uint8Array> }>
  const otherOf = (name: 'anna' | 'ben'): 'anna' | 'ben' => (name === 'anna' ? 'ben' : 'anna')
  const seals: SealEvent[] = []
  /** A session between the two, both halves of it. */
  function begin(from: 'anna' | 'ben', offerSecret: Uint8Array, suite: 1 | 2, secret: Uint8Array, kid: Uint8Array, mix?: Uint8Array): void {
    const responder = sides[otherOf(from)]
    const prekey = responder.ring.find(kid)
    if (prekey === undefined) throw new MeshError('ERR_SEAL_PREKEY', 'no such prekey')
    const secrets = { suite, secret, mix, initiator: sides[from].keyring.publicKey, responder: responder.keyring.publicKey }
    const offered = x25519PublicKey(offerSecret)
    sides[from].ratchets.push(initiate({ ...secrets, own: { secret: offerSecret, public: offered }, peerRatchet: prekey.bundle.ratchet }))
    responder.ratchets.push(respond({ ...secrets, own: { secret: prekey.ratchetSecret, public: prekey.bundle.ratchet }, offered }))
  }
  for (const event of vector['events'] as readonly (SealEvent | OpenEvent)[]) {
    if (event.event === 'seal') {
      seals.push(event)
      const sealed = fromHex(event.sealed)
      const content = fromHex(event.content)
      const opened = openContent(content, { now, lifetimeMsMax })
      const items = opened.items.flatMap((item) => (item instanceof MeshError ? [] : [{ ...item, kind: 'message' as const }]))
      expect(hex(packContent(items, opened.offer, sides[event.from].keyring)), 'the content as we pack it').toBe(event.content)
      if (sealModeOf(sealed) !== sealModes.session) continue
      const { tag } = decodeSessionFrame(sealed)
      const ratchet = sides[event.from].ratchets.find(({ sendTag }) => hex(sendTag) === hex(tag))
      if (ratchet === undefined) throw new Error('sealed in no session')
      const random = { bytes: () => fromHex(event.dhSecret ?? ''), fraction: () => 0 }
      expect(hex(sealFrame(ratchet, content, random)), 'the frame as we seal it').toBe(event.sealed)
      continue
    }
    const { from, sealed: text, offerSecret } = seals[event.of] ?? expect.fail('nothing was sealed')
    const to = sides[event.to]
    expect(from).toBe(otherOf(event.to))
    const sealed = fromHex(text)
    if (sealModeOf(sealed) === sealModes.box) {
      const box = unsealBox(sealed, to.ring)
      expect(textsOf(openContent(box.content, { now, lifetimeMsMax }))).toEqual(event.texts)
      begin(from, fromHex(offerSecret ?? ''), box.suite, box.exportSecret(context), box.own.bundle.kid)
      continue
    }
    const frame = decodeSessionFrame(sealed)
    const ratchet = to.ratchets.find(({ receiveTag }) => hex(receiveTag) === hex(frame.tag)) ?? expect.fail('no session of that tag')
    const inner = openFrame(ratchet, frame, (name) => to.skipped.get(name))
    const opened = openContent(inner.content, { now, lifetimeMsMax })
    inner.commit()
    for (const { dh, n, key } of inner.skipped) to.skipped.set(skippedName(dh, n), key)
    expect(textsOf(opened)).toEqual(event.texts)
    const heal = opened.offer?.heal
    if (heal === undefined) continue
    const own = to.ring.find(heal.kid) ?? expect.fail('no such prekey')
    const secret = hpkeRecipient({ suite: ratchet.suite, key: own.private, info: own.bundle.sealInfo, enc: heal.enc }).exportSecret(context)
    begin(from, fromHex(offerSecret ?? ''), ratchet.suite, secret, heal.kid, ratchet.mix)
  }
}
