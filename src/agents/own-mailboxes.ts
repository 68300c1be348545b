import { type Did, hex, keyFromDid } from '../base/index.ts'
import { type Acceptance, mailboxStatementBytesMax } from '../protocols/mailbox/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesUpTo, codec, did, instant, listOf, row, textUpTo, uintUpTo } from '../wire/index.ts'

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
    acceptance: bytesUpTo(mailboxStatementBytesMax),
  }),
  2 * mailboxStatementBytesMax,
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
  readonly acceptance: Uint8Array
}

export const ownMailboxOf = (holder: Did, { items, bytes, until, lastSeq, signed }: Acceptance, addresses: readonly string[]): OwnMailbox => ({
  holder,
  owner: signed.statement.to,
  addresses: addresses.slice(0, 16).filter((address) => address.length <= 256),
  items,
  bytes,
  registeredAt: signed.statement.issuedAt,
  until,
  lastSeq,
  acceptance: signed.bytes,
})

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
