import { type Clock, type Did, equal, type Logger, MeshError, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import type { PrekeyBundle } from '../envelope/index.ts'
import type { Host } from '../net/index.ts'
import {
  doWork,
  type HolderSession,
  mailboxItemBytesMax,
  mailboxTtlMsMax,
  openReceipt,
  type RequestOf,
  type StorageReceipt,
  withHolder,
} from '../protocols/mailbox/index.ts'
import type { Introductions } from './introductions.ts'

/** Time one holder has to take an item, work included. */
export const depositTimeoutMs = 60 * secondMs
/** Deposits under way at one holder; more wait their turn. Below what a holder allows one peer. */
export const depositsPerHolderMax = 4
/** A holder that was not reached is not waited for this long while another takes the item. */
export const holderRestMs = 30 * secondMs
const holdersRestingMax = 1_024
/** How often the work is done again when the holder asks for more than it said. */
const workAttemptsMax = 3

export interface Deposit extends SignalOption {
  readonly recipient: Pick<PrekeyBundle, 'owner' | 'mailboxes'>
  /** Ciphertext; the holder learns nothing from it but its size. */
  readonly sealed: Uint8Array
  readonly expiresAt: number
}

export interface DepositorOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  readonly introductions: Introductions
  /** The newest bundle the DHT has of a peer. */
  newestBundle(peer: Did, options: SignalOption): Promise<Pick<PrekeyBundle, 'mailboxes'>>
  /** The holder on this very node, for recipients whose mail we hold ourselves. */
  readonly own?: Pick<HolderSession, 'terms' | 'deposit'> | undefined
}

/**
 * Leaves an item with every holder of a recipient, side by side; the verified receipts of those that took it. When none does, the DHT is asked for newer ones.
 * @throws ERR_MAILBOX_NONE when the recipient names no holder, ERR_WIRE_TOO_LARGE, else the reason of the first holder when none took it
 */
export type Depositor = (deposit: Deposit) => Promise<readonly StorageReceipt[]>

