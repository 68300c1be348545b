import { realClock, silentLogger } from '../../src/base/index.ts'
import { createBackend } from '../../src/sandbox/backend.ts'
import type { IsolationBackend } from '../../src/sandbox/index.ts'
import { bubblewrapLauncher, nativeLauncher, permissionLauncher } from '../../src/sandbox/launch.ts'
import type { Launcher } from '../../src/sandbox/launched.ts'
import { WorkerPool } from '../../src/sandbox/pool.ts'
import { findProgram } from '../../src/sandbox/programs.ts'

/** A way to make a level real, as the suites that run over all of them see it. */
export interface TestBackend {
  /** Of its launcher, and what is missing where it cannot run. */
  readonly title: string
  /** Why this machine has not got it; undefined when it has. */
  readonly lacks: string | undefined
  launcher(): Launcher
}

const noBubblewrap = findProgram('bwrap') === undefined ? 'bubblewrap is not installed' : undefined
const backend = (name: string, lacks: string | undefined, launcher: () => Launcher): TestBackend => ({
  title: lacks === undefined ? name : `${name} (NOT RUN: ${lacks})`,
  lacks,
  launcher,
})

/** Every back end there is a launcher for. */
export const testBackends: readonly TestBackend[] = [
  backend('isolated-vm+bubblewrap', noBubblewrap, () => bubblewrapLauncher()),
  backend('isolated-vm+bubblewrap+strict', noBubblewrap, () => bubblewrapLauncher({ strict: true })),
  backend('isolated-vm+permission', undefined, () => permissionLauncher()),
  backend('process', undefined, () => nativeLauncher()),
]

/** One back end over a pool of its own. Fails when the first guest does not start. */
export async function startBackend(launcher: Launcher, size = 2): Promise<IsolationBackend> {
  const pool = await WorkerPool.start({ launcher, clock: realClock, logger: silentLogger, size })
  return createBackend({ launcher, pool, clock: realClock })
}
