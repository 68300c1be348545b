import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { type App, appFiles, isolatedVmVersion, nativeEntry, workerEntry } from './app-files.ts'
import type { Launched, Launcher } from './launched.ts'
import { killGroup, launchedFromChild } from './launched-child.ts'
import { droppedUser, findProgram, isReachable, nodeBuild, reachableNode, unavailable, versionOf, workerUid } from './programs.ts'
import { sandboxLimitsMax } from './limits.ts'
import { seccompProgram } from './seccomp.ts'

export const workerOpenFilesMax = 256
/** A warm worker of the level `sandboxed` serves this many tasks. Source: sandbox/v1 section 2. */
export const tasksPerWorkerMax = 100
/** From start to the first frame. Generous: a busy machine starts a dozen at once. */
const readyTimeoutMs = 20_000
/** What bubblewrap may say about the process it started. */
const infoBytesMax = 4 << 10
/** Data segment of a strict worker: the most a task may have, and Node itself. Without a compiler no code range is reserved, so it can be bounded. */
const strictDataKiB = (sandboxLimitsMax.memoryMiB + 768) * 1_024

// No heap flag: it would override the memory limit of every isolate.
const nodeFlags = ['--no-node-snapshot', '--enable-experimental-regexp-engine-on-excessive-backtracks', '--wasm-max-mem-pages=1024']
/** No compiler, and so none of its bugs; one task a process, and so no residue of another. */
const strictFlags = ['--jitless']
/** A module may have as much memory as its task. */
export const wasmFlags = [...nodeFlags.slice(0, -1), `--wasm-max-mem-pages=${sandboxLimitsMax.memoryMiB * 16}`]

export interface LauncherOptions {
  /** The script to run in place of the worker. */
  readonly entry?: string
  readonly bwrap?: string | undefined
  readonly strict?: boolean
  /** For tasks that are WebAssembly, and for nothing else. */
  readonly wasm?: boolean
}

/** The worker behind kernel walls: its own namespaces, no network, nothing writable, few system calls, nobody's uid. */
export function bubblewrapLauncher({ entry = workerEntry(), bwrap = findProgram('bwrap'), strict = false, wasm = false }: LauncherOptions = {}): Launcher {
  const name = strict ? 'isolated-vm+bubblewrap+strict' : 'isolated-vm+bubblewrap'
  return {
    ...ofLevel(strict),
    name,
    ...(strict || wasm ? {} : { others: [{ engine: 'wasm', launcher: bubblewrapLauncher({ entry, bwrap, wasm: true }) }] }),
    version: async () => `${await versionOf(bwrap)}, isolated-vm ${isolatedVmVersion()}`,
    async start(late) {
      const seccomp = seccompProgram(process.arch)
      const system = `${process.platform} ${process.arch}`
      if (process.platform !== 'linux' || seccomp === undefined) throw unavailable(`bubblewrap needs Linux on x64 or arm64, this is ${system}`)
      if (bwrap === undefined) throw unavailable('bubblewrap is missing: install the package bubblewrap', 'apt-get install bubblewrap')
      const node = reachableNode()
      // The files are handed over open and copied into the sandbox, so its user need not reach the folder they lie in.
      const app = appFiles(entry)
      const descriptors = app.files.map(({ from }) => openSync(from, 'r'))
      try {
        const child = spawn(
          '/bin/sh',
          [
            '-c',
            strict ? `ulimit -d ${strictDataKiB}; ${startScript}` : startScript,
            bwrap,
            ...bubblewrapArguments(node, app, strict ? [...nodeFlags, ...strictFlags] : wasm ? wasmFlags : nodeFlags),
          ],
          {
            stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', ...descriptors],
            env: {},
            cwd: '/',
            // A process group of its own, for startScript and killGroup.
            detached: true,
            ...droppedUser(),
          },
        )
        const pipes: readonly unknown[] = child.stdio
        const seccompPipe = pipes[seccompDescriptor] as Socket | undefined
        seccompPipe?.on('error', () => undefined)
        seccompPipe?.end(seccomp)
        const lifeline = pipes[lifelineDescriptor] as Socket | undefined
        lifeline?.on('error', () => undefined)
        lifeline?.unref()
        child.on('exit', () => lifeline?.destroy())
        // One that hangs says neither which process it started nor that it failed.
        late?.addEventListener('abort', () => killGroup(child), { once: true })
        return await launchedFromChild(child, { name, guestPid: innerPid(child) })
      } finally {
        descriptors.forEach((descriptor) => closeSync(descriptor))
      }
    },
  }
}

