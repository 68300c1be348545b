import { type Clock, type Did, hex, MeshError, minuteMs } from '../base/index.ts'
import { clockSkewMsMax, type Composed } from '../identity/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, did, instant, row } from '../wire/index.ts'

/** Statements remembered until they expire; past this, new ones are refused rather than old ones forgotten. Source: klp/v1 section 5. */
export const replayEntriesMax = 262_144
/** Of these, statements of one sender: nobody fills the memory for all. Source: klp/v1 section 5. */
export const replayEntriesPerSenderMax = 65_536

const entryCodec = codec('replay entry', row({ expiresAt: instant, hash: bytesOf(32), sender: did }), 128)

interface Taken {
  readonly sender: Did
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
  readonly entriesPerSenderMax?: number
}

export async function openReplayGuard({
  store,
  clock,
  entriesMax = replayEntriesMax,
  entriesPerSenderMax = replayEntriesPerSenderMax,
}: ReplayGuardOptions): Promise<ReplayGuard> {
  /** Hash of the statement -> when it may be forgotten, in order of claim. */
  const taken = new Map<string, Taken>()
  // By the wall clock and by the one that only goes forward: a wall clock that leaps ahead and is set right again revives nothing.
  const perSender = new Map<Did, number>()
  function remember(ref: string, sender: Did, until: number): void {
    taken.set(ref, { sender, until, from: clock.monotonic() + Math.max(0, until - clock.now()) })
    perSender.set(sender, (perSender.get(sender) ?? 0) + 1)
  }
  function forget(ref: string, sender: Did): void {
    if (!taken.delete(ref)) return
    const left = (perSender.get(sender) ?? 0) - 1
    if (left > 0) perSender.set(sender, left)
    else perSender.delete(sender)
  }
  for await (const [key, value] of store.range({})) {
    const { sender, expiresAt } = entryCodec.decode(value)
    remember(key, sender, expiresAt)
  }

  /** Drops what expired, at most a few on each call so that no message pays for all. */
  function expired(now: number, most: number): StoreOp[] {
    const ops: StoreOp[] = []
    for (const [key, { sender, until, from }] of taken) {
      if (ops.length >= most || until >= now || from > clock.monotonic()) break
      forget(key, sender)
      ops.push(del(key))
    }
    return ops
  }
  return {
    claim({ ref, hash, statement }) {
      const now = clock.now()
      if (taken.has(ref)) throw new MeshError('ERR_REPLAYED', `statement ${hex(statement.id)} was taken before`)
      const forgotten = expired(now, 4)
      const details = { retryAfterMs: minuteMs }
      if (taken.size >= entriesMax) throw new MeshError('ERR_OVERLOADED', `${entriesMax} unexpired messages are remembered`, { details })
      const sender = statement.from
      if ((perSender.get(sender) ?? 0) >= entriesPerSenderMax) {
        throw new MeshError('ERR_OVERLOADED', `${entriesPerSenderMax} unexpired messages of this sender are remembered`, { details })
      }
      // Twice the skew: a clock set back by that much revives nothing.
      const until = statement.expiresAt + 2 * clockSkewMsMax
      remember(ref, sender, until)
      return {
        ops: store.qualify([put(ref, entryCodec.encode({ expiresAt: until, hash, sender })), ...forgotten]),
        async release() {
          if (!(await store.has(ref).catch(() => true))) forget(ref, sender)
        },
      }
    },
  }
}
