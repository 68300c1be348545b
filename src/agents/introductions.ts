import { type Clock, type Did, hex, keyFromDid, MeshError, toMeshError } from '../base/index.ts'
import { mailboxStatementBytesMax, openDepositGrant, type RequestOf } from '../protocols/mailbox/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { bytesUpTo, codec, did, listOf, nullable, row, textUpTo } from '../wire/index.ts'

/** Recipients whose introduction is kept; the oldest makes room. */
export const introductionsMax = 4_096

export type Introduction = Omit<RequestOf<'introduce'>, 'ask' | 'bundle'>

const storedCodec = codec(
  'stored introduction',
  row({
    from: did,
    delegation: nullable(bytesUpTo(mailboxStatementBytesMax)),
    holders: listOf(row({ holder: did, addresses: listOf(textUpTo(256), 16) }), 16),
  }),
  3 * mailboxStatementBytesMax,
)

/** What recipients told us for the time when they are off: that we may deposit, and where their holders are. Hints, and a right that holders check. */
export interface Introductions {
  /** @throws ERR_STATEMENT_*, ERR_MAILBOX_GRANT for a delegation that is not from `peer` to us */
  take(peer: Did, introduction: Introduction): Promise<void>
  /** The delegation while it is good. */
  delegationOf(recipient: Did): Uint8Array | undefined
  /** The holders it named last. */
  holdersOf(recipient: Did): readonly Did[]
  addressesOf(recipient: Did, holder: Did): readonly string[]
}

export async function openIntroductions({ store, self, clock }: { readonly store: Store; readonly self: Did; readonly clock: Clock }): Promise<Introductions> {
  /** In order of arrival. */
  const known = new Map<Did, Introduction>()
  const keyOf = (peer: Did): string => hex(keyFromDid(peer))
  for await (const [, value] of store.range({})) {
    const { from, ...introduction } = storedCodec.decode(value)
    known.set(from, introduction)
  }
  return {
    async take(peer, { delegation, holders }) {
      if (delegation !== undefined) openDepositGrant(delegation, { from: peer, to: self, now: clock.now() })
      const introduction = { delegation, holders }
      const oldest = known.size >= introductionsMax && !known.has(peer) ? known.keys().next().value : undefined
      if (oldest !== undefined) known.delete(oldest)
      known.delete(peer)
      known.set(peer, introduction)
      await store.batch([put(keyOf(peer), storedCodec.encode({ from: peer, ...introduction })), ...(oldest === undefined ? [] : [del(keyOf(oldest))])])
    },
    delegationOf(recipient) {
      const delegation = known.get(recipient)?.delegation
      if (delegation === undefined) return undefined
      try {
        openDepositGrant(delegation, { from: recipient, to: self, now: clock.now() })
        return delegation
      } catch (error) {
        if (error instanceof MeshError) return undefined
        throw toMeshError(error)
      }
    },
    holdersOf: (recipient) => known.get(recipient)?.holders.map(({ holder }) => holder) ?? [],
    addressesOf: (recipient, holder) => known.get(recipient)?.holders.find((known) => known.holder === holder)?.addresses ?? [],
  }
}
