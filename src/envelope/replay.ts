import { type Clock, hex, MeshError } from '../base/index.ts'
import { clockSkewMsMax, type Composed } from '../identity/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, instant, row } from '../wire/index.ts'

/** Statements remembered until they expire; past this, new ones are refused rather than old ones forgotten. Source: klp/v1 section 5. */
export const replayEntriesMax = 262_144

const entryCodec = codec('replay entry', row({ expiresAt: instant, hash: bytesOf(32) }), 64)

interface Taken {
  /** Wall clock. */
  readonly until: number
  /** Monotonic clock. */
  readonly from: number
}

/** Remembers what was taken until it expires, across restarts. */
export interface ReplayGuard {
  /**
   * Claims a statement: the returned writes, under their full keys, belong into the same durable batch as its effect. Call `release` if that batch fails:
   * a write that failed may have landed all the same, so the disk decides whether the statement may be claimed again.
   * @throws ERR_REPLAYED when it was claimed before, ERR_OVERLOADED when the memory is full
   */
  claim(statement: Pick<Composed, 'ref' | 'hash' | 'statement'>): { readonly ops: readonly StoreOp[]; release(): Promise<void> }
}

export interface ReplayGuardOptions {
  readonly store: Store
  readonly clock: Clock
  /** Statements remembered at a time. */
  readonly entriesMax?: number
}

export async function openReplayGuard({ store, clock, entriesMax = replayEntriesMax }: ReplayGuardOptions): Promise<ReplayGuard> {
  /** Hash of the statement -> when it may be forgotten, in order of claim. */
  const taken = new Map<string, Taken>()
  // By the wall clock and by the one that only goes forward: a wall clock that leaps ahead and is set right again revives nothing.
  const remember = (ref: string, until: number): void => void taken.set(ref, { until, from: clock.monotonic() + Math.max(0, until - clock.now()) })
  for await (const [key, value] of store.range({})) remember(key, entryCodec.decode(value).expiresAt)

  /** Drops what expired, at most a few on each call so that no message pays for all. */
  function expired(now: number, most: number): StoreOp[] {
    const ops: StoreOp[] = []
    for (const [key, { until, from }] of taken) {
      if (ops.length >= most || until >= now || from > clock.monotonic()) break
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
      if (taken.size >= entriesMax) throw new MeshError('ERR_OVERLOADED', `${entriesMax} unexpired messages are remembered`)
      // Twice the skew: a clock set back by that much revives nothing.
      const until = statement.expiresAt + 2 * clockSkewMsMax
      remember(ref, until)
      return {
        ops: store.qualify([put(ref, entryCodec.encode({ expiresAt: until, hash })), ...forgotten]),
        async release() {
          if (!(await store.has(ref).catch(() => true))) taken.delete(ref)
        },
      }
    },
  }
}
