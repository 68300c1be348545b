import { type Clock, MeshError } from '../../src/base/index.ts'
import type { HostBridge, IsolationBackend, IsolationLevel, RunOptions, SandboxEvent, SandboxOutcome, Sandboxes, TaskCode } from '../../src/sandbox/index.ts'
import { usageNone } from './tasks.ts'

/** One run, as the machine of this helper saw it. */
export interface Ran {
  readonly level: IsolationLevel
  readonly input: string
  readonly host: HostBridge | undefined
}

/**
 * Sandboxes that run on a virtual clock. Code is a word: `sleep` takes as many ms as its input says and returns it; `endless` runs until it is stopped;
 * `say` prints its input line by line, then returns their number; anything else returns its input.
 */
export function wordSandboxes(clock: () => Clock, levels: readonly IsolationLevel[] = ['sandboxed']): Sandboxes & { readonly ran: readonly Ran[] } {
  const ran: Ran[] = []
  const done = (result: string): SandboxOutcome => ({ type: 'done', result, usage: usageNone, security: [] })
  const cancelled: SandboxOutcome = { type: 'failed', code: 'ERR_TASK_CANCELLED', message: 'cancelled while it ran', usage: usageNone, security: [] }
  const until = (signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted === true) resolve()
      else signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  const backend = (level: IsolationLevel): IsolationBackend => ({
    level,
    name: `words-${level}`,
    async *run({ code, input }: TaskCode, { signal, host }: RunOptions): AsyncGenerator<SandboxEvent> {
      ran.push({ level, input, host })
      if (code === 'endless') await until(signal)
      else if (code === 'sleep') await Promise.race([clock().sleep(Number(input)), until(signal)])
      else if (code === 'say') {
        const lines = JSON.parse(input) as readonly string[]
        for (const text of lines) yield { type: 'console', level: 'log', text }
        yield done(String(lines.length))
        return
      }
      yield signal?.aborted === true ? cancelled : done(input)
    },
    stop: async () => undefined,
  })
  const backends = new Map(levels.map((level) => [level, backend(level)]))
  const get = (level: IsolationLevel): IsolationBackend => {
    const found = backends.get(level)
    if (found === undefined) throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `no ${level} here`)
    return found
  }
  return {
    ran,
    available: () => levels.map((level) => ({ level, backend: `words-${level}`, lacks: undefined })),
    get,
    ready: async (level) => get(level),
    probe: async () => [],
    stop: async () => undefined,
  }
}
