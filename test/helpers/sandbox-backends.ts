import { realClock, silentLogger } from '../../src/base/index.ts'
import { createBackend } from '../../src/sandbox/backend.ts'
import { containerLaunchers } from '../../src/sandbox/containers/launchers.ts'
import { findRootfs } from '../../src/sandbox/containers/rootfs.ts'
import type { IsolationBackend } from '../../src/sandbox/index.ts'
import { bubblewrapLauncher, nativeLauncher, permissionLauncher } from '../../src/sandbox/launch.ts'
import type { Launcher } from '../../src/sandbox/launched.ts'
import { machineLaunchers } from '../../src/sandbox/machines/launchers.ts'
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

/** The one that nodes prefer; all of them in the long run. What differs between them is in containers.test.ts. */
const containers = containerLaunchers().slice(0, process.env['KINDMESH_TEST_LONG'] === '1' ? undefined : 1)
const containersLack = (name: string): string | undefined => {
  if (findRootfs() === undefined) return 'their root file system is not there: node scripts/make-rootfs.ts'
  return findProgram(name === 'bubblewrap' ? 'bwrap' : name) === undefined ? `${name} is not installed` : undefined
}

/** The one without KVM, which works wherever its programs are. */
const machine = machineLaunchers(realClock).find(({ name }) => name === 'qemu-tcg')
const neverAsked = (): never => {
  throw new Error('there is no such back end')
}

/** Every back end there is a launcher for. */
export const testBackends: readonly TestBackend[] = [
  backend('isolated-vm+bubblewrap', noBubblewrap, () => bubblewrapLauncher()),
  backend('isolated-vm+bubblewrap+strict', noBubblewrap, () => bubblewrapLauncher({ strict: true })),
  backend('isolated-vm+permission', undefined, () => permissionLauncher()),
  backend('process', undefined, () => nativeLauncher()),
  ...containers.map((launcher) => backend(`container by ${launcher.name}`, containersLack(launcher.name), () => launcher)),
  backend('machine by qemu-tcg', machine?.lacks()?.why, () => machine ?? neverAsked()),
]

/** One back end over a pool of its own. Fails when the first guest does not start. */
export async function startBackend(launcher: Launcher, size = 2): Promise<IsolationBackend> {
  const pool = await WorkerPool.start({ launcher, clock: realClock, logger: silentLogger, size })
  return createBackend({ launcher, pool, clock: realClock })
}
