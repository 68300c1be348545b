import { type Clock, compare, dayMs, type Did, hex, keyFromDid, MeshError, type Random, toMeshError, utf8 } from '../base/index.ts'
import { hpkeRecipient, hpkeSender } from '../crypto/index.ts'
import type { Composed, Keyring } from '../identity/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { beginBox, suiteFor, unsealBox } from './box.ts'
import { type CarriedKind, type Offer, openContent, type OpenedContent, packContent } from './content.ts'
import { sealModeOf, sealModes } from './modes.ts'
import type { OwnPrekeys, PrekeyBundle, PrekeyRing } from './prekeys.ts'
import { canSend, decodeSessionFrame, initiate, newKeyPair, openFrame, type Ratchet, respond, sealFrame, skippedName } from './ratchet.ts'
import { fromStored, type Session, sessionCodec, skippedCodec, toStored } from './session-record.ts'

/** Each side puts fresh post-quantum secrets into the session this often, by time and by messages sent. Source: klp/v1 section 3.2. */
export const healEveryMs = dayMs
export const healEveryMessages = 1_000
/** Keys kept for frames that come late, of all sessions with one peer; the oldest go first. */
export const skippedPerPeerMax = 2_000
export const skippedKeptMs = 7 * dayMs
/** Sessions held with one peer: those that cross, and the last ones before. */
export const sessionsPerPeerMax = 4
/** Sessions in all; those unused for longest are forgotten, and their peers begin anew. */
export const sessionsMax = 65_536
/** A session that nothing came on for so long is erased. */
export const sessionKeptMs = 8 * dayMs

const healInfo = utf8('klp/1/session')

export interface SealOptions {
  /** Of the peer; needed whenever `needsBundle` says so. */
  readonly bundle?: PrekeyBundle | undefined
  /** For somebody who is off: only over a session that the peer is known to hold. */
  readonly isStored?: boolean
}

export interface Sealed {
  readonly bytes: Uint8Array
  readonly mode: 'session' | 'box'
  /** Writes, under their full keys, that may reach the disk any time: nothing is lost but a session when they do not. */
  readonly ops: readonly StoreOp[]
}

export interface Opened extends OpenedContent {
  readonly mode: 'session' | 'box'
  /** Writes, under their full keys, that belong into the batch of the effect. */
  readonly ops: readonly StoreOp[]
}

/** Sessions with all peers, and the boxes that open them. Source: klp/v1 section 3. */
export interface Sessions {
  /** Whether the next `seal` to this peer takes its bundle. */
  needsBundle(peer: Did, options?: Pick<SealOptions, 'isStored'>): boolean
  /** Packs, signs and seals statements. @throws ERR_NO_PREKEYS without a bundle where one is needed, ERR_SEAL_SUITE, ERR_STATEMENT_EXPIRED */
  seal(peer: Did, items: readonly (Composed & { readonly kind: CarriedKind })[], options: SealOptions): Sealed
  /**
   * Opens a box or a session frame and verifies what is inside. The state goes on only when everything holds.
   * @throws ERR_SESSION_LOST, ERR_WIRE_*, ERR_SEAL_*, ERR_CRYPTO_OPEN, ERR_STATEMENT_SIGNATURE, ERR_STATEMENT_SENDER
   */
  open(sealed: Uint8Array, options: { readonly lifetimeMsMax: number }): Opened
  /** The peer has lost the session: the next seal begins with a box. */
  lost(peer: Did): void
  /** Whether something sealed now would go through a session. */
  has(peer: Did): boolean
  readonly count: number
}

export interface SessionsOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly prekeys: Pick<PrekeyRing, 'find'>
  readonly clock: Clock
  readonly random: Random
}

interface Peer {
  readonly sessions: Session[]
  /** Since our last fresh encapsulation to them. */
  healedAt: number
  sentSince: number
}

