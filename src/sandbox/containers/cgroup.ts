import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { sampleProcess } from '../watch.ts'
import type { ProcessSample } from '../launched.ts'
import type { SandboxLimits } from '../types.ts'

/** Where groups can be made: one folder for all controllers (version 2), or one per hierarchy (version 1). */
export interface CgroupPlace {
  readonly version: 1 | 2
  /** Of each hierarchy: where it is mounted and what it controls. */
  readonly hierarchies: readonly { readonly mount: string; readonly controllers: readonly string[] }[]
  /** Of the groups, below each mount; as runtimes take it. */
  readonly parent: string
  /** Where version 2 is mounted beside version 1. */
  readonly unified?: string | undefined
}

/** Controllers a container needs; without one of them there are no groups. */
const needed = ['memory', 'pids', 'cpu'] as const
const cpuPeriodUs = 100_000
/** Beyond the task's limit: the node sees the task cross its limit before the kernel has to kill. */
export const cgroupMemorySlackBytes = 40 << 20

const read = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return undefined
  }
}

const write = (path: string, text: string): boolean => {
  try {
    writeFileSync(path, text)
    return true
  } catch {
    return false
  }
}

/** A number of a file of `name value` lines. */
const field = (text: string | undefined, name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? 0)

/** The control group of one container and everything in it. */
export class Cgroup {
  readonly #place: CgroupPlace
  readonly #name: string
  /** As runtimes take it. */
  readonly path: string
  /** Folders a process writes its number into to join. */
  readonly joined: readonly string[]
  /** Folders to remove at the end, also of hierarchies nobody joined. */
  readonly all: readonly string[]
  readonly #processesOf: (processes: number) => number
  #limitBytes = Number.POSITIVE_INFINITY

  /** `processesOf` says how many the system sees when the guest has so many. */
  constructor(place: CgroupPlace, name: string, processesOf: (processes: number) => number = (processes) => processes) {
    this.#processesOf = processesOf
    this.#place = place
    this.#name = name
    this.path = join(place.parent, name)
    this.all = place.hierarchies.map(({ mount }) => join(mount, place.parent, name))
    const wanted = new Set([...needed, 'cpuacct', 'freezer'])
    const isJoined = (controllers: readonly string[]): boolean => place.version === 2 || controllers.some((controller) => wanted.has(controller))
    // In version 2 a group with groups below it holds no process of its own.
    this.joined = place.hierarchies
      .filter(({ controllers }) => isJoined(controllers))
      .map(({ mount }) => join(mount, place.parent, name, place.version === 2 ? 'run' : ''))
  }

  /** @throws when the system refuses it */
  make(): void {
    for (const folder of this.joined) mkdirSync(folder, { recursive: true })
  }

