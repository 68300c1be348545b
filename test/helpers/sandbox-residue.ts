import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { descendants, isRunning } from './sandbox-processes.ts'

const list = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** What the runner of the tests opens for itself meanwhile. A task that leaves one behind leaves hundreds in a thousand runs. */
const ownDescriptorsMax = 6

/** Control groups made by this process, in whichever hierarchy. */
function ownCgroups(): readonly string[] {
  const own = `kindmesh-${process.pid}-`
  const found: string[] = []
  const open = ['/sys/fs/cgroup']
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    try {
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        if (!entry.isDirectory()) continue
        if (entry.name.includes(own)) found.push(`${folder}/${entry.name}`)
        else open.push(`${folder}/${entry.name}`)
      }
    } catch {
      // Removed while it was read.
    }
  }
  return found
}

const namespaceKinds = ['mnt', 'pid', 'net', 'user', 'ipc', 'uts', 'cgroup']
function namespacesOf(pid: number): readonly string[] {
  return namespaceKinds.flatMap((kind) => {
    try {
      return [readlinkSync(`/proc/${pid}/ns/${kind}`)]
    } catch {
      return []
    }
  })
}

/** What a run of tasks may leave behind on this machine, as far as it can be told from outside. */
export class Residue {
  readonly #before = this.#count()
  readonly #descriptorsBefore = descriptors()
  readonly #processesBefore = new Set(descendants(process.pid))
  readonly #seen = new Set<number>()
  readonly #namespaces = new Set<string>()

  /** Remembers the processes there are now below this one, with their namespaces: none may be left in the end. */
  look(): void {
    const own = new Set(namespacesOf(process.pid))
    for (const pid of descendants(process.pid)) {
      if (this.#processesBefore.has(pid)) continue
      this.#seen.add(pid)
      for (const name of namespacesOf(pid)) if (!own.has(name)) this.#namespaces.add(name)
    }
  }

  /** How many were seen so far. */
  get seen(): { readonly processes: number; readonly namespaces: number } {
    return { processes: this.#seen.size, namespaces: this.#namespaces.size }
  }

  /**
   * Everything there is more of than before; empty when nothing was left behind.
   * A namespace lives as long as a process, a descriptor or a mount holds it. Its number says nothing: the kernel gives it to the next one.
   */
  left(): readonly string[] {
    const now = this.#count()
    const more = descriptors() - this.#descriptorsBefore
    return [
      ...(more > ownDescriptorsMax ? [`${more} descriptors`] : []),
      ...[...this.#seen].filter(isRunning).map((pid) => `process ${pid}`),
      ...Object.entries(now).flatMap(([kind, names]) => names.filter((name) => !this.#before[kind]?.includes(name)).map((name) => `${kind} ${name}`)),
    ]
  }

  #count(): Readonly<Record<string, readonly string[]>> {
    return {
      mount: readFileSync('/proc/self/mountinfo', 'utf8').split('\n'),
      cgroup: ownCgroups(),
      file: [tmpdir(), '/dev/shm', '/var/cache/kindmesh/run'].flatMap((folder) => list(folder).filter((name) => name.includes(`kindmesh-${process.pid}-`))),
    }
  }
}

/** Sockets and pipes of this process. */
function descriptors(): number {
  return list('/proc/self/fd').filter((name) => {
    try {
      return /^(?:socket|pipe):/.test(readlinkSync(`/proc/self/fd/${name}`))
    } catch {
      return false
    }
  }).length
}