export async function openSessions({ store, keyring, prekeys, clock, random }: SessionsOptions): Promise<Sessions> {
  const box = keyring.box('sessions')
  const ownKey = keyFromDid(keyring.did)
  const byTag = new Map<string, Session>()
  const peers = new Map<Did, Peer>()

  const nameOf = ({ ratchet }: Session): string => hex(ratchet.receiveTag)
  const recordKey = (session: Session): string => `s/${nameOf(session)}`
  const skippedKey = (session: Session, name: string): string => `k/${nameOf(session)}/${name}`
  const write = (session: Session): StoreOp => put(recordKey(session), box.seal(sessionCodec.encode(toStored(session)), utf8('session')))

  function add(session: Session): StoreOp[] {
    const peer = peers.get(session.peer) ?? { sessions: [], healedAt: Number.NEGATIVE_INFINITY, sentSince: 0 }
    peers.delete(session.peer)
    peers.set(session.peer, peer)
    peer.sessions.push(session)
    byTag.set(nameOf(session), session)
    // Best first: what both sides know decides, so that two that crossed are settled alike.
    peer.sessions.sort((a, b) => b.generation - a.generation || compare(idOf(a), idOf(b)))
    const ops = peer.sessions.splice(sessionsPerPeerMax).flatMap(drop)
    if (byTag.size > sessionsMax) {
      const [oldest] = peers.keys()
      if (oldest !== undefined && oldest !== session.peer) ops.push(...forget(oldest))
    }
    return ops
  }
  function drop(session: Session): StoreOp[] {
    byTag.delete(nameOf(session))
    return [del(recordKey(session)), ...[...session.skipped.keys()].map((name) => del(skippedKey(session, name)))]
  }
  function forget(did: Did): StoreOp[] {
    const peer = peers.get(did)
    peers.delete(did)
    return peer?.sessions.flatMap(drop) ?? []
  }
  /** What nothing came on for long, and keys of frames that never came. */
  function sweep(did: Did): StoreOp[] {
    const peer = peers.get(did)
    const now = clock.now()
    const stale = peer?.sessions.filter((session, index) => index > 0 && session.usedAt + sessionKeptMs < now) ?? []
    if (peer === undefined) return []
    for (const session of stale) peer.sessions.splice(peer.sessions.indexOf(session), 1)
    const ops = stale.flatMap(drop)
    let count = peer.sessions.reduce((sum, { skipped }) => sum + skipped.size, 0)
    for (const session of peer.sessions.toReversed()) {
      for (const [name, { until }] of session.skipped) {
        if (count <= skippedPerPeerMax && until >= now) break
        session.skipped.delete(name)
        ops.push(del(skippedKey(session, name)))
        count--
      }
    }
    return ops
  }

  const best = (did: Did, isStored: boolean): Session | undefined =>
    peers.get(did)?.sessions.find((session) => canSend(session.ratchet) && (!isStored || session.isConfirmed))
  function healDue(did: Did): boolean {
    const peer = peers.get(did)
    return peer !== undefined && (peer.sentSince >= healEveryMessages || Math.abs(clock.now() - peer.healedAt) >= healEveryMs)
  }
  const nextGeneration = (did: Did): number => Math.min(0xffff_ffff, 1 + Math.max(0, ...(peers.get(did)?.sessions.map(({ generation }) => generation) ?? [])))

  function open(ratchet: Ratchet, peer: Did, generation: number, isConfirmed: boolean): StoreOp[] {
    // A box that comes again opens nothing; whether what it says was taken before is for the replay guard to know.
    if (byTag.has(hex(ratchet.receiveTag))) return []
    const session: Session = { peer, generation, isConfirmed, usedAt: clock.now(), ratchet, skipped: new Map() }
    const ops = add(session)
    return [...ops, write(session)]
  }
  function healed(did: Did): void {
    const peer = peers.get(did)
    if (peer !== undefined) Object.assign(peer, { healedAt: clock.now(), sentSince: 0 })
  }

  /** A box: the content with an offer, unless a session only waits for its first answer. */
  function sealBoxed(did: Did, items: Parameters<Sessions['seal']>[1], bundle: PrekeyBundle, withOffer: boolean): Sealed {
    const boxed = beginBox({ bundle, now: clock.now(), random })
    const own = newKeyPair(random)
    const offer: Offer | undefined = withOffer ? { dh: own.public, generation: nextGeneration(did), heal: undefined } : undefined
    const bytes = boxed.seal(packContent(items, offer, keyring))
    if (offer === undefined) return { bytes, mode: 'box', ops: [] }
    const secrets = { suite: suiteFor(bundle), secret: boxed.exportSecret(healInfo), initiator: ownKey, responder: keyFromDid(did) }
    const ops = open(initiate({ ...secrets, own, peerRatchet: bundle.ratchet }), did, offer.generation, false)
    healed(did)
    return { bytes, mode: 'box', ops: store.qualify(ops) }
  }
  function sealHealing(did: Did, session: Session, items: Parameters<Sessions['seal']>[1], bundle: PrekeyBundle): Sealed {
    const suite = suiteFor(bundle)
    const sender = hpkeSender({ suite, to: bundle.kem, info: bundle.sealInfo, random })
    const own = newKeyPair(random)
    const offer: Offer = { dh: own.public, generation: nextGeneration(did), heal: { kid: bundle.kid, enc: sender.enc } }
    const bytes = sealFrame(session.ratchet, packContent(items, offer, keyring), random)
    const secrets = { suite, secret: sender.exportSecret(healInfo), mix: session.ratchet.mix, initiator: ownKey, responder: keyFromDid(did) }
    const ops = open(initiate({ ...secrets, own, peerRatchet: bundle.ratchet }), did, offer.generation, false)
    healed(did)
    return { bytes, mode: 'session', ops: store.qualify([...ops, write(session)]) }
  }

  /** What a verified content offers: the other half of a session. */
  function accept(
    from: Did,
    offer: Offer,
    opening: { readonly own: OwnPrekeys; readonly suite: 1 | 2; readonly secret: Uint8Array; readonly mix?: Uint8Array },
  ): StoreOp[] {
    const { own, suite, secret, mix } = opening
    const pair = { secret: own.ratchetSecret, public: own.bundle.ratchet }
    const ratchet = respond({ suite, secret, mix, initiator: keyFromDid(from), responder: ownKey, own: pair, offered: offer.dh })
    return open(ratchet, from, offer.generation, true)
  }
  function openBoxed(sealed: Uint8Array, lifetimeMsMax: number): Opened {
    const { content, own, suite, exportSecret } = unsealBox(sealed, prekeys)
    const opened = openContent(content, { now: clock.now(), lifetimeMsMax })
    const { from, offer } = opened
    if (offer?.heal !== undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'the offer in a box names another encapsulation')
    const isFresh = opened.items.some((item) => !(item instanceof MeshError))
    // Nothing in it is of now: an old box must not open a session.
    const ops = offer === undefined || !isFresh ? [] : accept(from, offer, { own, suite, secret: exportSecret(healInfo) })
    return { ...opened, mode: 'box', ops: store.qualify(ops) }
  }
  function openSessionFrame(sealed: Uint8Array, lifetimeMsMax: number): Opened {
    const frame = decodeSessionFrame(sealed)
    const session = byTag.get(hex(frame.tag))
    if (session === undefined) throw new MeshError('ERR_SESSION_LOST', 'no session of that tag is held here')
    const { ratchet, peer, skipped } = session
    const inner = openInner(session, frame)
    const opened = openContent(inner.content, { now: clock.now(), lifetimeMsMax })
    if (opened.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the statements in a session are of somebody else')
    const { offer } = opened
    const heal = offer === undefined ? undefined : openHeal(offer, ratchet)

    const ops: StoreOp[] = []
    inner.commit()
    session.isConfirmed = true
    session.usedAt = clock.now()
    if (inner.used !== undefined) {
      skipped.delete(inner.used)
      ops.push(del(skippedKey(session, inner.used)))
    }
    const until = clock.now() + skippedKeptMs
    for (const { dh, n, key } of inner.skipped) {
      const name = skippedName(dh, n)
      skipped.set(name, { key, until })
      ops.push(put(skippedKey(session, name), box.seal(skippedCodec.encode({ key, until }), utf8('skipped'))))
    }
    if (offer !== undefined && heal !== undefined) ops.push(...accept(peer, offer, { ...heal, mix: ratchet.mix }))
    ops.push(write(session), ...sweep(peer))
    return { ...opened, mode: 'session', ops: store.qualify(ops) }
  }
  function openInner(session: Session, frame: ReturnType<typeof decodeSessionFrame>): ReturnType<typeof openFrame> {
    try {
      return openFrame(session.ratchet, frame, (name) => session.skipped.get(name)?.key)
    } catch (error) {
      // A state that went apart looks like a forgery; beginning anew mends the one and costs nothing with the other.
      const { code, message } = toMeshError(error)
      throw code === 'ERR_CRYPTO_OPEN' ? new MeshError('ERR_SESSION_LOST', message, { cause: error }) : error
    }
  }
  function openHeal({ heal }: Offer, ratchet: Ratchet): { readonly own: OwnPrekeys; readonly suite: 1 | 2; readonly secret: Uint8Array } | undefined {
    if (heal === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'an offer in a session brings no encapsulation')
    const own = prekeys.find(heal.kid)
    if (own === undefined) throw new MeshError('ERR_SEAL_PREKEY', 'the offer is for a prekey not held here')
    const { suite } = ratchet
    const recipient = hpkeRecipient({ suite, key: own.private, info: own.bundle.sealInfo, enc: heal.enc })
    return { own, suite, secret: recipient.exportSecret(healInfo) }
  }

  for await (const [, sealed] of store.range({ gte: 's/', lt: 's0' })) {
    add(fromStored(sessionCodec.decode(box.open(sealed, utf8('session')))))
  }
  for await (const [key, sealed] of store.range({ gte: 'k/', lt: 'k0' })) {
    const [, tag, dh, n] = key.split('/')
    byTag.get(tag ?? '')?.skipped.set(`${dh}/${n}`, skippedCodec.decode(box.open(sealed, utf8('skipped'))))
  }

  return {
    needsBundle: (did, { isStored = false } = {}) => best(did, isStored) === undefined || (!isStored && healDue(did)),
    seal(did, items, { bundle, isStored = false }) {
      const session = best(did, isStored)
      const peer = peers.get(did)
      if (peer !== undefined) peer.sentSince += items.length
      if (session !== undefined && (isStored || bundle === undefined || !healDue(did))) {
        const startsChain = session.ratchet.sending === undefined
        const bytes = sealFrame(session.ratchet, packContent(items, undefined, keyring), random)
        return { bytes, mode: 'session', ops: startsChain ? store.qualify([write(session)]) : [] }
      }
      if (bundle === undefined) throw new MeshError('ERR_NO_PREKEYS', `the prekey bundle of ${did} is needed to begin`)
      if (bundle.owner !== did) throw new MeshError('ERR_STATEMENT_SENDER', 'the prekey bundle is of somebody else')
      if (session !== undefined) return sealHealing(did, session, items, bundle)
      return sealBoxed(did, items, bundle, best(did, false) === undefined)
    },
    open(sealed, { lifetimeMsMax }) {
      const mode = sealModeOf(sealed)
      if (mode === sealModes.session) return openSessionFrame(sealed, lifetimeMsMax)
      return openBoxed(sealed, lifetimeMsMax)
    },
    lost(did) {
      for (const { ratchet } of peers.get(did)?.sessions ?? []) {
        ratchet.sending = undefined
        ratchet.hasSent = true
      }
    },
    has: (did) => best(did, false) !== undefined,
    get count() {
      return byTag.size
    },
  }
}

/** The same eight bytes on both sides. */
const idOf = ({ ratchet: { sendTag, receiveTag } }: Session): Uint8Array => (compare(sendTag, receiveTag) < 0 ? sendTag : receiveTag)
