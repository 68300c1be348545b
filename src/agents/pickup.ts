import { type Clock, type Did, equal, hex, type Logger, MeshError, toMeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { type HolderSession, type MailboxPage, openPage } from '../protocols/mailbox/index.ts'

/** Items remembered by hash, so that the copies of other holders are not opened again; past this the replay guard alone says no. */
export const itemsRememberedMax = 10_000

/** What became of an item: `taken` and on disk, `known` from before, `refused` for good. All three are acknowledged; what throws stays with the holder. */
export type ReceiveStored = (sealed: Uint8Array) => Promise<'taken' | 'known' | 'refused'>

export interface Pickup {
  /** Takes everything a holder has for us, page by page, and acknowledges what we have once `onPage` has noted the page. @throws the holder's refusals, ERR_NET_*, ERR_PROTOCOL when it contradicts itself */
  collect(holder: Did, session: Pick<HolderSession, 'collect' | 'acknowledge'>, onPage?: (page: MailboxPage) => Promise<void>): Promise<PickedUp>
}

export interface PickedUp {
  readonly taken: number
  readonly known: number
  readonly refused: number
  /** Left with the holder: could not be taken now. */
  readonly left: number
}

export interface PickupOptions {
  readonly self: Did
  readonly clock: Clock
  readonly logger: Logger
  readonly receiveStored: ReceiveStored
}

export function createPickup({ self, clock, logger, receiveStored }: PickupOptions): Pickup {
  const settled = new Set<string>()
  const running = new Map<string, Promise<'taken' | 'known' | 'refused'>>()

  function remember(ref: string): void {
    if (settled.size >= itemsRememberedMax) settled.clear()
    settled.add(ref)
  }
  async function take(item: Uint8Array, ref: string): Promise<'taken' | 'known' | 'refused'> {
    if (settled.has(ref)) return 'known'
    const other = running.get(ref)
    if (other !== undefined) return (await other) === 'refused' ? 'refused' : 'known'
    const mine = receiveStored(item)
    running.set(ref, mine)
    try {
      const outcome = await mine
      remember(ref)
      return outcome
    } finally {
      running.delete(ref)
    }
  }
  async function takePage(holder: Did, session: Pick<HolderSession, 'collect'>, after: number, counts: Record<'taken' | 'known' | 'refused' | 'left', number>) {
    const got = new Map<number, Uint8Array>()
    const done: number[] = []
    const parts = session.collect(after)
    for (;;) {
      const part = await parts.next()
      if (part.done === true) return { page: pageOf(part.value, holder, after, got), done }
      const { seq, item } = part.value
      const itemHash = sha256(item)
      got.set(seq, itemHash)
      try {
        counts[await take(item, hex(itemHash))]++
        done.push(seq)
      } catch (error) {
        logger.info('an item stays in the mailbox', { holder, seq, code: toMeshError(error).code })
        counts.left++
      }
    }
  }
  /** The signed page must say what was sent, no more and no less. */
  function pageOf(bytes: Uint8Array, holder: Did, after: number, got: ReadonlyMap<number, Uint8Array>): MailboxPage {
    const page = openPage(bytes, { from: holder, to: self, now: clock.now() })
    const fits =
      page.after === after && page.entries.length === got.size && page.entries.every(({ seq, itemHash }) => equal(got.get(seq) ?? new Uint8Array(), itemHash))
    if (!fits) throw new MeshError('ERR_PROTOCOL', 'the holder signed another page than it sent')
    return page
  }

  return {
    async collect(holder, session, onPage) {
      const counts = { taken: 0, known: 0, refused: 0, left: 0 }
      for (let after = 0; ;) {
        const { page, done } = await takePage(holder, session, after, counts)
        await onPage?.(page)
        if (done.length > 0) await session.acknowledge(done)
        if (page.upTo >= page.last) return counts
        after = page.upTo
      }
    },
  }
}
