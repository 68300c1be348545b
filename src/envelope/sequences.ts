import { type Clock, dayMs, type Did, hex, MeshError } from '../base/index.ts'
import { clockSkewMsMax } from '../identity/index.ts'
import { put, del, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, instant, listOf, row, uintUpTo } from '../wire/index.ts'

/** Gaps remembered in what one run of a sender has sent. Source: klp/v1 section 5. */
export const gapsMax = 256
/** Runs of one sender remembered at a time: each of its starts begins one. */
export const runsPerSenderMax = 256
/** Runs of all senders. */
export const runsMax = 262_144

const number = uintUpTo(Number.MAX_SAFE_INTEGER)

/** The place of a message among those of one sender to one receiver. Source: message/v1 section 1. */
export const orderShape = row({
  /** Drawn anew whenever the sender starts. */
  run: bytesOf(8),
  seq: number,
  /** All before this are done with: acknowledged or given up. */
  floor: number,
})
export type Order = ReturnType<(typeof orderShape)['decode']>

const recordCodec = codec('sequence', row({ floor: number, seen: listOf(row({ from: number, to: number }), 2 * gapsMax), until: instant }), 16 * 1024)

interface Run {
  floor: number
  /** Taken, in rising order, with gaps between. */
  seen: { from: number; to: number }[]
  until: number
}

/** Remembers which messages were taken, as long as their run is young: a few numbers a sender, however many messages it sends. */
export interface Sequences {
  /**
   * Claims a place: the writes, under their full keys, belong into the durable batch of the effect. Call `release` if that batch fails.
   * @throws ERR_REPLAYED when it was taken before, ERR_OVERLOADED when no more can be remembered
   */
  claim(from: Did, order: Order, expiresAt: number): { readonly ops: readonly StoreOp[]; release(): void | Promise<void> }
}

export async function openSequences({ store, clock }: { readonly store: Store; readonly clock: Clock }): Promise<Sequences> {
  const runs = new Map<string, Run>()
  const perSender = new Map<string, number>()
  const senderOf = (key: string): string => key.slice(0, key.lastIndexOf('/'))
  function count(key: string, by: 1 | -1): void {
    const sender = senderOf(key)
    const left = (perSender.get(sender) ?? 0) + by
    if (left === 0) perSender.delete(sender)
    else perSender.set(sender, left)
  }
  for await (const [key, value] of store.range({})) {
    const { floor, seen, until } = recordCodec.decode(value)
    runs.set(key, { floor, seen: [...seen], until })
    count(key, 1)
  }

  /** Forgets runs whose messages have all expired a day ago: so far may a clock be set back. */
  function sweep(most: number): StoreOp[] {
    const ops: StoreOp[] = []
    for (const [key, { until }] of runs) {
      if (ops.length >= most || until + dayMs > clock.now()) break
      runs.delete(key)
      count(key, -1)
      ops.push(del(key))
    }
    return ops
  }
  function runOf(key: string): Run {
    const known = runs.get(key)
    if (known !== undefined) return known
    const details = { retryAfterMs: 3_600_000 }
    if (runs.size >= runsMax) throw new MeshError('ERR_OVERLOADED', `${runsMax} senders are remembered`, { details })
    if ((perSender.get(senderOf(key)) ?? 0) >= runsPerSenderMax) {
      throw new MeshError('ERR_OVERLOADED', `the sender has started more than ${runsPerSenderMax} times within days`, { details })
    }
    const run: Run = { floor: 0, seen: [], until: 0 }
    runs.set(key, run)
    count(key, 1)
    return run
  }

  return {
    claim(from, { run: runId, seq, floor }, expiresAt) {
      const swept = sweep(4)
      const key = `${from}/${hex(runId)}`
      const run = runOf(key)
      if (floor > run.floor) rise(run, Math.min(floor, seq))
      if (seq < run.floor || run.seen.some(({ from: first, to }) => first <= seq && seq <= to)) {
        throw new MeshError('ERR_REPLAYED', 'this message was taken before')
      }
      if (run.seen.length >= gapsMax && !touches(run, seq)) {
        throw new MeshError('ERR_OVERLOADED', `${gapsMax} gaps are open in what this peer sent`, { details: { retryAfterMs: 60_000 } })
      }
      mark(run, seq)
      run.until = Math.max(run.until, expiresAt + 2 * clockSkewMsMax)
      // Last in line again: the line is in order of age.
      runs.delete(key)
      runs.set(key, run)
      const value = recordCodec.encode({ floor: run.floor, seen: run.seen, until: run.until })
      return { ops: store.qualify([put(key, value), ...swept]), release: () => unmark(run, seq) }
    },
  }
}

const touches = ({ seen }: Run, seq: number): boolean => seen.some(({ from, to }) => from - 1 === seq || to + 1 === seq)

function rise(run: Run, floor: number): void {
  run.floor = Math.max(run.floor, floor)
  run.seen = run.seen.filter(({ to }) => to >= run.floor).map(({ from, to }) => ({ from: Math.max(from, run.floor), to }))
}

function mark(run: Run, seq: number): void {
  const next = run.seen.findIndex(({ to }) => to + 1 >= seq)
  const span = run.seen[next]
  if (span === undefined) run.seen.push({ from: seq, to: seq })
  else if (span.to + 1 === seq) {
    span.to = seq
    const after = run.seen[next + 1]
    if (after?.from === seq + 1) run.seen.splice(next, 2, { from: span.from, to: after.to })
  } else if (span.from === seq + 1) span.from = seq
  else run.seen.splice(next, 0, { from: seq, to: seq })
}

function unmark(run: Run, seq: number): void {
  const index = run.seen.findIndex(({ from, to }) => from <= seq && seq <= to)
  const span = run.seen[index]
  if (span === undefined) return
  const parts = [
    { from: span.from, to: seq - 1 },
    { from: seq + 1, to: span.to },
  ].filter(({ from, to }) => from <= to)
  run.seen.splice(index, 1, ...parts)
}
