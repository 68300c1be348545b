import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One figure of a run, and how it compares with another figure of the same run. */
export interface Row {
  readonly id: string
  readonly what: string
  readonly value: number
  readonly unit: string
  /** What `value` was divided by to give `ratio`, with its own figure. */
  readonly against: string
  readonly ratio: number
  /** The ratio wanted: at least this for what is counted per second, at most this for all else. */
  readonly goal: number | null
  readonly ok: boolean | null
}

export type Suite = (bench: Bench) => AsyncIterable<Row>

/** What a suite is given: how long to measure, a folder, and processes that end with it. */
export interface Bench extends AsyncDisposable {
  /** Bodies as large as the goals name them, however long that takes. */
  readonly isFull: boolean
  /** `full` of a whole run, the least that still measures in a quick one. */
  rounds(full: number): number
  /** Milliseconds of load in one round. */
  readonly loadMs: number
  /** Calls in one sample of something that takes microseconds. */
  readonly calls: number
  /** A path that does not exist yet, removed at the end. */
  path(name: string): string
  start(script: URL, flags?: readonly string[]): Peer
}

/** Another process of the benchmark, which answers commands. */
export interface Peer {
  /** The answer is what the script of the peer says it is. */
  ask<T>(command: string, argument?: unknown): Promise<T>
  stop(): Promise<void>
}

export function createBench({ quick, full = false }: { readonly quick: boolean; readonly full?: boolean }): Bench {
  const folder = mkdtempSync(join(tmpdir(), 'kindmesh-bench-'))
  const peers: Peer[] = []
  return {
    isFull: full,
    rounds: (full) => (quick ? 1 : full),
    loadMs: quick ? 60 : 500,
    calls: quick ? 20 : 100,
    path: (name) => join(folder, name),
    start(script, flags = []) {
      const peer = startPeer(script, flags)
      peers.push(peer)
      return peer
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(peers.map((peer) => peer.stop()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface Question {
  readonly id: number
  readonly command: string
  readonly argument: unknown
}
type Reply = { readonly id: number; readonly answer: unknown } | { readonly id: number; readonly error: string }

function startPeer(script: URL, flags: readonly string[]): Peer {
  const child: ChildProcess = fork(script, { execArgv: [...flags], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const waiting = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>()
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code) => {
      for (const { reject } of waiting.values()) reject(new Error(`${script.pathname} ended with ${String(code)}`))
      resolve()
    })
  })
  child.on('message', (reply: Reply) => {
    const asker = waiting.get(reply.id)
    waiting.delete(reply.id)
    if ('error' in reply) asker?.reject(new Error(reply.error))
    else asker?.resolve(reply.answer)
  })
  let count = 0
  return {
    async ask<T>(command: string, argument?: unknown) {
      const { promise, resolve, reject } = Promise.withResolvers<unknown>()
      const question: Question = { id: ++count, command, argument }
      waiting.set(question.id, { resolve, reject })
      child.send(question)
      return (await promise) as T
    },
    async stop() {
      if (child.connected) child.disconnect()
      await exited
    },
  }
}

/** The other side of `Peer`: answers the parent's commands, and ends when the parent does. */
export function answerParent(commands: Readonly<Record<string, (argument: never) => unknown>>): void {
  const reply = (message: Reply): void => void process.send?.(message)
  process.on('message', ({ id, command, argument }: Question) => {
    Promise.resolve()
      .then(() => commands[command]?.(argument as never))
      .then(
        (answer) => reply({ id, answer }),
        (error: unknown) => reply({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      )
  })
  process.once('disconnect', () => process.exit())
}

/**
 * One figure a round from each side, the order turned about every round, so that what the machine does meanwhile meets all sides alike.
 * A first round does not count.
 */
export async function alternate<K extends string>(rounds: number, sides: Readonly<Record<K, () => number | Promise<number>>>): Promise<Record<K, number[]>> {
  const names = Object.keys(sides) as K[]
  const figures = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<K, number[]>
  for (let round = 0; round <= rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const figure = await sides[name]()
      if (round > 0) figures[name].push(figure)
    }
  }
  return figures
}

export interface Comparison extends Pick<Row, 'id' | 'what' | 'unit' | 'against'> {
  /** A figure a round. */
  readonly figures: readonly number[]
  /** The figures of the other side, round by round. */
  readonly others: readonly number[]
  readonly othersUnit?: string
  readonly goal?: number
  readonly ratioOf?: (figure: number, other: number) => number
}

/** Medians, and the median of the ratios of each round. */
export function row({ id, what, unit, against, figures, others, othersUnit = unit, goal, ratioOf = (figure, other) => figure / other }: Comparison): Row {
  const ratio = median(figures.map((figure, index) => ratioOf(figure, others[index] ?? Number.NaN)))
  const isMet = goal === undefined ? null : unit.endsWith('/s') ? ratio >= goal : ratio <= goal
  return {
    id,
    what,
    value: round4(median(figures)),
    unit,
    against: `${against}: ${round4(median(others))} ${othersUnit}`,
    ratio: round4(ratio),
    goal: goal ?? null,
    ok: isMet,
  }
}

const round4 = (value: number): number => Number(value.toPrecision(4))

export const median = (values: readonly number[]): number => quantile(values, 0.5)

export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

/** Microseconds a call, over `calls` calls. */
export function usPerCall(calls: number, act: () => unknown): number {
  const start = performance.now()
  for (let call = 0; call < calls; call++) act()
  return ((performance.now() - start) * 1_000) / calls
}

/** The same in CPU time of this thread: what else the machine does meanwhile counts for nothing. */
export function cpuUsPerCall(calls: number, act: () => unknown): number {
  const start = process.threadCpuUsage()
  for (let call = 0; call < calls; call++) act()
  const { user, system } = process.threadCpuUsage(start)
  return (user + system) / calls
}

/** What a load of questions came to. */
export interface Load {
  readonly perSecond: number
  readonly p50Us: number
  /** CPU time of the asking process, all its threads. */
  readonly cpuUsPerAsk: number
}

export interface LoadOptions {
  readonly inFlight: number
  readonly ms: number
}

/** Keeps `inFlight` questions open for `ms`. */
export async function load(ask: () => Promise<unknown>, { inFlight, ms }: LoadOptions): Promise<Load> {
  const times: number[] = []
  const cpu = process.cpuUsage()
  const start = performance.now()
  const lane = async (): Promise<void> => {
    while (performance.now() - start < ms) {
      const asked = performance.now()
      await ask()
      times.push(performance.now() - asked)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, lane))
  const { user, system } = process.cpuUsage(cpu)
  return { perSecond: (times.length * 1_000) / (performance.now() - start), p50Us: median(times) * 1_000, cpuUsPerAsk: (user + system) / times.length }
}

/** CPU time of this process since the last call, in microseconds. */
export function createCpuMeter(): () => number {
  let last = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(last)
    last = process.cpuUsage()
    return user + system
  }
}
