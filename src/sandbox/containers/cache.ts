import { chmodSync, constants, lstatSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { MeshError } from '../../base/index.ts'

const othersMayWrite = 0o022

/** Where images are kept: for root the system's cache, which the users it drops to can read; for others their own. */
export const cacheFolderPath = (): string => (process.getuid?.() === 0 ? '/var/cache/kindmesh' : join(homedir(), '.cache', 'kindmesh'))

/** Makes sure of a folder below `base`, and of all between, that nobody else can put anything into. @throws ERR_SANDBOX_UNAVAILABLE when somebody else owns it or may write to it */
export function ownFolder(path: string, base = cacheFolderPath()): string {
  mkdirSync(path, { recursive: true, mode: 0o755 })
  for (let folder = path; folder !== dirname(base) && folder !== dirname(folder); folder = dirname(folder)) {
    const { uid, mode } = lstatSync(folder)
    const isOurs = uid === process.getuid?.() && (mode & constants.S_IFMT) === constants.S_IFDIR
    if (!isOurs || (mode & othersMayWrite) !== 0) throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `${folder} belongs to somebody else: remove it`)
    chmodSync(folder, 0o755)
  }
  return path
}

/** A folder below the cache. */
export const cacheFolder = (...names: readonly string[]): string => ownFolder(join(cacheFolderPath(), ...names))
