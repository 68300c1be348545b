import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Launcher } from '../launched.ts'
import { findProgram, unavailable, versionOf } from '../programs.ts'
import type { ContainerLauncherOptions } from './bubblewrap.ts'
import { cacheFolder } from './cache.ts'
import { ociSeccomp } from './calls.ts'
import { Cgroup, findCgroupPlace } from './cgroup.ts'
import { containerOpenFilesMax, startGuarded } from './guarded.ts'
import { nextName, readyTimeoutMs } from './names.ts'
import { subordinateCount, subordinateUid, withoutHybrid } from './oci.ts'
import { containerEnvironment, containerParts, containerUser, type ContainerParts, temporaryFolderBytes, workFolderBytes } from './parts.ts'
import { nodeInside } from './rootfs.ts'

/** A container by podman without its daemon, images and network: it takes the root file system as it is, and its state lies in a folder of this container. Needs root and crun. */
export function podmanContainer({ entry, program = findProgram('podman') }: ContainerLauncherOptions = {}): Launcher {
  return {
    level: 'containerized',
    name: 'podman',
    tasksPerGuest: 1,
    readyTimeoutMs,
    memorySlackBytes: 0,
    version: () => versionOf(program),
    start() {
      if (program === undefined) throw unavailable('podman is missing', 'apt-get install podman')
      const crun = findProgram('crun')
      if (crun === undefined) throw unavailable('podman needs crun', 'apt-get install crun')
      if (process.getuid?.() !== 0) throw unavailable('podman is used by root only', 'use bubblewrap')
      const place = findCgroupPlace()
      if (place === undefined) throw unavailable('podman needs control groups that this process may make', 'use bubblewrap')
      const parts = containerParts(entry)
      // Podman mounts files of its own on these, and its user may not make them.
      for (const name of ['etc/hostname', 'run/.containerenv']) closeSync(openSync(join(parts.rootfs, name), 'a', 0o644))
      const id = nextName()
      const folder = cacheFolder('run', id)
      for (const name of ['root', 'runroot', 'tmp', 'home']) mkdirSync(join(folder, name), { mode: 0o700 })
      const seccomp = join(folder, 'seccomp.json')
      writeFileSync(seccomp, JSON.stringify(ociSeccomp(process.arch)))
      // In place of the system's settings; locks in shared memory would stay behind.
      const settings = join(folder, 'containers.conf')
      writeFileSync(settings, '[engine]\nlock_type = "file"\n')
      return startGuarded({
        command: [
          ...withoutHybrid(place),
          program,
          ...storage(folder, crun),
          ...podmanArguments(parts, id, seccomp),
          '--rootfs',
          parts.rootfs,
          ...parts.command,
        ],
        cgroup: new Cgroup(place, id),
        folder,
        environment: { HOME: join(folder, 'home'), XDG_RUNTIME_DIR: join(folder, 'tmp'), CONTAINERS_CONF: settings },
      })
    },
  }
}

const storage = (folder: string, crun: string): readonly string[] => [
  ...['--root', join(folder, 'root'), '--runroot', join(folder, 'runroot'), '--tmpdir', join(folder, 'tmp')],
  ...['--storage-driver=vfs', '--events-backend=none', '--cgroup-manager=cgroupfs', '--runtime', crun, '--runtime-flag', `root=${join(folder, 'crun')}`],
]

function podmanArguments({ app, node }: ContainerParts, id: string, seccomp: string): readonly string[] {
  const mapping = `0:${subordinateUid}:${subordinateCount}`
  const readOnly = (from: string, to: string): readonly string[] => ['--volume', `${from}:${to}:ro,nosuid,nodev,bind`]
  return [
    ...['run', '--rm', '--interactive', '--name', id, '--hostname', 'sandbox', '--log-driver=none', '--pull=never'],
    // The control group is ours: podman, its monitor and the container are in it together.
    ...['--cgroups=disabled', '--network=none', '--ipc=none', '--uidmap', mapping, '--gidmap', mapping, '--user', `${containerUser}:${containerUser}`],
    ...['--read-only', '--read-only-tmpfs=false', '--no-hosts', '--cap-drop=all', '--security-opt=no-new-privileges', `--security-opt=seccomp=${seccomp}`],
    ...['--security-opt=mask=/sys', `--ulimit=nofile=${containerOpenFilesMax}:${containerOpenFilesMax}`, '--ulimit=nproc=4096:4096', '--ulimit=core=0:0'],
    ...['--tmpfs', `/work:size=${workFolderBytes},mode=1777`, '--tmpfs', `/tmp:size=${temporaryFolderBytes},mode=1777`, '--workdir', '/work'],
    ...[...readOnly(node, nodeInside), ...readOnly(app, '/app'), '--unsetenv-all'],
    ...Object.entries(containerEnvironment).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
  ]
}
