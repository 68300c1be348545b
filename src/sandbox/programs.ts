import { execFile } from 'node:child_process'
import { accessSync, chmodSync, constants, copyFileSync, existsSync, lstatSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { MeshError } from '../base/index.ts'

/** nobody: the user a worker runs as when the node runs as root. */
export const workerUid = 65_534

/** Where the system keeps its programs. Not the PATH: what walls a guest in must not be found in a folder somebody else can write to. */
const programFolders = ['/usr/bin', '/bin', '/usr/local/bin', '/usr/sbin', '/sbin', '/run/wrappers/bin', '/run/current-system/sw/bin']

export const findProgram = (name: string): string | undefined => programFolders.map((folder) => join(folder, name)).find((path) => isExecutable(path))

const versionTimeoutMs = 5_000

/** The first line of what a program says to `--version`; empty when it says nothing. */
export async function versionOf(program: string | undefined): Promise<string> {
  if (program === undefined) return ''
  try {
    const { stdout } = await promisify(execFile)(program, ['--version'], { timeout: versionTimeoutMs, maxBuffer: 64 << 10, env: {} })
    return (stdout.split('\n')[0] ?? '').slice(0, 100)
  } catch {
    return ''
  }
}

/** Before bubblewrap, not by it: its own --uid would leave the kernel uid 0. Node drops the supplementary groups with it. */
export const droppedUser = (): { readonly uid?: number; readonly gid?: number } => (process.getuid?.() === 0 ? { uid: workerUid, gid: workerUid } : {})

export interface NodeBuild {
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
export const nodeBuild = (): NodeBuild => (known ??= describeNode())

/** The Node binary at a path the worker's user can reach: where it is, or a copy that only root can change. @throws ERR_SANDBOX_UNAVAILABLE */
export function reachableNode(): string {
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
export function isReachable(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if ((statSync(folder).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return (statSync(path).mode & 0o004) !== 0
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}

/** With the command that mends it, where one does. */
export const unavailable = (message: string, hint?: string): MeshError => new MeshError('ERR_SANDBOX_UNAVAILABLE', message, hint === undefined ? {} : { hint })
