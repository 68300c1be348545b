import { type Did, hex, keyFromDid } from '../base/index.ts'
import { type Acceptance, type MailboxPage, mailboxStatementBytesMax } from '../protocols/mailbox/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesUpTo, codec, did, instant, listOf, row, textUpTo, uintUpTo } from '../wire/index.ts'

/** Numbers of missed items kept for `check`, the newest of them. */
export const missedKeptMax = 256

const count = uintUpTo(Number.MAX_SAFE_INTEGER)
const storedCodec = codec(
  'own mailbox',
  row({
    holder: did,
    owner: did,
    addresses: listOf(textUpTo(256), 16),
    items: count,
    bytes: count,
    registeredAt: instant,
    until: instant,
    lastSeq: count,
    seenUpTo: count,
    missedCount: count,
    missed: listOf(row({ seq: count, at: instant }), missedKeptMax),
    acceptance: bytesUpTo(mailboxStatementBytesMax),
  }),
  4 * mailboxStatementBytesMax,
)

/** A holder of our mail, as it was agreed. */
export interface OwnMailbox {
  readonly holder: Did
  /** The key it was agreed for. */
  readonly owner: Did
  /** Where the holder was last seen. */
  readonly addresses: readonly string[]
  readonly items: number
  readonly bytes: number
  readonly registeredAt: number
  readonly until: number
  /** The highest number the holder has signed for. */
  readonly lastSeq: number
  /** Up to this number all of its pages were seen. */
  readonly seenUpTo: number
  /** Items that were no longer there when we came, though never ours to acknowledge: past their time, or lost. */
  readonly missedCount: number
  /** The newest of them, with the time of the page that left them out. */
  readonly missed: readonly { readonly seq: number; readonly at: number }[]
  readonly acceptance: Uint8Array
}

/** What was agreed, and what `before` knew of the same holder. */
export const ownMailboxOf = (
  holder: Did,
  { items, bytes, until, lastSeq, signed }: Acceptance,
  addresses: readonly string[],
  before: OwnMailbox | undefined,
): OwnMailbox => ({
  holder,
  owner: signed.statement.to,
  addresses: addresses.slice(0, 16).filter((address) => address.length <= 256),
  items,
  bytes,
  registeredAt: signed.statement.issuedAt,
  until,
  lastSeq: before?.lastSeq ?? lastSeq,
  // What was given out before us is not ours to miss.
  seenUpTo: before?.seenUpTo ?? lastSeq,
  missedCount: before?.missedCount ?? 0,
  missed: before?.missed ?? [],
  acceptance: signed.bytes,
})

/** What a page tells beyond what was known: numbers given out since that it does not list were missed. Source: mailbox/v1 section 5. */
export function withPage(mailbox: OwnMailbox, { after, upTo, last, entries, signed }: MailboxPage): OwnMailbox {
  if (after > mailbox.seenUpTo || upTo <= mailbox.seenUpTo) return { ...mailbox, lastSeq: last, seenUpTo: Math.min(mailbox.seenUpTo, last) }
  const listed = entries.filter(({ seq }) => seq > mailbox.seenUpTo)
  const missed: { readonly seq: number; readonly at: number }[] = []
  const has = new Set(listed.map(({ seq }) => seq))
  // From the newest down: a holder may claim any number.
  for (let seq = upTo; seq > mailbox.seenUpTo && missed.length < missedKeptMax; seq--) {
    if (!has.has(seq)) missed.unshift({ seq, at: signed.statement.issuedAt })
  }
  return {
    ...mailbox,
    lastSeq: last,
    seenUpTo: upTo,
    missedCount: mailbox.missedCount + (upTo - mailbox.seenUpTo) - listed.length,
    missed: [...mailbox.missed, ...missed].slice(-missedKeptMax),
  }
}

/** Who holds our mail, on disk; in order of their keys. */
export interface OwnMailboxes {
  list(): readonly OwnMailbox[]
  get(holder: Did): OwnMailbox | undefined
  /** Keeps it once `commit` has its writes, under their full keys, on disk. */
  save(mailbox: OwnMailbox, commit?: Commit): Promise<void>
  remove(holder: Did, commit: Commit): Promise<void>
}

type Commit = (ops: readonly StoreOp[]) => Promise<unknown>

export async function openOwnMailboxes(store: Store): Promise<OwnMailboxes> {
  const known = new Map<Did, OwnMailbox>()
  const keyOf = (holder: Did): string => hex(keyFromDid(holder))
  for await (const [, value] of store.range({})) {
    const mailbox = storedCodec.decode(value)
    known.set(mailbox.holder, mailbox)
  }
  return {
    list: () => [...known.values()].sort((a, b) => (a.holder < b.holder ? -1 : 1)),
    get: (holder) => known.get(holder),
    async save(mailbox, commit) {
      const ops = [put(keyOf(mailbox.holder), storedCodec.encode(mailbox))]
      await (commit === undefined ? store.durable(ops) : commit(store.qualify(ops)))
      known.set(mailbox.holder, mailbox)
    },
    async remove(holder, commit) {
      await commit(store.qualify([del(keyOf(holder))]))
      known.delete(holder)
    },
  }
}
