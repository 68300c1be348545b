import { type Clock, hex, MeshError } from '../base/index.ts'
import { clockSkewMsMax, type Signed } from '../identity/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, instant, row } from '../wire/index.ts'

/** Statements remembered until they expire; past this, new ones are refused rather than old ones forgotten. Source: klp/v1 section 5. */
export const replayEntriesMax = 262_144

const entryCodec = codec('replay entry', row({ expiresAt: instant, hash: bytesOf(32) }), 64)

/** Remembers what was taken until it expires, across restarts. */
export interface ReplayGuard {
  /**
   * Claims a statement: the returned writes, under their full keys, belong into the same durable batch as its effect. Call `release` if that batch fails.
   * @throws ERR_REPLAYED when it was claimed before, ERR_OVERLOADED when the memory is full
   */
  claim(signed: Signed): { readonly ops: readonly StoreOp[]; release(): void }
}

export async function openReplayGuard({ store, clock }: { readonly store: Store; readonly clock: Clock }): Promise<ReplayGuard> {
  /** Hash of the statement -> when it may be forgotten, in order of claim. */
  const taken = new Map<string, number>()
  for await (const [key, value] of store.range({})) taken.set(key, entryCodec.decode(value).expiresAt)

  /** Drops what expired, at most a few on each call so that no message pays for all. */
  function expired(now: number, most: number): StoreOp[] {
    const ops: StoreOp[] = []
    for (const [key, until] of taken) {
      if (ops.length >= most || until >= now) break
      taken.delete(key)
      ops.push(del(key))
    }
    return ops
  }
  return {
    claim({ ref, hash, statement }) {
      const now = clock.now()
      if (taken.has(ref)) throw new MeshError('ERR_REPLAYED', `statement ${hex(statement.id)} was taken before`)
      const forgotten = expired(now, 4)
      if (taken.size >= replayEntriesMax) throw new MeshError('ERR_OVERLOADED', `${replayEntriesMax} unexpired messages are remembered`)
      // Twice the skew: a clock set back by that much revives nothing.
      const until = statement.expiresAt + 2 * clockSkewMsMax
      taken.set(ref, until)
      return { ops: store.qualify([put(ref, entryCodec.encode({ expiresAt: until, hash })), ...forgotten]), release: () => void taken.delete(ref) }
    },
  }
}
