import { type Clock, createTally, dayMs, type Did, type Logger, MeshError, minuteMs, type Random, toMeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { clockSkewMsMax, type Keyring } from '../identity/index.ts'
import {
  type Acceptance,
  isWorkDone,
  type MailboxHandlers,
  mailboxItemBytesMax,
  mailboxTtlMsMax,
  openDepositGrant,
  openRegistration,
  pageEntriesMax,
  type RequestOf,
  signAcceptance,
  signPage,
  signReceipt,
  workBitsDefault,
  workBitsRiseMax,
} from '../protocols/mailbox/index.ts'
import type { Store } from '../store/index.ts'
import { type Box, openShelf, type Used } from './mailbox-shelf.ts'

/** Recipients a node holds mail for. Source: mailbox/v1 section 6. */
export const mailboxRecipientsMax = 1_000
/** Items and bytes held for one recipient. */
export const mailboxItemsPerRecipientMax = 4_096
export const mailboxBytesPerRecipientMax = 64 << 20
/** Items and bytes held for all. */
export const mailboxItemsMax = 65_536
export const mailboxBytesMax = 1 << 30
/** Items and bytes of one depositor without a delegation that lie in one mailbox. */
export const strangerItemsMax = 64
export const strangerBytesMax = 4 << 20
/** The part of a recipient's quota that all strangers share, and the one that a single delegated depositor may fill: one in so many. */
export const strangersShare = 2
export const depositorShare = 4
/** Bytes of items one page carries at most, besides its last item. */
export const pageBytesMax = 1 << 20
/** Registrations one peer may bring per minute: each is a write. */
export const registrationsPerMinuteMax = 20
/** What is past its time is removed this often. */
export const mailboxSweepMs = 10 * minuteMs
/** An empty mailbox whose registration ended is remembered this long, so that its numbers go on. */
export const mailboxClosedKeptMs = 60 * dayMs

/** What the operator allows. */
export interface HolderLimits {
  readonly recipients: number
  readonly itemsPerRecipient: number
  readonly bytesPerRecipient: number
  readonly items: number
  readonly bytes: number
  readonly strangerItems: number
  readonly strangerBytes: number
  /** Bits of work asked of strangers while there is room. */
  readonly workBits: number
}

export const holderLimitsUsual: HolderLimits = {
  recipients: mailboxRecipientsMax,
  itemsPerRecipient: mailboxItemsPerRecipientMax,
  bytesPerRecipient: mailboxBytesPerRecipientMax,
  items: mailboxItemsMax,
  bytes: mailboxBytesMax,
  strangerItems: strangerItemsMax,
  strangerBytes: strangerBytesMax,
  workBits: workBitsDefault,
}

export interface HolderOptions {
  readonly store: Store
  readonly keyring: Pick<Keyring, 'did' | 'sign'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly limits?: Partial<HolderLimits>
  /** May this peer have a mailbox here? Everybody, unless the operator says otherwise. */
  mayRegister?(peer: Did): boolean
  /** A mailbox was opened or left. */
  onChange?(change: 'opened' | 'left', owner: Did): void
}

export interface HolderStatus extends Used {
  readonly recipients: number
  readonly limits: HolderLimits
}

/** Holds sealed items for others while they are off. */
export interface MailboxHolder extends Omit<MailboxHandlers, 'introduce'> {
  status(): HolderStatus
  /** Removes what is past its time. */
  sweep(): Promise<void>
  stop(): void
}

type Deposit = Omit<RequestOf<'deposit'>, 'ask'>

const full = (message: string): MeshError => new MeshError('ERR_MAILBOX_FULL', message, { details: { retryAfterMs: mailboxSweepMs } })

export async function openMailboxHolder(options: HolderOptions): Promise<MailboxHolder> {
  const { store, keyring, clock, random, logger, mayRegister = () => true, onChange = () => undefined } = options
  const limits = { ...holderLimitsUsual, ...options.limits }
  const shelf = await openShelf({ store, clock, logger })
  const tally = createTally<Did>({ clock, most: registrationsPerMinuteMax, windowMs: minuteMs })
  const signing = () => ({ keyring, random, now: clock.now() })

  function boxOf(owner: Did): Box {
    const box = shelf.box(owner)
    if (box === undefined) throw new MeshError('ERR_MAILBOX_UNKNOWN', 'this node holds no mail for that recipient')
    return box
  }
  function openBoxOf(owner: Did): Box {
    const box = boxOf(owner)
    if (box.until + clockSkewMsMax < clock.now()) throw new MeshError('ERR_MAILBOX_UNKNOWN', 'the registration of that recipient has ended')
    return box
  }
  /** How full the place is that strangers share: 0 to 1. */
  function fullness({ strangers, items, bytes }: Box): number {
    return Math.min(
      1,
      Math.max(
        (strangers.items * strangersShare) / Math.max(1, items),
        (strangers.bytes * strangersShare) / Math.max(1, bytes),
        shelf.used.items / limits.items,
        shelf.used.bytes / limits.bytes,
      ),
    )
  }
  const bitsFor = (box: Box): number => limits.workBits + Math.floor(fullness(box) * workBitsRiseMax)

  /** By which right this is deposited, and how much of the mailbox it may fill. @throws ERR_MAILBOX_GRANT, ERR_MAILBOX_WORK, ERR_WIRE_*, ERR_STATEMENT_* */
  function rightOf(
    peer: Did,
    { recipient, expiresAt, delegation, nonce }: Deposit,
    itemHash: Uint8Array,
    box: Box,
  ): { readonly isStranger: boolean; readonly most: Used } {
    if (delegation !== undefined) {
      const grant = openDepositGrant(delegation, { from: recipient, to: peer, now: clock.now() })
      const [items, bytes] = [Math.ceil(box.items / depositorShare), Math.ceil(box.bytes / depositorShare)]
      return { isStranger: false, most: { items: Math.min(items, grant.items ?? items), bytes: Math.min(bytes, grant.bytes ?? bytes) } }
    }
    if (nonce === undefined) throw new MeshError('ERR_MAILBOX_GRANT', 'a deposit needs a delegation of the recipient or proof of work')
    // One bit less: others may have deposited since the terms were told.
    const bits = Math.max(limits.workBits, bitsFor(box) - 1)
    if (!isWorkDone({ holder: keyring.did, recipient, itemHash, expiresAt }, nonce, bits)) {
      throw new MeshError('ERR_MAILBOX_WORK', `${bitsFor(box)} bits of work are needed for this recipient, holder, item and time`)
    }
    return { isStranger: true, most: { items: limits.strangerItems, bytes: limits.strangerBytes } }
  }
  /** @throws ERR_MAILBOX_FULL naming what is full */
  function checkRoom(peer: Did, bytes: number, { isStranger, most }: ReturnType<typeof rightOf>, box: Box): void {
    const fits = (used: Used, items: number, bytesMax: number): boolean => used.items + 1 <= items && used.bytes + bytes <= bytesMax
    if (!fits(box.usedBy(peer), most.items, most.bytes)) throw full('what one depositor may leave in this mailbox is used up')
    if (isStranger && !fits(box.strangers, Math.ceil(box.items / strangersShare), Math.ceil(box.bytes / strangersShare))) {
      throw full('what strangers may leave in this mailbox is used up')
    }
    if (!fits(box.used, box.items, box.bytes)) throw full('the mailbox is full')
    if (!fits(shelf.used, limits.items, limits.bytes)) throw full('the holder is full')
  }
  function checkTime(expiresAt: number): void {
    const left = expiresAt - clock.now()
    if (left <= 0) throw new MeshError('ERR_STATEMENT_EXPIRED', 'the item is past its time')
    if (left > mailboxTtlMsMax + clockSkewMsMax) throw new MeshError('ERR_STATEMENT_LIFETIME', `an item is held ${mailboxTtlMsMax} ms at most`)
  }

  async function sweep(): Promise<void> {
    await shelf.sweep(clock.now() - mailboxClosedKeptMs)
  }
  let cancel: () => void = () => undefined
  const sweepLater = (): void => {
    cancel = clock.after(mailboxSweepMs, () => {
      sweep()
        .catch((error: unknown) => logger.warn('mailboxes not swept', { code: toMeshError(error).code }))
        .finally(sweepLater)
    })
  }
  sweepLater()

  return {
    terms: (_peer, recipient) => ({ bits: bitsFor(openBoxOf(recipient)) }),
    async register(peer, bytes) {
      const registration = openRegistration(bytes, { from: peer, to: keyring.did, now: clock.now() })
      const known = shelf.box(peer)
      if (!tally.count(peer)) throw new MeshError('ERR_OVERLOADED', 'registered too often', { details: { retryAfterMs: minuteMs } })
      if (!mayRegister(peer)) throw new MeshError('ERR_POLICY_DENIED', 'this node holds no mail for you')
      if (known === undefined && shelf.boxes >= limits.recipients) {
        await sweep()
        if (shelf.boxes >= limits.recipients) throw full(`this node holds mail for ${limits.recipients} recipients`)
      }
      const { issuedAt } = registration.signed.statement
      if (known !== undefined && issuedAt < known.registeredAt) throw new MeshError('ERR_REPLAYED', 'a newer registration is known')
      const terms = {
        items: Math.min(registration.items, limits.itemsPerRecipient),
        bytes: Math.min(registration.bytes, limits.bytesPerRecipient),
        until: registration.until,
        registeredAt: issuedAt,
      }
      await shelf.register(peer, terms)
      if (known === undefined || known.until < clock.now()) onChange('opened', peer)
      const { items, bytes: bytesMax } = terms
      const facts: Pick<Acceptance, 'items' | 'bytes' | 'itemBytesMax' | 'ttlMsMax' | 'lastSeq'> = {
        items,
        bytes: bytesMax,
        itemBytesMax: mailboxItemBytesMax,
        ttlMsMax: mailboxTtlMsMax,
        lastSeq: boxOf(peer).lastSeq,
      }
      return signAcceptance(registration, facts, signing()).bytes
    },
    async deposit(peer, request) {
      const { recipient, item, expiresAt } = request
      const box = openBoxOf(recipient)
      if (item.length === 0) throw new MeshError('ERR_WIRE_MALFORMED', 'the item is empty')
      checkTime(expiresAt)
      const itemHash = sha256(item)
      const right = rightOf(peer, request, itemHash, box)
      for (let known = shelf.receiptOf(recipient, itemHash); known !== undefined; known = shelf.receiptOf(recipient, itemHash)) {
        const receipt = await known
        if (receipt !== undefined) return receipt
      }
      checkRoom(peer, item.length, right, boxOf(recipient))
      const { isStranger } = right
      return await shelf.keep(
        recipient,
        item,
        { itemHash, depositor: peer, isStranger, expiresAt },
        (seq) => signReceipt(recipient, { itemHash, bytes: item.length, seq, storedUntil: expiresAt }, signing()).bytes,
      )
    },
    async *collect(peer, after) {
      boxOf(peer)
      const { held, last } = shelf.list(peer, after)
      if (after > last) throw new MeshError('ERR_PROTOCOL', `nothing was given a number over ${last} yet`)
      const entries: { readonly seq: number; readonly itemHash: Uint8Array }[] = []
      let bytes = 0
      let upTo = last
      for (const { seq, itemHash, bytes: size } of held) {
        if (entries.length >= pageEntriesMax || (entries.length > 0 && bytes + size > pageBytesMax)) {
          upTo = seq - 1
          break
        }
        const item = await shelf.read(peer, seq)
        if (item === undefined) {
          // Acknowledged since it was listed, or lost: a page that leaves it out says so.
          logger.debug('an item is not there', { seq })
          continue
        }
        bytes += size
        entries.push({ seq, itemHash })
        yield { seq, item }
      }
      yield { page: signPage(peer, { after, upTo, last, entries }, signing()).bytes }
    },
    async acknowledge(peer, seqs) {
      boxOf(peer)
      await shelf.drop(peer, seqs)
    },
    async leave(peer) {
      const { items, bytes, until, registeredAt } = boxOf(peer)
      const now = clock.now()
      if (until <= now) return
      await shelf.register(peer, { items, bytes, until: now - clockSkewMsMax - 1, registeredAt })
      onChange('left', peer)
    },
    usage(peer) {
      const { used, items, bytes, until } = boxOf(peer)
      return { items: used.items, bytes: used.bytes, itemsMax: items, bytesMax: bytes, until }
    },
    status: () => ({ recipients: shelf.boxes, items: shelf.used.items, bytes: shelf.used.bytes, limits }),
    sweep,
    stop: () => cancel(),
  }
}
