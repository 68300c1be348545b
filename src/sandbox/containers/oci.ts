import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram, unavailable, versionOf } from '../programs.ts'
import type { Launcher } from '../launched.ts'
import type { ContainerLauncherOptions } from './bubblewrap.ts'
import { cacheFolder } from './cache.ts'
import { ociSeccomp } from './calls.ts'
import { Cgroup, type CgroupPlace, findCgroupPlace } from './cgroup.ts'
import { containerOpenFilesMax, startGuarded } from './guarded.ts'
import { nextName, readyTimeoutMs } from './names.ts'
import { containerEnvironment, containerParts, containerUser, type ContainerParts, temporaryFolderBytes, workFolderBytes } from './parts.ts'
import { nodeInside } from './rootfs.ts'

/** A runtime of the Open Container Initiative that is given a bundle and runs it to its end. */
interface Runtime {
  readonly name: 'crun' | 'runc' | 'runsc'
  /** Before `run`. */
  readonly flags: readonly string[]
  /** Whether it takes a user namespace and a control group from the bundle; gVisor brings a kernel of its own instead. */
  readonly isKernelShared: boolean
}

const runtimes: Readonly<Record<Runtime['name'], Runtime>> = {
  crun: { name: 'crun', flags: ['--cgroup-manager=disabled'], isKernelShared: true },
  runc: { name: 'runc', flags: [], isKernelShared: true },
  runsc: {
    name: 'runsc',
    flags: ['--platform=ptrace', '--network=none', '--ignore-cgroups', '--file-access=exclusive', '--overlay=false'],
    isKernelShared: false,
  },
}

/** gVisor runs a guest's threads on processes of its own, and itself on threads that come and go. */
const sentryProcesses = (processes: number): number => 2 * processes + 64

/** Numbers no user of the system has: the users of a container, root among them, are these outside. */
export const subordinateUid = 1_879_048_192
export const subordinateCount = 65_536

/** A container by a runtime and a bundle. Needs root: only then are its groups sure to be ours. */
export function ociContainer(name: Runtime['name'], { entry, program = findProgram(name) }: ContainerLauncherOptions = {}): Launcher {
  const runtime = runtimes[name]
  return {
    level: 'containerized',
    name,
    tasksPerGuest: 1,
    readyTimeoutMs,
    memorySlackBytes: 0,
    version: () => versionOf(program),
    start() {
      if (program === undefined) throw unavailable(`${name} is missing`, `apt-get install ${name}`)
      if (process.getuid?.() !== 0) throw unavailable(`${name} is used by root only`, 'use bubblewrap, or podman')
      const place = findCgroupPlace()
      if (place === undefined) {
        throw unavailable(`${name} needs control groups that this process may make`, 'use bubblewrap, or give the node a delegated control group')
      }
      const parts = containerParts(entry)
      const id = nextName()
      const cgroup = new Cgroup(place, id, runtime.isKernelShared ? undefined : sentryProcesses)
      const folder = cacheFolder('run', id)
      chmodSync(folder, 0o755)
      mkdirSync(join(folder, 'state'), { mode: 0o700 })
      writeFileSync(join(folder, 'config.json'), JSON.stringify(bundle(runtime, parts, cgroup)))
      const command = [
        ...(name === 'crun' ? withoutHybrid(place) : []),
        program,
        '--root',
        join(folder, 'state'),
        ...runtime.flags,
        'run',
        '--bundle',
        folder,
        id,
      ]
      return startGuarded({ command, cgroup, folder, environment: { HOME: folder, XDG_RUNTIME_DIR: folder } })
    },
  }
}

/** crun refuses a system where both versions of control groups have controllers: it is shown the one we use. */
export function withoutHybrid({ version, unified }: CgroupPlace): readonly string[] {
  if (version === 2 || unified === undefined) return []
  const unshare = findProgram('unshare')
  if (unshare === undefined) throw unavailable('unshare is missing', 'apt-get install util-linux')
  return [unshare, '--mount', '--propagation', 'private', '--', '/bin/sh', '-c', 'umount -l "$0" && exec "$@"', unified]
}

const noCapabilities = Object.fromEntries(['bounding', 'effective', 'inheritable', 'permitted', 'ambient'].map((set) => [set, []]))

/** The bundle's config.json. Source: OCI runtime specification 1.0.2. */
function bundle({ name, isKernelShared }: Runtime, { rootfs, app, node, command }: ContainerParts, cgroup: Cgroup): object {
  const mappings = [{ containerID: 0, hostID: subordinateUid, size: subordinateCount }]
  const readOnly = ['rbind', 'ro', 'nosuid', 'nodev']
  const namespaces = ['pid', 'network', 'ipc', 'uts', 'mount', ...(isKernelShared ? ['user', 'cgroup'] : [])]
  const temporary = (size: number, mode: string): readonly string[] => [
    'nosuid',
    'nodev',
    `mode=${mode}`,
    `size=${size}`,
    `uid=${containerUser}`,
    `gid=${containerUser}`,
  ]
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: containerUser, gid: containerUser },
      args: command,
      env: Object.entries(containerEnvironment).map(([key, value]) => `${key}=${value}`),
      cwd: '/work',
      capabilities: noCapabilities,
      rlimits: [
        { type: 'RLIMIT_NOFILE', hard: containerOpenFilesMax, soft: containerOpenFilesMax },
        { type: 'RLIMIT_CORE', hard: 0, soft: 0 },
      ],
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    hostname: 'sandbox',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'strictatime', 'mode=755', 'size=65536'] },
      { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'] },
      { destination: '/work', type: 'tmpfs', source: 'tmpfs', options: temporary(workFolderBytes, '0700') },
      { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: temporary(temporaryFolderBytes, '1777') },
      { destination: nodeInside, type: 'bind', source: node, options: readOnly },
      { destination: '/app', type: 'bind', source: app, options: readOnly },
    ],
    linux: {
      namespaces: namespaces.map((type) => ({ type })),
      ...(isKernelShared
        ? { uidMappings: mappings, gidMappings: mappings, ...(name === 'runc' ? { cgroupsPath: `${cgroup.path}/inside`, resources: {} } : {}) }
        : {}),
      maskedPaths: [
        '/proc/kcore',
        '/proc/keys',
        '/proc/latency_stats',
        '/proc/timer_list',
        '/proc/timer_stats',
        '/proc/sched_debug',
        '/proc/scsi',
        '/proc/acpi',
      ],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
      ...(isKernelShared ? { seccomp: ociSeccomp(process.arch) } : {}),
    },
  }
}
