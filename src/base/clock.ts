import { MeshError } from './errors.ts'

export const secondMs = 1_000
export const minuteMs = 60 * secondMs
export const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

export interface SignalOption {
  readonly signal?: AbortSignal | undefined
}

/** Time, always handed in: real in a node, virtual in the simulator. */
export interface Clock {
  /** Whole milliseconds since 1970, may jump. For statements and records. */
  now(): number
  /** Milliseconds of a clock that only goes forward. For durations. */
  monotonic(): number
  /** Calls `fn` once after `ms`; the returned function cancels. Never keeps a process alive by itself. */
  after(ms: number, fn: () => void): () => void
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, options?: SignalOption): Promise<void>
  /** A signal that aborts with ERR_TIMEOUT after `ms`. */
  timeout(ms: number, what?: string): AbortSignal
}

/** Builds the derived calls of a clock from its three sources. */
export function clockFrom(sources: Pick<Clock, 'now' | 'monotonic' | 'after'>): Clock {
  return {
    ...sources,
    async sleep(ms, { signal } = {}) {
      signal?.throwIfAborted()
      await new Promise<void>((resolve, reject) => {
        const onAbort = (): void => {
          cancel()
          reject(signal?.reason as Error)
        }
        const cancel = sources.after(ms, () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        })
        signal?.addEventListener('abort', onAbort, { once: true })
      })
    },
    timeout(ms, what = 'the operation') {
      const controller = new AbortController()
      sources.after(ms, () => controller.abort(new MeshError('ERR_TIMEOUT', `${what} took longer than ${ms} ms`)))
      return controller.signal
    },
  }
}

export const realClock: Clock = clockFrom({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
})

/** Keeps the process alive until the returned function is called: for an end that waits for what no longer holds it, such as a timer or a process that was let go. */
export function keepAlive(): () => void {
  const timer = setInterval(() => undefined, hourMs)
  return () => clearInterval(timer)
}

export interface VirtualClock extends Clock {
  /** Runs every timer due within `ms` in order of time, letting promises settle between two. */
  advance(ms: number): Promise<void>
  /** Jumps to the next timer and runs it; false when none is left. */
  step(): Promise<boolean>
  /** Lets time pass, timer by timer, until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T>
  /** Moves the wall clock without running timers, as a user or NTP does. */
  jump(ms: number): void
}

/** A clock that stands still until told to move. */
export function createVirtualClock({ start = Date.UTC(2026, 0, 1) }: { readonly start?: number } = {}): VirtualClock {
  let elapsed = 0
  let offset = 0
  let order = 0
  const timers: { readonly at: number; readonly order: number; readonly fn: () => void }[] = []

  // Settling means: every promise chain that needs no timer has run dry. setImmediate is behind all microtasks.
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const next = (): (typeof timers)[number] | undefined => timers[0]
  const clock = clockFrom({
    now: () => Math.floor(start + elapsed + offset),
    monotonic: () => elapsed,
    after(ms, fn) {
      const timer = { at: elapsed + Math.max(0, ms), order: order++, fn }
      let low = 0
      let high = timers.length
      while (low < high) {
        const middle = (low + high) >>> 1
        const other = timers[middle]
        if (other !== undefined && (other.at < timer.at || (other.at === timer.at && other.order < timer.order))) low = middle + 1
        else high = middle
      }
      timers.splice(low, 0, timer)
      return () => {
        const index = timers.indexOf(timer)
        if (index >= 0) timers.splice(index, 1)
      }
    },
  })
  const runNext = async (): Promise<void> => {
    const timer = timers.shift()
    if (timer === undefined) return
    elapsed = Math.max(elapsed, timer.at)
    timer.fn()
    await settle()
  }
  async function step(): Promise<boolean> {
    await settle()
    if (timers.length === 0) return false
    await runNext()
    return true
  }
  return {
    ...clock,
    step,
    async run(promise) {
      let settled = false
      const done = (): void => {
        settled = true
      }
      promise.then(done, done)
      while (!settled) {
        // Without timers the world outside has the word: a hash or a worker that answers in real time.
        if (!(await step()) && !settled) await settle()
      }
      return await promise
    },
    async advance(ms) {
      const end = elapsed + ms
      await settle()
      for (let timer = next(); timer !== undefined && timer.at <= end; timer = next()) await runNext()
      elapsed = end
    },
    jump(ms) {
      offset += ms
    },
  }
}

/** Joins the caller's signal with our own deadline. */
export const within = (clock: Clock, ms: number, signal: AbortSignal | undefined, what?: string): AbortSignal =>
  signal === undefined ? clock.timeout(ms, what) : AbortSignal.any([signal, clock.timeout(ms, what)])
