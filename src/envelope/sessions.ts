import { type Clock, compare, dayMs, type Did, hex, keyFromDid, MeshError, minuteMs, type Random, secondMs, toMeshError, utf8 } from '../base/index.ts'
import { hpkeRecipient, hpkeSender, type Suite } from '../crypto/index.ts'
import type { Composed, Keyring } from '../identity/index.ts'
import type { Store, StoreOp } from '../store/index.ts'
import { beginBox, checkSuite, suiteFor, takesSuite, unsealBox } from './box.ts'
import { type CarriedKind, type Offer, openContent, type OpenedContent, packContent } from './content.ts'
import { sealModeOf, sealModes } from './modes.ts'
import type { OwnPrekeys, PrekeyBundle, PrekeyRing } from './prekeys.ts'
import { decodeSessionFrame, initiate, newKeyPair, openFrame, type Ratchet, respond, sealFrame, type SessionFrame } from './ratchet.ts'
import type { Session } from './session-record.ts'
import { openSessionTable } from './session-table.ts'

/** Each side puts fresh post-quantum secrets into the session this often, by time and by messages sent. Source: klp/v1 section 3.2. */
export const healEveryMs = dayMs
export const healEveryMessages = 1_000

/** While an offer is under way no other is made for so long; what is sent meanwhile goes in boxes. */
export const offerEveryMs = 2 * secondMs
/** An offer in a session that nothing came back on is made again. */
const reofferAfterMs = 10 * minuteMs

const healInfo = utf8('klp/1/session')

export interface SealOptions {
  /** Of the peer; needed whenever `needsBundle` says so. */
  readonly bundle?: PrekeyBundle | undefined
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
  needsBundle(peer: Did): boolean
  /** Packs, signs and seals statements. @throws ERR_NO_PREKEYS without a bundle where one is needed, ERR_SEAL_SUITE, ERR_STATEMENT_EXPIRED */
  seal(peer: Did, items: readonly (Composed & { readonly kind: CarriedKind })[], options: SealOptions): Sealed
  /**
   * Opens a box or a session frame and verifies what is inside. The state goes on only when everything holds.
   * @throws ERR_SESSION_LOST, ERR_WIRE_*, ERR_SEAL_*, ERR_CRYPTO_OPEN, ERR_STATEMENT_SIGNATURE, ERR_STATEMENT_SENDER
   */
  open(sealed: Uint8Array, options: { readonly lifetimeMsMax: number }): Opened
  /**
   * The peer has lost the session: the next seal begins with a box. `frame` is what it could not open: sessions opened after that one stay, so that many
   * refusals of one loss begin one session.
   */
  lost(peer: Did, frame?: Uint8Array): void
  /** Erases what is past its time. `open` and `seal` do so once an hour; for a node that is idle. */
  sweep(): readonly StoreOp[]
  /** Whether something sealed now would go through a session. */
  has(peer: Did): boolean
  readonly count: number
  /** Keys kept for late frames. */
  readonly skippedCount: number
}

export interface SessionsOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly prekeys: Pick<PrekeyRing, 'find'>
  readonly clock: Clock
  readonly random: Random
}

type Items = Parameters<Sessions['seal']>[1]

interface Opening {
  readonly own: OwnPrekeys
  readonly suite: Suite
  readonly secret: Uint8Array
  readonly mix?: Uint8Array
}

