import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isRunning } from './sandbox-processes.ts'
import { cacheFolderPath } from '../../src/sandbox/containers/cache.ts'

const names = (folder: string): readonly string[] => (existsSync(folder) ? readdirSync(folder) : [])

/** Control groups, folders, mounts and processes of containers of a node that are still there; of this process unless given. */
export function leftovers(pid = process.pid): readonly string[] {
  const ours = `kindmesh-${pid}-`
  const groups = ['', ...names('/sys/fs/cgroup')].flatMap((controller) => names(join('/sys/fs/cgroup', controller)).filter((name) => name.startsWith(ours)))
  const folders = names(join(cacheFolderPath(), 'run')).filter((name) => name.startsWith(ours))
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(ours))
  return [...groups, ...folders, ...mounts, ...processes(ours)]
}

/** A process that has ended and waits for its parent to look does not count. */
function processes(ours: string): readonly string[] {
  return names('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && isRunning(Number(name)) && readFileSync(`/proc/${name}/cgroup`, 'utf8').includes(ours)
    } catch {
      return false
    }
  })
}
