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
  /** The holder on this very node, for recipients whose mail we hold ourselves. */
  readonly own?: Pick<HolderSession, 'terms' | 'deposit'> | undefined
}

/**
 * Leaves an item with every holder of a recipient, side by side; the verified receipts of those that took it.
 * @throws ERR_MAILBOX_NONE when the bundle names no holder, ERR_WIRE_TOO_LARGE, else the reason of the first holder when none took it
 */
export type Depositor = (deposit: Deposit) => Promise<readonly StorageReceipt[]>

export function createDepositor({ host, clock, logger, introductions, own }: DepositorOptions): Depositor {
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
  async function depositAt(holder: Did, deposit: Deposit): Promise<StorageReceipt> {
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
  return async (deposit) => {
    const { mailboxes } = deposit.recipient
    if (mailboxes.length === 0) throw new MeshError('ERR_MAILBOX_NONE', `${deposit.recipient.owner} names nobody who holds its mail`)
    if (deposit.sealed.length > mailboxItemBytesMax) {
      throw new MeshError('ERR_WIRE_TOO_LARGE', `an item of ${deposit.sealed.length} bytes; holders take ${mailboxItemBytesMax}`)
    }
    const expiresAt = Math.min(deposit.expiresAt, clock.now() + mailboxTtlMsMax)
    const results = await Promise.allSettled([...new Set(mailboxes)].map((holder) => depositAt(holder, { ...deposit, expiresAt })))
    deposit.signal?.throwIfAborted()
    const receipts: StorageReceipt[] = []
    let reason: unknown
    for (const result of results) {
      if (result.status === 'fulfilled') receipts.push(result.value)
      else {
        reason ??= result.reason
        logger.info('a holder did not take an item', { code: toMeshError(result.reason).code })
      }
    }
    if (receipts.length === 0) throw toMeshError(reason)
    return receipts
  }
}
