import { findProgram, unavailable, versionOf } from '../programs.ts'
import type { Launcher } from '../launched.ts'
import { seccompProgram } from '../seccomp.ts'
import { containerProfile } from './calls.ts'
import { Cgroup, type CgroupPlace, findCgroupPlace } from './cgroup.ts'
import { seccompDescriptor, startGuarded } from './guarded.ts'
import { containerEnvironment, containerParts, containerUser, type ContainerParts, temporaryFolderBytes, workFolderBytes } from './parts.ts'
import { nodeInside } from './rootfs.ts'
import { nextName, readyTimeoutMs } from './names.ts'

export interface ContainerLauncherOptions {
  /** The script to run in place of the worker. */
  readonly entry?: string
  /** The program that makes the container; found where the system keeps its programs when undefined. */
  readonly program?: string
  /** Where control groups can be made; found out when missing. */
  readonly place?: CgroupPlace | undefined
}

/** A container out of bubblewrap alone: own namespaces of every kind, no user in common with the system, a list of system calls. */
export function bubblewrapContainer(options: ContainerLauncherOptions = {}): Launcher {
  const { entry, program = findProgram('bwrap') } = options
  return {
    level: 'containerized',
    name: 'bubblewrap',
    tasksPerGuest: 1,
    readyTimeoutMs,
    memorySlackBytes: 0,
    version: () => versionOf(program),
    start() {
      const seccomp = seccompProgram(process.arch, containerProfile)
      if (seccomp === undefined || process.platform !== 'linux') throw unavailable('bubblewrap needs Linux on x64 or arm64')
      if (program === undefined) throw unavailable('bubblewrap is missing', 'apt-get install bubblewrap')
      const parts = containerParts(entry)
      const place = 'place' in options ? options.place : findCgroupPlace()
      return startGuarded({
        command: [...droppedUser(), program, ...bubblewrapArguments(parts), '--seccomp', String(seccompDescriptor), '--', ...parts.command],
        seccomp,
        cgroup: place === undefined ? undefined : new Cgroup(place, nextName()),
      })
    },
  }
}

/** Before bubblewrap, not by it: its own --uid would leave the kernel uid 0. */
function droppedUser(): readonly string[] {
  if (process.getuid?.() !== 0) return []
  const setpriv = findProgram('setpriv')
  if (setpriv === undefined) throw unavailable('setpriv is missing', 'apt-get install util-linux')
  return [setpriv, '--reuid', String(containerUser), '--regid', String(containerUser), '--clear-groups', '--inh-caps=-all', '--']
}

function bubblewrapArguments({ rootfs, app, node }: ContainerParts): readonly string[] {
  return [
    ...['--unshare-all', '--unshare-user', '--disable-userns', '--die-with-parent', '--new-session', '--as-pid-1', '--cap-drop', 'ALL', '--clearenv'],
    ...(process.getuid?.() === 0 ? [] : ['--uid', String(containerUser), '--gid', String(containerUser)]),
    ...['--hostname', 'sandbox', '--ro-bind', rootfs, '/', '--ro-bind', node, nodeInside, '--ro-bind', app, '/app', '--proc', '/proc', '--dev', '/dev'],
    ...['--perms', '0700', '--size', String(workFolderBytes), '--tmpfs', '/work', '--perms', '1777', '--size', String(temporaryFolderBytes), '--tmpfs', '/tmp'],
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/work'],
    ...Object.entries(containerEnvironment).flatMap(([name, value]) => ['--setenv', name, value]),
  ]
}
