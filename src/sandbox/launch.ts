import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, chmodSync, closeSync, constants, copyFileSync, existsSync, lstatSync, mkdirSync, openSync, renameSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MeshError } from '../base/index.ts'
import { seccompProgram } from './seccomp.ts'

/** nobody: the user a worker runs as when the node runs as root. */
export const workerUid = 65_534
export const workerOpenFilesMax = 256
/** What bubblewrap may say about the process it started. */
const infoBytesMax = 4 << 10

// No heap flag: it would override the memory limit of every isolate.
const nodeFlags = ['--no-node-snapshot', '--enable-experimental-regexp-engine-on-excessive-backtracks', '--wasm-max-mem-pages=1024']

export interface Launched {
  readonly child: ChildProcess
  /** The process that holds the guest, as the node sees it; undefined when it did not start. */
  readonly pid: Promise<number | undefined>
}

export interface Launcher {
  readonly name: 'isolated-vm+bubblewrap' | 'isolated-vm+permission'
  /** @throws ERR_SANDBOX_UNAVAILABLE saying what is missing */
  start(): Launched
}

export interface LauncherOptions {
  /** The script to run in place of the worker. */
  readonly entry?: string
  readonly bwrap?: string | undefined
}

/** Kills a launched process, whatever state its start is in. */
export function killLaunched({ child }: Launched): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}

/** Where the system keeps its programs. Not the PATH: what walls a guest in must not be found in a folder somebody else can write to. */
const programFolders = ['/usr/bin', '/bin', '/usr/local/bin', '/run/wrappers/bin', '/run/current-system/sw/bin']

export const findProgram = (name: string): string | undefined => programFolders.map((folder) => join(folder, name)).find((path) => isExecutable(path))

/** The worker behind kernel walls: its own namespaces, no network, nothing writable, few system calls, nobody's uid. */
export function bubblewrapLauncher({ entry = workerEntry(), bwrap = findProgram('bwrap') }: LauncherOptions = {}): Launcher {
  return {
    name: 'isolated-vm+bubblewrap',
    start() {
      const seccomp = seccompProgram(process.arch)
      const system = `${process.platform} ${process.arch}`
      if (process.platform !== 'linux' || seccomp === undefined) throw unavailable(`bubblewrap needs Linux on x64 or arm64, this is ${system}`)
      if (bwrap === undefined) throw unavailable('bubblewrap is missing: install the package bubblewrap')
      const node = reachableNode()
      // The files are handed over open and copied into the sandbox, so its user need not reach the folder they lie in.
      const files = appFiles(entry)
      const descriptors = files.map(({ from }) => openSync(from, 'r'))
      try {
        const child = spawn('/bin/sh', ['-c', startScript, bwrap, ...bubblewrapArguments(node, files, basename(entry))], {
          stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', ...descriptors],
          env: {},
          cwd: '/',
          // A process group of its own, for startScript and killLaunched.
          detached: true,
          ...droppedUser(),
        })
        const pipes: readonly unknown[] = child.stdio
        const seccompPipe = pipes[seccompDescriptor] as Socket | undefined
        seccompPipe?.on('error', () => undefined)
        seccompPipe?.end(seccomp)
        const lifeline = pipes[lifelineDescriptor] as Socket | undefined
        lifeline?.on('error', () => undefined)
        lifeline?.unref()
        child.on('exit', () => lifeline?.destroy())
        return { child, pid: innerPid(child) }
      } finally {
        descriptors.forEach((descriptor) => closeSync(descriptor))
      }
    },
  }
}

/** The worker under Node's permission model only: no files, no children, no workers; but network and kernel are not walled off. */
export function permissionLauncher({ entry = workerEntry() }: LauncherOptions = {}): Launcher {
  return {
    name: 'isolated-vm+permission',
    start() {
      const files = appFiles(entry)
      const reads = [...new Set(files.map(({ from }) => from))].map((path) => `--allow-fs-read=${path}`)
      const command = [process.execPath, ...nodeFlags, '--permission', '--allow-addons', ...reads, entry, addonPath()]
      const setpriv = findProgram('setpriv')
      const [program = '', ...rest] = setpriv === undefined ? command : [setpriv, '--pdeathsig', 'KILL', ...command]
      // Without walls a worker must at least not be root.
      const hidden = process.getuid?.() === 0 ? [process.execPath, ...files.map(({ from }) => from)].find((path) => !isReachable(path)) : undefined
      if (hidden !== undefined) throw unavailable(`user ${workerUid} cannot read ${hidden}: install bubblewrap, or do not run as root`)
      const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], env: {}, cwd: '/', detached: true, ...droppedUser() })
      return { child, pid: Promise.resolve(child.pid) }
    },
  }
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