export async function openSessions({ store, keyring, prekeys, clock, random }: SessionsOptions): Promise<Sessions> {
  const table = await openSessionTable({ store, box: keyring.box('sessions'), clock })
  const ownKey = keyFromDid(keyring.did)

  /** Goes with the next writes that leave. */
  const erased: StoreOp[] = []

  /** What is sealed for a session that the peer may not hold could not be opened; an offer can be lost like any frame. */
  function best(did: Did): Session | undefined {
    let floor = 0
    for (const session of table.peer(did)?.sessions ?? []) {
      // Never below one that both have held: whoever got hold of an older one would hear again what healing shut it out of.
      if (session.generation < floor) return undefined
      if (session.isConfirmed && !session.isReceiveOnly && !session.isDoubted) return session
      if (session.isConfirmed) floor = session.generation
    }
    return undefined
  }
  function healDue(did: Did): boolean {
    const peer = table.peer(did)
    if (peer === undefined) return false
    const since = Math.abs(clock.now() - peer.healedAt)
    // An older one that was never answered has nothing to wait for.
    const isUnanswered = peer.sessions[0]?.isConfirmed === false
    return isUnanswered ? since >= reofferAfterMs : peer.sentSince >= healEveryMessages || since >= healEveryMs
  }
  const mayOffer = (did: Did): boolean => Math.abs(clock.now() - (table.peer(did)?.healedAt ?? Number.NEGATIVE_INFINITY)) >= offerEveryMs
  const nextGeneration = (did: Did): number => Math.min(0xffff_ffff, 1 + Math.max(0, ...(table.peer(did)?.sessions.map(({ generation }) => generation) ?? [])))

  const add = (ratchet: Ratchet, { generation, dh: opening }: Offer, peer: Did, isConfirmed: boolean, carrier: Session | undefined): StoreOp[] => {
    const state = { isConfirmed, isReceiveOnly: false, isDoubted: false, usedAt: clock.now(), ratchet, skipped: new Map() }
    return table.add({ peer, generation, opening, heals: carrier?.generation, ...state }, carrier)
  }
  /** A session of our own: its half is in the offer that leaves now. */
  function begin(ratchet: Ratchet, did: Did, offer: Offer, carrier?: Session): StoreOp[] {
    const ops = add(ratchet, offer, did, false, carrier)
    const peer = table.peer(did)
    if (peer !== undefined) Object.assign(peer, { healedAt: clock.now(), sentSince: 0 })
    return ops
  }

  /** A box: with an offer, unless one is under way. */
  function sealBoxed(did: Did, items: Items, bundle: PrekeyBundle, withOffer: boolean): Sealed {
    const boxed = beginBox({ bundle, now: clock.now(), random })
    if (!withOffer) return { bytes: boxed.seal(packContent(items, undefined, keyring)), mode: 'box', ops: [] }
    const own = newKeyPair(random)
    const offer: Offer = { dh: own.public, generation: nextGeneration(did), heal: undefined }
    const secrets = { suite: suiteFor(bundle), secret: boxed.exportSecret(healInfo), initiator: ownKey, responder: keyFromDid(did) }
    const ratchet = initiate({ ...secrets, own, peerRatchet: bundle.ratchet })
    return { bytes: boxed.seal(packContent(items, offer, keyring)), mode: 'box', ops: begin(ratchet, did, offer) }
  }
  function sealHealing(did: Did, session: Session, items: Items, bundle: PrekeyBundle): Sealed {
    const { suite, mix } = session.ratchet
    const sender = hpkeSender({ suite, to: bundle.kem, info: bundle.sealInfo, random })
    const own = newKeyPair(random)
    const offer: Offer = { dh: own.public, generation: nextGeneration(did), heal: { kid: bundle.kid, enc: sender.enc } }
    const secrets = { suite, secret: sender.exportSecret(healInfo), mix, initiator: ownKey, responder: keyFromDid(did) }
    const ratchet = initiate({ ...secrets, own, peerRatchet: bundle.ratchet })
    const bytes = sealFrame(session.ratchet, packContent(items, offer, keyring), random)
    return { bytes, mode: 'session', ops: [table.write(session), ...begin(ratchet, did, offer, session)] }
  }
  function sealOn(session: Session, items: Items): Sealed {
    const startsChain = session.ratchet.sending === undefined
    const bytes = sealFrame(session.ratchet, packContent(items, undefined, keyring), random)
    return { bytes, mode: 'session', ops: startsChain ? [table.write(session)] : [] }
  }
  function seal(did: Did, items: Items, { bundle }: SealOptions): Sealed {
    const session = best(did)
    if (session !== undefined && (bundle === undefined || !healDue(did))) return sealOn(session, items)
    if (bundle === undefined) throw new MeshError('ERR_NO_PREKEYS', `the prekey bundle of ${did} is needed to begin`)
    if (bundle.owner !== did) throw new MeshError('ERR_STATEMENT_SENDER', 'the prekey bundle is of somebody else')
    if (bundle.expiresAt < clock.now()) return session === undefined ? sealBoxed(did, items, bundle, true) : sealOn(session, items)
    // A healed session is of the suite of the one that carries its offer; the peer may have risen above that.
    if (session !== undefined && takesSuite(session.ratchet.suite, bundle)) return sealHealing(did, session, items, bundle)
    return sealBoxed(did, items, bundle, session !== undefined || mayOffer(did))
  }

  /** The other half of a session that is offered. */
  function answer(from: Did, { dh }: Offer, { own, suite, secret, mix }: Opening): Ratchet {
    const pair = { secret: own.ratchetSecret, public: own.bundle.ratchet }
    return respond({ suite, secret, mix, initiator: keyFromDid(from), responder: ownKey, own: pair, offered: dh })
  }
  /** A box that comes again opens nothing; whether what it says was taken before is for the replay guard to know. */
  const accept = (ratchet: Ratchet, from: Did, offer: Offer, carrier?: Session): StoreOp[] =>
    table.held(ratchet.receiveTag) === undefined ? add(ratchet, offer, from, true, carrier) : []

  function openBoxed(sealed: Uint8Array, lifetimeMsMax: number): Opened {
    const { content, own, suite, exportSecret } = unsealBox(sealed, prekeys)
    const opened = openContent(content, { now: clock.now(), lifetimeMsMax })
    const { from, offer } = opened
    if (offer?.heal !== undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'the offer in a box names another encapsulation')
    // Somebody else's box put into one to us, or one of long ago, opens no session.
    const isForUs = opened.items.some((item) => !(item instanceof MeshError) && item.statement.to === keyring.did)
    if (offer === undefined || !isForUs) return { ...opened, mode: 'box', ops: [] }
    const ratchet = answer(from, offer, { own, suite, secret: exportSecret(healInfo) })
    const ops = accept(ratchet, from, offer)
    if (ops.length > 0) {
      // Whoever begins anew does not hold what came after, nor another of its own from before: it would have gone higher.
      for (const session of table.peer(from)?.sessions ?? []) {
        const { generation, opening, isConfirmed } = session
        session.isDoubted ||= generation > offer.generation || (generation === offer.generation && isConfirmed && compare(opening, offer.dh) !== 0)
      }
    }
    return { ...opened, mode: 'box', ops }
  }
  function openSessionFrame(sealed: Uint8Array, lifetimeMsMax: number): Opened {
    const frame = decodeSessionFrame(sealed)
    const session = table.held(frame.tag)
    if (session === undefined) throw new MeshError('ERR_SESSION_LOST', 'no session of that tag is held here')
    const inner = openInner(session, frame)
    const opened = openContent(inner.content, { now: clock.now(), lifetimeMsMax })
    if (opened.from !== session.peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the statements in a session are of somebody else')
    const { offer } = opened
    const healed = offer === undefined ? undefined : answer(session.peer, offer, openHeal(offer, session.ratchet))

    // Everything about the frame is right: the state goes on.
    inner.commit()
    session.isConfirmed = true
    session.isDoubted = false
    table.touch(session)
    const ops = inner.used === undefined ? [] : table.dropSkipped(session, inner.used)
    ops.push(...table.keepSkipped(session, inner.skipped), table.write(session))
    if (offer !== undefined && healed !== undefined) ops.push(...accept(healed, session.peer, offer, session))
    return { ...opened, mode: 'session', ops }
  }
  function openInner(session: Session, frame: SessionFrame): ReturnType<typeof openFrame> {
    try {
      return openFrame(session.ratchet, frame, (name) => table.findSkipped(session, name))
    } catch (error) {
      // A state that went apart looks like a forgery; beginning anew mends the one and costs nothing with the other.
      const { code, message } = toMeshError(error)
      throw code === 'ERR_CRYPTO_OPEN' ? new MeshError('ERR_SESSION_LOST', message, { cause: error }) : error
    }
  }
  function openHeal({ heal }: Offer, { suite, mix }: Ratchet): Opening {
    if (heal === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'an offer in a session brings no encapsulation')
    const own = prekeys.find(heal.kid)
    if (own === undefined) throw new MeshError('ERR_SEAL_PREKEY', 'the offer is for a prekey not held here')
    checkSuite(suite, own.bundle)
    const recipient = hpkeRecipient({ suite, key: own.private, info: own.bundle.sealInfo, enc: heal.enc })
    return { own, suite, secret: recipient.exportSecret(healInfo), mix }
  }

  return {
    needsBundle: (did) => best(did) === undefined || healDue(did),
    seal(did, items, options) {
      erased.push(...table.sweep())
      const sealed = seal(did, items, options)
      const peer = table.peer(did)
      if (peer !== undefined) peer.sentSince += items.length
      return { ...sealed, ops: store.qualify([...erased.splice(0), ...sealed.ops]) }
    },
    open(sealed, { lifetimeMsMax }) {
      erased.push(...table.sweep())
      const opened = sealModeOf(sealed) === sealModes.session ? openSessionFrame(sealed, lifetimeMsMax) : openBoxed(sealed, lifetimeMsMax)
      return { ...opened, ops: store.qualify([...erased.splice(0), ...opened.ops]) }
    },
    lost(did, frame) {
      const sessions = table.peer(did)?.sessions ?? []
      let last = Number.POSITIVE_INFINITY
      if (frame !== undefined) {
        const tag = sealModeOf(frame) === sealModes.session ? hex(decodeSessionFrame(frame).tag) : ''
        last = sessions.find(({ ratchet }) => hex(ratchet.sendTag) === tag)?.generation ?? -1
      }
      for (const session of sessions) {
        // What was offered in a frame that did not open is not held there either.
        const isLost = session.generation <= last || (!session.isConfirmed && session.heals !== undefined && session.heals <= last)
        session.isReceiveOnly ||= isLost
      }
    },
    sweep: () => store.qualify([...erased.splice(0), ...table.sweep({ now: true })]),
    has: (did) => best(did) !== undefined,
    get count() {
      return table.count
    },
    get skippedCount() {
      return table.skippedCount
    },
  }
}