  limit({ memoryMiB, processes, cpuPercent }: Pick<SandboxLimits, 'memoryMiB' | 'processes' | 'cpuPercent'>): void {
    const isV2 = this.#place.version === 2
    const used = Number(read(this.#file('memory', isV2 ? 'memory.current' : 'memory.usage_in_bytes')) ?? 0)
    this.#limitBytes = used + memoryMiB * 2 ** 20 + cgroupMemorySlackBytes
    const running = Number(read(this.#file('pids', 'pids.current')) ?? 0)
    const quotaUs = Math.max(1_000, (cpuPercent / 100) * cpuPeriodUs)
    write(this.#file('pids', 'pids.max'), String(running + this.#processesOf(processes)))
    if (isV2) {
      write(this.#file('memory', 'memory.max'), String(this.#limitBytes))
      write(this.#file('memory', 'memory.swap.max'), '0')
      write(this.#file('memory', 'memory.oom.group'), '1')
      write(this.#file('cpu', 'cpu.max'), `${quotaUs} ${cpuPeriodUs}`)
    } else {
      write(this.#file('memory', 'memory.limit_in_bytes'), String(this.#limitBytes))
      write(this.#file('memory', 'memory.memsw.limit_in_bytes'), String(this.#limitBytes))
      write(this.#file('cpu', 'cpu.cfs_period_us'), String(cpuPeriodUs))
      write(this.#file('cpu', 'cpu.cfs_quota_us'), String(quotaUs))
    }
  }

  /** Memory as the limit itself when the kernel had to kill. Undefined when the group is gone. */
  sample(): ProcessSample | undefined {
    const isV2 = this.#place.version === 2
    const memory = read(this.#file('memory', 'memory.stat'))
    if (memory === undefined) return undefined
    const cpuMs = isV2
      ? field(read(this.#file('cpu', 'cpu.stat')), 'usage_usec') / 1_000
      : Number(read(this.#file('cpuacct', 'cpuacct.usage')) ?? 0) / 1_000_000
    const own = isV2 ? field(memory, 'anon') + field(memory, 'shmem') : field(memory, 'total_rss') + field(memory, 'total_shmem')
    return { cpuMs: Math.round(cpuMs), memoryBytes: this.ranOutOfMemory() ? Math.max(own, this.#limitBytes) : own }
  }

  ranOutOfMemory(): boolean {
    const events = this.#place.version === 2 ? 'memory.events' : 'memory.oom_control'
    const group = this.#file('memory', '')
    // Version 1 counts where the victim was: runtimes put the guest into a group below.
    return [group, ...(readNames(group) ?? []).map((name) => join(group, name))].some((folder) => field(read(join(folder, events)), 'oom_kill') > 0)
  }

  freeze(): void {
    if (this.#place.version === 2) write(this.#file('', 'cgroup.freeze'), '1')
    else if (!write(this.#file('freezer', 'freezer.state'), 'FROZEN')) this.#signal('SIGSTOP')
  }

  thaw(): void {
    if (this.#place.version === 2) write(this.#file('', 'cgroup.freeze'), '0')
    else if (!write(this.#file('freezer', 'freezer.state'), 'THAWED')) this.#signal('SIGCONT')
  }

  /** Once through; what is left is killed by the guard. */
  kill(): void {
    write(this.#file('pids', 'pids.max'), '0')
    if (this.#place.version === 2) write(this.#file('', 'cgroup.kill'), '1')
    this.#signal('SIGKILL')
    this.thaw()
  }

  /** Process numbers as the node sees them. */
  processes(): readonly number[] {
    const main = this.#file('pids', '')
    const folders = [main, ...(readNames(main) ?? []).map((name) => join(main, name))]
    return folders.flatMap((folder) => (read(join(folder, 'cgroup.procs')) ?? '').split('\n').filter(Boolean).map(Number))
  }

  /** Best effort; a group with processes stays. */
  remove(): void {
    for (const folder of this.all) {
      for (const name of readNames(folder) ?? []) removeFolder(join(folder, name))
      removeFolder(folder)
    }
  }

  #signal(signal: NodeJS.Signals): void {
    for (const pid of this.processes()) {
      try {
        process.kill(pid, signal)
      } catch {
        // It has ended.
      }
    }
  }

  /** A file of a controller; the empty controller is version 2 itself. */
  #file(controller: string, name: string): string {
    const { hierarchies, version } = this.#place
    const found = version === 2 ? hierarchies[0] : hierarchies.find(({ controllers }) => controllers.includes(controller))
    return join(found?.mount ?? '/nowhere', this.#place.parent, this.#name, name)
  }
}

const readNames = (folder: string): readonly string[] | undefined => {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch {
    return undefined
  }
}

function removeFolder(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // It is gone, or it still holds a process.
  }
}

/** Sums a process and all its descendants, where there is no group; processor time also of children that have ended. */
export function sampleTree(pid: number): ProcessSample | undefined {
  const samples = processTree(pid).flatMap((each) => sampleProcess(each, true) ?? [])
  if (samples.length === 0) return undefined
  return { cpuMs: samples.reduce((sum, { cpuMs }) => sum + cpuMs, 0), memoryBytes: samples.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0) }
}

/** The process itself first. */
export function processTree(pid: number): readonly number[] {
  const found = [pid]
  for (let index = 0; index < found.length; index++) {
    for (const thread of taskNames(found[index] ?? 0)) {
      found.push(...(read(`/proc/${found[index]}/task/${thread}/children`) ?? '').split(' ').filter(Boolean).map(Number))
    }
  }
  return found
}

const taskNames = (pid: number): readonly string[] => readNames(`/proc/${pid}/task`) ?? []

let known: { readonly place: CgroupPlace | undefined } | undefined
/** Where this process may make groups that limit; undefined where it may not. Tried once. */
export const findCgroupPlace = (): CgroupPlace | undefined => (known ??= { place: places().find((place) => isUsable(place)) }).place

/** Candidates, best first. */
function places(): readonly CgroupPlace[] {
  const mounts = (read('/proc/self/mountinfo') ?? '').split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [type = '', , options = ''] = after.split(' ')
    return type === 'cgroup' || type === 'cgroup2' ? [{ mount: before.split(' ')[4] ?? '', type, options: options.split(',') }] : []
  })
  const own = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'))
  const unified = mounts.find(({ type }) => type === 'cgroup2')
  const found: CgroupPlace[] = []
  if (mounts.some(({ type }) => type === 'cgroup')) {
    const hierarchies = mounts.map(({ mount, options, type }) => ({ mount, controllers: type === 'cgroup' ? options : [] }))
    // Runtimes take one path for all hierarchies: the root.
    if (needed.every((name) => hierarchies.some(({ controllers }) => controllers.includes(name)))) {
      found.push({ version: 1, hierarchies, parent: '/', unified: unified?.mount })
    }
  }
  if (unified !== undefined) {
    const ownPath = own.find(([id]) => id === '0')?.[2] ?? '/'
    const parents = process.getuid?.() === 0 ? ['/', ownPath] : [join(ownPath, '..'), ownPath]
    for (const parent of parents) found.push({ version: 2, hierarchies: [{ mount: unified.mount, controllers: [] }], parent })
  }
  return found
}

/** Makes a group, has a process join it, removes it. */
function isUsable(place: CgroupPlace): boolean {
  const group = new Cgroup(place, `kindmesh-try-${process.pid}`)
  try {
    if (place.version === 2) {
      const parent = join(place.hierarchies[0]?.mount ?? '', place.parent)
      write(join(parent, 'cgroup.subtree_control'), needed.map((name) => `+${name}`).join(' '))
    }
    group.make()
    if (
      place.version === 2 &&
      !needed.every((name) =>
        read(join(group.all[0] ?? '', 'cgroup.controllers'))
          ?.split(/\s/)
          .includes(name),
      )
    ) {
      return false
    }
    const script = group.joined.map((folder) => `echo $$ > '${folder}/cgroup.procs'`).join(' && ')
    return existsSync('/bin/sh') && spawnSync('/bin/sh', ['-c', script], { stdio: 'ignore' }).status === 0
  } catch {
    return false
  } finally {
    group.remove()
  }
}
