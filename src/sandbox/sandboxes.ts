import { type Clock, type Logger, MeshError } from '../base/index.ts'
import { containerLaunchers } from './containers/launchers.ts'
import { bubblewrapLauncher, nativeLauncher, permissionLauncher } from './launch.ts'
import type { Launcher } from './launched.ts'
import { Level } from './level.ts'
import { machineLaunchers } from './machines/launchers.ts'
import { poolSizeDefault } from './pool.ts'
import { type IsolationLevel, isolationLevels, type LevelReport, type Sandboxes } from './types.ts'

export interface SandboxesOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** Warm workers of a level, and so tasks that run in it at once. */
  readonly poolSize?: number
  /** In place of this machine's own, for the levels they are of. */
  readonly launchers?: readonly Launcher[]
  /** Only back ends of these names. */
  readonly backends?: readonly string[]
}

/** Ways to make the levels real, in order of preference. */
const allLaunchers = (clock: Clock): readonly Launcher[] => [
  nativeLauncher(),
  bubblewrapLauncher(),
  permissionLauncher(),
  ...containerLaunchers(),
  ...machineLaunchers(clock),
]

/** The levels of this machine. None is tried, and nothing started, before it is asked for; what does not work is refused, never replaced. */
export function openSandboxes({ clock, logger, poolSize = poolSizeDefault, launchers, backends }: SandboxesOptions): Sandboxes {
  const replaced = new Set(launchers?.map(({ level }) => level))
  const own = allLaunchers(clock).filter(({ level }) => !replaced.has(level))
  const all = [...(launchers ?? []), ...own].filter(({ name }) => backends === undefined || backends.includes(name))
  const parts = { clock, logger, poolSize }
  const levels = new Map(
    isolationLevels.map((level) => [
      level,
      new Level(
        level,
        all.filter((launcher) => launcher.level === level),
        parts,
      ),
    ]),
  )
  const strict = new Level(
    'sandboxed',
    [bubblewrapLauncher({ strict: true })].filter(({ name }) => backends === undefined || backends.includes(name)),
    parts,
  )

  function levelOf(level: string, isStrict: boolean): Level {
    const found = level === 'sandboxed' && isStrict ? strict : levels.get(level as IsolationLevel)
    if (found === undefined) throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `isolation level ${level.slice(0, 40)}: no such isolation level`)
    return found
  }
  const reportOf = (found: Level): LevelReport => ({
    level: found.level,
    available: found.backend !== undefined,
    promise: promises[found.level],
    backends: found.reports,
  })

  return {
    available: () =>
      [...levels.values()].map((found) => {
        const { level, backend, reports } = found
        const used = reports.find(({ name }) => name === backend?.name)
        const lacks =
          used === undefined ? (found.isTried ? found.refusal().message : 'not needed so far, so not tried; `kindmesh sandbox probe` tries it') : used.why
        return { level, backend: backend?.name, lacks }
      }),
    async probe(only = isolationLevels) {
      const asked = [...levels.values()].filter(({ level }) => only.includes(level))
      // One after the other: a probe that waits for the processor is a probe that fails.
      for (const found of asked) await found.probe()
      const strictReports = only.includes('sandboxed') ? await strict.probe() : []
      return asked.map(reportOf).map((report) => (report.level === 'sandboxed' ? { ...report, backends: [...report.backends, ...strictReports] } : report))
    },
    get(level, { strict: isStrict = false } = {}) {
      const found = levelOf(level, isStrict)
      if (found.backend === undefined) throw found.refusal()
      return found.backend
    },
    ready: async (level, { strict: isStrict = false } = {}) => await levelOf(level, isStrict).ready(),
    async stop() {
      await Promise.all([...levels.values(), strict].map((found) => found.stop()))
    },
  }
}

/** The levels of this machine, `sandboxed` tried. */
export async function createSandboxes(options: SandboxesOptions): Promise<Sandboxes> {
  const sandboxes = openSandboxes(options)
  await sandboxes.ready('sandboxed').catch(() => undefined)
  const { backend, lacks } = sandboxes.available().find(({ level }) => level === 'sandboxed') ?? {}
  if (lacks !== undefined) options.logger.warn('sandboxed level is not at full strength', { backend: backend ?? 'none', lacks })
  if (process.getuid?.() === 0) options.logger.warn('running as root; sandbox workers run as nobody, but the node should have a user of its own')
  return sandboxes
}

const promises: Readonly<Record<IsolationLevel, string>> = {
  native: 'none: for your own code',
  sandboxed: 'no host object, file, network or other task; a fresh isolate in a walled process',
  containerized: 'own namespaces, system call list and control group; the kernel is shared',
  virtualized: 'a kernel of its own',
}
