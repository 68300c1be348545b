import { realClock, silentLogger } from '../../src/base/index.ts'
import { createBackend } from '../../src/sandbox/backend.ts'
import type { IsolationBackend } from '../../src/sandbox/index.ts'
import type { Launcher } from '../../src/sandbox/launched.ts'
import { WorkerPool } from '../../src/sandbox/pool.ts'
import { type TestBackend, testBackends } from './sandbox-backends.ts'

/** One back end as the hostile suites run it. */
export interface TestLevel {
  /** For titles; says why when the machine does not have it. */
  readonly title: string
  readonly lacks: string | undefined
  /** Without a compiler, or on an emulated processor: what is quick elsewhere may meet its wall clock here. */
  readonly isSlow: boolean
  /** Of its level, what the node prefers. */
  readonly isFirst: boolean
  /** Runs programs of its image. */
  readonly hasPrograms: boolean
  readonly hasOwnKernel: boolean
  /** Starts guests when they are needed. A guest serves as many tasks as its launcher says, or `tasksPerGuest` where each has an isolate of its own anyway. */
  start(size: number, tasksPerGuest?: number): IsolationBackend
}

function startLazily(launcher: Launcher, wanted: number): IsolationBackend {
  const size = Math.min(wanted, launcher.poolSizeMax ?? wanted)
  return createBackend({ launcher, clock: realClock, pool: WorkerPool.lazy({ launcher, clock: realClock, logger: silentLogger, size }) })
}

function levelOf({ title, lacks, launcher }: TestBackend, index: number, all: readonly { readonly level: string }[]): TestLevel {
  const isStrict = title.includes('strict')
  const level = all[index]?.level
  return {
    title: `${level}: ${title}`,
    lacks,
    isSlow: isStrict || level === 'virtualized',
    isFirst: isStrict || all.findIndex((other) => other.level === level) === index,
    hasPrograms: level === 'containerized' || level === 'virtualized',
    hasOwnKernel: level === 'virtualized',
    start: (size, tasksPerGuest) => startLazily(tasksPerGuest === undefined ? launcher() : { ...launcher(), tasksPerGuest }, size),
  }
}

const promising = testBackends.map((backend) => ({ backend, level: backend.launcher().level })).filter(({ level }) => level !== 'native')

/** Every back end of every level that promises something. */
export const testLevels: readonly TestLevel[] = promising.map(({ backend }, index) => levelOf(backend, index, promising))
