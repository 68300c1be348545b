import { type Clock, dayMs, type Did, hex, MeshError, minuteMs } from '../base/index.ts'
import { clockSkewMsMax } from '../identity/index.ts'
import { put, del, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, bytesUpTo, codec, instant, row, uintUpTo } from '../wire/index.ts'

/** Places of one run that may be open at a time: from the lowest not done with to the highest sent. Source: message/v1 rule 1.4 */
export const openPlacesMax = 16_384
/** Runs of one sender remembered at a time: each of its starts begins one. Source: message/v1 rule 1.4 */
export const runsPerSenderMax = 1_024
/** Runs of all senders. */
export const runsMax = 262_144
/** Bytes of marks of all runs; one bit a place that is not done with. */
export const marksBytesMax = 64 * 1024 * 1024

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

const recordCodec = codec('sequence', row({ floor: number, marks: bytesUpTo(openPlacesMax / 8), until: instant }), 4 * 1024)

interface Run {
  floor: number
  /** Bit by bit from the floor, rounded down to eight, upwards: taken. */
  marks: Uint8Array
  /** Wall clock. */
  until: number
  /** Monotonic clock. */
  from: number
  /** Claims whose write failed and may have landed all the same. */
  unsure: number
}

/** Remembers which messages were taken, as long as their run is young: a few numbers a sender, however many messages it sends. */
export interface Sequences {
  /**
   * Claims a place: the writes, under their full keys, belong into the durable batch of the effect. Call `release` if that batch fails:
   * a write that failed may have landed all the same, so the disk decides whether the place may be claimed again.
   * @throws ERR_REPLAYED when it was taken before, ERR_OVERLOADED when no more can be remembered, ERR_STORE_FAILED while the disk decides
   */
  claim(from: Did, order: Order, expiresAt: number): { readonly ops: readonly StoreOp[]; release(): Promise<void> }
}

export async function openSequences({ store, clock }: { readonly store: Store; readonly clock: Clock }): Promise<Sequences> {
  const runs = new Map<string, Run>()
  const perSender = new Map<string, number>()
  let marked = 0
  // By the wall clock and by the one that only goes forward: a wall clock that leaps ahead and is set right again revives nothing.
  const monotonicOf = (until: number): number => clock.monotonic() + Math.max(0, until - clock.now())
  const senderOf = (key: string): string => key.slice(0, key.lastIndexOf('/'))
  function count(key: string, by: 1 | -1): void {
    const sender = senderOf(key)
    const left = (perSender.get(sender) ?? 0) + by
    if (left === 0) perSender.delete(sender)
    else perSender.set(sender, left)
  }
  for await (const [key, value] of store.range({})) {
    const { floor, marks, until } = recordCodec.decode(value)
    runs.set(key, { floor, marks, until, from: monotonicOf(until), unsure: 0 })
    marked += marks.length
    count(key, 1)
  }

  /** Forgets runs whose messages have all expired a day ago: so far may a clock be set back. */
  function sweep(most: number): StoreOp[] {
    const ops: StoreOp[] = []
    for (const [key, { until, from, marks }] of runs) {
      if (ops.length >= most || until + dayMs > clock.now() || from > clock.monotonic()) break
      runs.delete(key)
      marked -= marks.length
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
    const run: Run = { floor: 0, marks: new Uint8Array(), until: 0, from: 0, unsure: 0 }
    runs.set(key, run)
    count(key, 1)
    return run
  }

  return {
    claim(from, { run: runId, seq, floor }, expiresAt) {
      const swept = sweep(4)
      const key = `${from}/${hex(runId)}`
      const run = runOf(key)
      if (run.unsure > 0) throw new MeshError('ERR_STORE_FAILED', 'whether the last message was kept is being looked up')
      const before = run.marks.length
      if (floor > run.floor) rise(run, Math.min(floor, seq))
      if (seq < run.floor || isMarked(run, seq)) throw new MeshError('ERR_REPLAYED', 'this message was taken before')
      const details = { retryAfterMs: minuteMs }
      if (seq - baseOf(run) >= openPlacesMax) throw new MeshError('ERR_OVERLOADED', `${openPlacesMax} places are open in what this peer sent`, { details })
      if (marked >= marksBytesMax) throw new MeshError('ERR_OVERLOADED', `${marksBytesMax} bytes of marks are kept`, { details })
      mark(run, seq)
      marked += run.marks.length - before
      run.until = Math.max(run.until, expiresAt + 2 * clockSkewMsMax)
      run.from = monotonicOf(run.until)
      // Last in line again: the line is in order of age.
      runs.delete(key)
      runs.set(key, run)
      const value = recordCodec.encode({ floor: run.floor, marks: run.marks, until: run.until })
      return {
        ops: store.qualify([put(key, value), ...swept]),
        async release() {
          // Nothing else of this run is written until it is known what is there; it stays so when the disk does not answer.
          run.unsure++
          unmark(run, seq)
          const there = await store.get(key)
          if (there !== undefined && wasTaken(recordCodec.decode(there), seq)) mark(run, seq)
          run.unsure--
        },
      }
    },
  }
}

type Marks = Pick<Run, 'floor' | 'marks'>
const baseOf = ({ floor }: Marks): number => floor - (floor % 8)
const bitOf = (seq: number): number => 1 << (seq % 8)
const byteOf = (run: Marks, seq: number): number => (seq - (seq % 8) - baseOf(run)) / 8
const isMarked = (run: Marks, seq: number): boolean => ((run.marks[byteOf(run, seq)] ?? 0) & bitOf(seq)) !== 0
const wasTaken = (run: Marks, seq: number): boolean => seq < run.floor || isMarked(run, seq)

function rise(run: Run, floor: number): void {
  const passed = (floor - (floor % 8) - baseOf(run)) / 8
  run.floor = floor
  if (passed > 0) run.marks = run.marks.slice(Math.min(passed, run.marks.length))
}

function mark(run: Run, seq: number): void {
  const at = byteOf(run, seq)
  if (at >= run.marks.length) {
    const longer = new Uint8Array(at + 1)
    longer.set(run.marks)
    run.marks = longer
  }
  run.marks[at] = (run.marks[at] ?? 0) | bitOf(seq)
}

function unmark(run: Run, seq: number): void {
  const at = byteOf(run, seq)
  if (at >= 0 && at < run.marks.length) run.marks[at] = (run.marks[at] ?? 0) & ~bitOf(seq)
}