function bubblewrapArguments(node: string, files: readonly AppFile[], entryName: string): readonly string[] {
  return [
    ...['--unshare-all', '--unshare-user', '--disable-userns', '--die-with-parent', '--new-session', '--as-pid-1', '--cap-drop', 'ALL', '--clearenv'],
    ...nodeBuild().libraries.flatMap((path) => ['--ro-bind', path, path]),
    ...['--ro-bind', node, '/app/node', '--dev', '/dev'],
    ...files.flatMap(({ to }, index) => ['--perms', '0444', '--file', String(firstFileDescriptor + index), `/app/${to}`]),
    ...['--remount-ro', '/dev', '--remount-ro', '/', '--chdir', '/app', '--info-fd', String(infoDescriptor), '--seccomp', String(seccompDescriptor)],
    ...['--', '/app/node', ...nodeFlags, `/app/${entryName}`, '/app/isolated-vm.node'],
  ]
}

interface AppFile {
  readonly from: string
  /** Below /app in the sandbox. */
  readonly to: string
}

const here = fileURLToPath(import.meta.url)
const requireHere = createRequire(import.meta.url)

/** The worker beside this file: TypeScript in a checkout, JavaScript in the package. */
const workerEntry = (): string => join(dirname(here), `worker${extname(here)}`)

/** All that exists in the sandbox besides Node and its libraries. */
function appFiles(entry: string): readonly AppFile[] {
  const extension = extname(here)
  const acorn = dirname(requireHere.resolve('acorn/package.json'))
  return [
    { from: entry, to: basename(entry) },
    ...['frames', 'code', 'guest'].map((name) => ({ from: join(dirname(here), name + extension), to: name + extension })),
    // Says that the files are modules.
    { from: join(dirname(here), '..', '..', 'package.json'), to: 'package.json' },
    ...['package.json', 'dist/acorn.mjs'].map((name) => ({ from: join(acorn, name), to: `node_modules/acorn/${name}` })),
    { from: addonPath(), to: 'isolated-vm.node' },
  ]
}

/** The prebuilt addon for this very Node, without the loader that looks for it. */
function addonPath(): string {
  const folder = dirname(requireHere.resolve('isolated-vm/package.json'))
  const libc = process.platform === 'linux' ? (nodeBuild().isGlibc ? '.glibc' : '.musl') : ''
  const prebuilt = join(folder, 'prebuilds', `${process.platform}-${process.arch}`, `isolated-vm.abi${process.versions.modules}${libc}.node`)
  const compiled = join(folder, 'build', 'Release', 'isolated_vm.node')
  const found = [prebuilt, compiled].find((path) => existsSync(path))
  if (found === undefined) throw unavailable(`isolated-vm has no build for Node ${process.versions.node} on ${process.platform} ${process.arch}`)
  return found
}

interface NodeBuild {
  readonly isGlibc: boolean
  /** Libraries Node itself loaded, the loader included; not the addons of this process. */
  readonly libraries: readonly string[]
}

function describeNode(): NodeBuild {
  const { header, sharedObjects } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string }; sharedObjects: string[] }
  const isLibrary = (path: string): boolean => path.startsWith('/') && !path.endsWith('.node') && path !== process.execPath && existsSync(path)
  return { isGlibc: header.glibcVersionRuntime !== undefined, libraries: sharedObjects.filter(isLibrary) }
}
let known: NodeBuild | undefined
const nodeBuild = (): NodeBuild => (known ??= describeNode())

/** The Node binary at a path the worker's user can reach: where it is, or a copy that only root can change. */
function reachableNode(): string {
  if (process.getuid?.() !== 0 || isReachable(process.execPath)) return process.execPath
  const { size, mtimeMs } = statSync(process.execPath)
  const folder = join(tmpdir(), `kindmesh-node-${size}-${Math.trunc(mtimeMs)}`)
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const { uid, mode } = lstatSync(folder)
  if (uid !== 0 || (mode & constants.S_IFMT) !== constants.S_IFDIR || (mode & 0o022) !== 0) throw unavailable(`${folder} belongs to somebody else: remove it`)
  chmodSync(folder, 0o755)
  const copy = join(folder, 'node')
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`
    copyFileSync(process.execPath, unfinished, constants.COPYFILE_FICLONE)
    chmodSync(unfinished, 0o755)
    renameSync(unfinished, copy)
  }
  if (!isReachable(copy)) throw unavailable(`user ${workerUid} can reach neither ${process.execPath} nor ${copy}: install Node where others can run it`)
  return copy
}

/** Whether others than the owner can get at a path. */
function isReachable(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return (statSync(path).mode & 0o004) !== 0
  }
}

/** Before bubblewrap, not by it: its own --uid would leave the kernel uid 0. Node drops the supplementary groups with it. */
const droppedUser = (): { readonly uid?: number; readonly gid?: number } => (process.getuid?.() === 0 ? { uid: workerUid, gid: workerUid } : {})

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

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

const unavailable = (message: string): MeshError => new MeshError('ERR_SANDBOX_UNAVAILABLE', message)