export function createDepositor({ host, clock, logger, introductions, newestBundle, own }: DepositorOptions): Depositor {
  async function offer(session: Pick<HolderSession, 'terms' | 'deposit'>, holder: Did, { recipient, sealed, expiresAt, signal }: Deposit): Promise<Uint8Array> {
    const request: Omit<RequestOf<'deposit'>, 'ask'> = { recipient: recipient.owner, item: sealed, expiresAt, delegation: undefined, nonce: undefined }
    const delegation = introductions.delegationOf(recipient.owner)
    if (delegation !== undefined) {
      try {
        return await session.deposit({ ...request, delegation })
      } catch (error) {
        // A right that this holder does not accept: then as a stranger.
        const { code } = toMeshError(error)
        if (code !== 'ERR_MAILBOX_GRANT' && !code.startsWith('ERR_STATEMENT_')) throw error
      }
    }
    const subject = { holder, recipient: recipient.owner, itemHash: sha256(sealed), expiresAt }
    for (let attempt = 1; ; attempt++) {
      const { bits } = await session.terms(recipient.owner)
      const nonce = await doWork(subject, bits, { signal })
      try {
        return await session.deposit({ ...request, nonce })
      } catch (error) {
        if (attempt >= workAttemptsMax || toMeshError(error).code !== 'ERR_MAILBOX_WORK') throw error
      }
    }
  }
  const lanes = new Map<Did, { running: number; readonly waiting: (() => void)[] }>()
  async function inTurn<T>(holder: Did, act: () => Promise<T>): Promise<T> {
    const lane = lanes.get(holder) ?? { running: 0, waiting: [] }
    lanes.set(holder, lane)
    if (lane.running < depositsPerHolderMax) lane.running++
    else await new Promise<void>((resolve) => lane.waiting.push(resolve))
    try {
      return await act()
    } finally {
      const next = lane.waiting.shift()
      if (next !== undefined) next()
      else if (--lane.running === 0) lanes.delete(holder)
    }
  }
  async function depositAt(holder: Did, deposit: Deposit): Promise<StorageReceipt> {
    deposit.signal?.throwIfAborted()
    const signal = within(clock, depositTimeoutMs, deposit.signal, 'a deposit')
    const given = { ...deposit, signal }
    let receipt: Uint8Array
    if (holder === host.did) {
      if (own === undefined) throw new MeshError('ERR_MAILBOX_UNKNOWN', 'the recipient names us, and we hold no mail')
      receipt = await offer(own, holder, given)
    } else {
      const addresses = introductions.addressesOf(deposit.recipient.owner, holder)
      const isConnected = host.peers().some(({ did }) => did === holder)
      if (addresses.length > 0 && !isConnected) await host.learn(holder, addresses).catch(() => undefined)
      receipt = await withHolder(host, holder, { signal }, (session) => offer(session, holder, given))
    }
    const opened = openReceipt(receipt, { from: holder, to: deposit.recipient.owner, now: clock.now() })
    if (!equal(opened.itemHash, sha256(deposit.sealed)) || opened.storedUntil <= clock.now()) {
      throw new MeshError('ERR_RECEIPT_INVALID', 'the storage receipt is about another item')
    }
    return opened
  }
  /** Bundle and introduction both come from the recipient; either may be the older one. */
  const holdersOf = ({ owner, mailboxes }: Deposit['recipient']): readonly Did[] => [...new Set([...mailboxes, ...introductions.holdersOf(owner)])]

  /** Until when a holder that was not reached is left alone. */
  const resting = new Map<Did, number>()
  function rest(holder: Did): void {
    if (resting.size >= holdersRestingMax) resting.clear()
    resting.set(holder, clock.monotonic() + holderRestMs)
  }
  const isResting = (holder: Did): boolean => (resting.get(holder) ?? -Infinity) > clock.monotonic()

  async function depositAll(holders: readonly Did[], deposit: Deposit): Promise<readonly StorageReceipt[]> {
    if (holders.length === 0) throw new MeshError('ERR_MAILBOX_NONE', `${deposit.recipient.owner} names nobody who holds its mail`)
    const receipts: StorageReceipt[] = []
    let reason: MeshError | undefined
    for (const some of [holders.filter((holder) => !isResting(holder)), holders.filter(isResting)]) {
      if (receipts.length > 0) break
      const results = await Promise.allSettled(some.map((holder) => inTurn(holder, () => depositAt(holder, deposit))))
      deposit.signal?.throwIfAborted()
      results.forEach((result, index) => {
        const holder = some[index] ?? host.did
        if (result.status === 'fulfilled') {
          resting.delete(holder)
          receipts.push(result.value)
          return
        }
        const error = toMeshError(result.reason)
        reason ??= error
        if (error.code.startsWith('ERR_NET_') || error.code === 'ERR_TIMEOUT') rest(holder)
        logger.info('a holder did not take an item', { holder, code: error.code })
      })
    }
    if (receipts.length === 0) throw reason ?? new MeshError('ERR_MAILBOX_NONE', 'no holder is left')
    return receipts
  }
  return async (given) => {
    if (given.sealed.length > mailboxItemBytesMax) {
      throw new MeshError('ERR_WIRE_TOO_LARGE', `an item of ${given.sealed.length} bytes; holders take ${mailboxItemBytesMax}`)
    }
    const deposit = { ...given, expiresAt: Math.min(given.expiresAt, clock.now() + mailboxTtlMsMax) }
    const holders = holdersOf(deposit.recipient)
    try {
      return await depositAll(holders, deposit)
    } catch (error) {
      deposit.signal?.throwIfAborted()
      // The recipient may have others by now than when we last heard of it.
      const newest = await newestBundle(deposit.recipient.owner, { signal: deposit.signal }).catch(() => undefined)
      const others = (newest?.mailboxes ?? []).filter((holder) => !holders.includes(holder))
      if (others.length === 0) throw error
      return await depositAll(others, deposit)
    }
  }
}