/** The worker under Node's permission model only: no files, no children, no workers; but network and kernel are not walled off. */
export function permissionLauncher({ entry = workerEntry(), wasm = false }: LauncherOptions = {}): Launcher {
  const name = 'isolated-vm+permission'
  return {
    ...ofLevel(false),
    name,
    ...(wasm ? {} : { others: [{ engine: 'wasm', launcher: permissionLauncher({ entry, wasm: true }) }] }),
    version: async () => `isolated-vm ${isolatedVmVersion()}`,
    weakness: {
      why: 'lower assurance: no namespaces, no system call filter; install bubblewrap and allow unprivileged user namespaces',
      fix: 'apt-get install bubblewrap',
    },
    start() {
      const { files, entry: main, addon } = appFiles(entry)
      const reads = files.map(({ from }) => `--allow-fs-read=${from}`)
      const command = [process.execPath, ...(wasm ? wasmFlags : nodeFlags), '--permission', '--allow-addons', ...reads, main.from, addon.from]
      // Without walls a worker must at least not be root.
      const hidden = process.getuid?.() === 0 ? [process.execPath, ...files.map(({ from }) => from)].find((path) => !isReachable(path)) : undefined
      if (hidden !== undefined) throw unavailable(`user ${workerUid} cannot read ${hidden}: install bubblewrap, or do not run as root`)
      return startPlain(name, command, droppedUser())
    },
  }
}

/** A plain Node process of the node's own user: no wall but the process. For the operator's own code. */
export function nativeLauncher({ entry = nativeEntry() }: Pick<LauncherOptions, 'entry'> = {}): Launcher {
  return {
    level: 'native',
    name: 'process',
    tasksPerGuest: 1,
    readyTimeoutMs,
    memorySlackBytes: 0,
    start: () => startPlain('process', [process.execPath, ...nodeFlags, entry], {}),
  }
}

const ofLevel = (strict: boolean): Pick<Launcher, 'level' | 'tasksPerGuest' | 'readyTimeoutMs' | 'memorySlackBytes'> => ({
  level: 'sandboxed',
  tasksPerGuest: strict ? 1 : tasksPerWorkerMax,
  readyTimeoutMs,
  memorySlackBytes: 0,
})

/** Ends with the node where the system has `setpriv`. */
async function startPlain(name: string, command: readonly string[], user: ReturnType<typeof droppedUser>): Promise<Launched> {
  const setpriv = findProgram('setpriv')
  const [program = '', ...rest] = setpriv === undefined ? command : [setpriv, '--pdeathsig', 'KILL', ...command]
  return await launchedFromChild(spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], env: {}, cwd: '/', detached: true, ...user }), { name })
}

const infoDescriptor = 3
const seccompDescriptor = 4
/** Open as long as the node lives. */
const lifelineDescriptor = 5
const firstFileDescriptor = 6

/**
 * Becomes bubblewrap, beside a watcher that kills the process group when the node is gone.
 * --die-with-parent is not enough: until it is armed, a child that bubblewrap has forked outlives it and waits for ever.
 */
const startScript = `
ulimit -c 0; ulimit -n ${workerOpenFilesMax}
(exec >/dev/null 2>&1 3>&- 4>&-; read -r _ <&${lifelineDescriptor}; kill -9 -$$) </dev/null &
exec "$0" "$@" ${lifelineDescriptor}>&-`

function bubblewrapArguments(node: string, { files, entry, addon }: App, flags: readonly string[]): readonly string[] {
  return [
    ...['--unshare-all', '--unshare-user', '--disable-userns', '--die-with-parent', '--new-session', '--as-pid-1', '--cap-drop', 'ALL', '--clearenv'],
    ...nodeBuild().libraries.flatMap((path) => ['--ro-bind', path, path]),
    ...['--ro-bind', node, '/app/node', '--dev', '/dev'],
    ...files.flatMap(({ to }, index) => ['--perms', '0444', '--file', String(firstFileDescriptor + index), `/app/${to}`]),
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/app', '--info-fd', String(infoDescriptor), '--seccomp', String(seccompDescriptor)],
    ...['--', '/app/node', ...flags, `/app/${entry.to}`, `/app/${addon.to}`],
  ]
}

async function innerPid(child: ChildProcess): Promise<number | undefined> {
  let text = ''
  const stream = child.stdio[infoDescriptor] as NodeJS.ReadableStream | null | undefined
  for await (const chunk of stream ?? []) {
    // Read to the end: bubblewrap writes in several pieces and dies of a pipe closed half-way.
    text = (text + String(chunk)).slice(0, infoBytesMax)
  }
  const pid = /"child-pid": (\d+)/.exec(text)?.[1]
  return pid === undefined ? undefined : Number(pid)
}
