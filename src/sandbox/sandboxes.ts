import { type Clock, type Logger, MeshError, toMeshError } from '../base/index.ts'
import { createBackend } from './backend.ts'
import { bubblewrapLauncher, nativeLauncher, permissionLauncher } from './launch.ts'
import type { Launcher } from './launched.ts'
import { sandboxLimitsDefault } from './limits.ts'
import { poolSizeDefault, WorkerPool } from './pool.ts'
import { type IsolationBackend, type IsolationLevel, isolationLevels, type Sandboxes } from './types.ts'

export interface SandboxesOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** Warm workers, and so tasks that run at once. */
  readonly poolSize?: number
  /** Tried in order; the first that runs a task is used. */
  readonly launchers?: readonly Launcher[]
}

/** Finds out what this machine can isolate by running a task in it. Levels that do not work are refused, never replaced. */
export async function createSandboxes({
  clock,
  logger,
  poolSize = poolSizeDefault,
  launchers = [bubblewrapLauncher(), permissionLauncher()],
}: SandboxesOptions): Promise<Sandboxes> {
  const reasons: string[] = []
  let sandboxed: IsolationBackend | undefined
  for (const launcher of launchers) {
    try {
      sandboxed = await startIsolate(launcher, { clock, logger, poolSize })
      break
    } catch (error) {
      reasons.push(toMeshError(error).message)
    }
  }
  const lacks = sandboxedLacks(sandboxed, reasons)
  if (lacks !== undefined) logger.warn('sandboxed level is not at full strength', { backend: sandboxed?.name ?? 'none', lacks })
  if (process.getuid?.() === 0) logger.warn('running as root; sandbox workers run as nobody, but the node should have a user of its own')

  const lazy = (launcher: Launcher): IsolationBackend => createBackend({ launcher, clock, pool: WorkerPool.lazy({ launcher, clock, logger, size: poolSize }) })
  const native = lazy(nativeLauncher())
  const strict = sandboxed?.name === 'isolated-vm+bubblewrap' ? lazy(bubblewrapLauncher({ strict: true })) : undefined

  return {
    available: () =>
      isolationLevels.map((level) =>
        level === 'sandboxed'
          ? { level, backend: sandboxed?.name, lacks }
          : level === 'native'
            ? { level, backend: native.name, lacks: undefined }
            : { level, backend: undefined, lacks: notBuilt[level] },
      ),
    get(level, { strict: isStrict = false } = {}) {
      if (level === 'native') return native
      if (level === 'sandboxed' && isStrict) {
        if (strict !== undefined) return strict
        throw new MeshError('ERR_SANDBOX_UNAVAILABLE', 'the strict variant of sandboxed needs bubblewrap', { hint: 'apt-get install bubblewrap' })
      }
      if (level === 'sandboxed' && sandboxed !== undefined) return sandboxed
      const why = level === 'sandboxed' ? lacks : isNotBuilt(level) ? notBuilt[level] : 'no such isolation level'
      throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `isolation level ${level.slice(0, 40)}: ${why}`)
    },
    async stop() {
      await Promise.all([sandboxed, native, strict].flatMap((backend) => (backend === undefined ? [] : [backend.stop()])))
    },
  }
}

const notBuilt: Readonly<Record<Exclude<IsolationLevel, 'sandboxed' | 'native'>, string>> = {
  containerized: 'this version has no container back end',
  virtualized: 'this version has no virtual machine back end',
}

const isNotBuilt = (level: string): level is keyof typeof notBuilt => Object.hasOwn(notBuilt, level)

const probe = { code: 'return input.a + 1', input: '{"a":1}', result: '2' }

/** @throws ERR_SANDBOX_UNAVAILABLE unless a task really ran */
async function startIsolate(
  launcher: Launcher,
  { clock, logger, poolSize }: Required<Pick<SandboxesOptions, 'clock' | 'logger' | 'poolSize'>>,
): Promise<IsolationBackend> {
  const pool = await WorkerPool.start({ launcher, clock, logger, size: poolSize })
  const backend = createBackend({ launcher, pool, clock })
  for await (const event of backend.run(probe, { limits: sandboxLimitsDefault })) {
    if (event.type === 'done' && event.result === probe.result) return backend
    if (event.type === 'failed') {
      await backend.stop()
      throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `${launcher.name}: the probe failed: ${event.message}`)
    }
  }
  await backend.stop()
  throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `${launcher.name}: the probe gave a wrong result`)
}

function sandboxedLacks(backend: IsolationBackend | undefined, reasons: readonly string[]): string | undefined {
  if (backend === undefined) return reasons.join('; ')
  if (backend.name === 'isolated-vm+bubblewrap') return undefined
  return `lower assurance: no namespaces, no system call filter; install bubblewrap and allow unprivileged user namespaces (${reasons.join('; ')})`
}
