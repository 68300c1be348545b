import { realClock, silentLogger } from '../../src/base/index.ts'
import {
  createSandboxes,
  type IsolationBackend,
  type RunOptions,
  type TaskCode,
  type SandboxEvent,
  type SandboxLimits,
  sandboxLimitsDefault,
  type SandboxOutcome,
  type Sandboxes,
} from '../../src/sandbox/index.ts'

export const createTestSandboxes = (poolSize = 2): Promise<Sandboxes> => createSandboxes({ clock: realClock, logger: silentLogger, poolSize })

export interface Ran {
  readonly events: readonly SandboxEvent[]
  readonly outcome: SandboxOutcome
  /** What it printed, one line a call. */
  readonly printed: readonly string[]
}

export interface RunTaskOptions {
  readonly input?: unknown
  readonly limits?: Partial<SandboxLimits>
  readonly capabilities?: RunOptions['capabilities']
  readonly host?: RunOptions['host']
  readonly engine?: TaskCode['engine']
  readonly signal?: AbortSignal
  readonly onEvent?: (event: SandboxEvent) => void
  readonly onControl?: RunOptions['onControl']
}

/** Runs a task to its end. */
export async function runTask(
  backend: IsolationBackend,
  code: string,
  { input = null, limits = {}, signal, onEvent, onControl, capabilities, host, engine }: RunTaskOptions = {},
): Promise<Ran> {
  const events: SandboxEvent[] = []
  const options = {
    limits: { ...sandboxLimitsDefault, ...limits },
    ...(signal && { signal }),
    ...(capabilities && { capabilities }),
    ...(host && { host }),
    ...(onControl && { onControl }),
  }
  for await (const event of backend.run({ ...(engine && { engine }), code, input: JSON.stringify(input) }, options)) {
    events.push(event)
    onEvent?.(event)
  }
  const outcome = events.at(-1)
  if (outcome?.type !== 'done' && outcome?.type !== 'failed') throw new Error('a run ended without an outcome')
  return { events, outcome, printed: events.flatMap((event) => (event.type === 'console' ? [event.text] : [])) }
}

/** The result as data; fails the test when the task did not end well. */
export async function resultOf(backend: IsolationBackend, code: string, options?: RunTaskOptions): Promise<unknown> {
  const { outcome } = await runTask(backend, code, options)
  if (outcome.type !== 'done') throw new Error(`${outcome.code}: ${outcome.message}`)
  return JSON.parse(outcome.result)
}
