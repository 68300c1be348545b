import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { MeshError } from '../base/index.ts'
import { Denied } from './refusal.ts'

/** Parts of a path below its root. Source: sandbox/v1 section 5.4. */
export const pathDepthMax = 32
const partBytesMax = 255
const pathCharsMax = 4_096

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants
/** Names a file without opening it: no device wakes, no pipe waits. The same on every Linux that Node runs on (asm-generic/fcntl.h). */
const O_PATH = 0o10000000

/** The way from a root to a file: its folders, and its name; `name` is undefined for the root itself. */
export interface GuestPath {
  readonly root: string
  readonly parts: readonly string[]
}

/** `notes/2026/today.md` is `today.md` in `2026` of the root `notes`. @throws ERR_HOST_ARGUMENTS, Denied */
export function parsePath(path: string): GuestPath {
  if (path.length > pathCharsMax || path.includes('\0') || !path.isWellFormed()) throw new MeshError('ERR_HOST_ARGUMENTS', 'not a path')
  if (path.startsWith('/')) throw new Denied('a path begins with the name of a root, not with a slash')
  const [root = '', ...rest] = path.split('/')
  const parts = rest.at(-1) === '' ? rest.slice(0, -1) : rest
  if (parts.length > pathDepthMax) throw new MeshError('ERR_HOST_ARGUMENTS', `a path has at most ${pathDepthMax} parts`)
  for (const part of [root, ...parts]) {
    if (part === '..') throw new Denied('a path does not lead upward')
    if (part === '' || part === '.' || Buffer.byteLength(part) > partBytesMax) throw new MeshError('ERR_HOST_ARGUMENTS', 'not a path')
  }
  return { root, parts }
}

/** A name in an open folder: the kernel starts at the descriptor, so nobody can put another folder in its place meanwhile. */
export const inFolder = (folder: FileHandle, name: string): string => `/proc/self/fd/${folder.fd}/${name}`
/** What is open already, to be opened otherwise. */
const again = (handle: FileHandle): string => `/proc/self/fd/${handle.fd}`

/** Opens a folder below `root` part by part, through no link. The caller closes it. @throws Denied for links and what is no folder, what the system raises */
export async function openFolder(root: string, parts: readonly string[], { create = false } = {}): Promise<FileHandle> {
  let folder = await open(root, O_RDONLY | O_DIRECTORY)
  for (const part of parts) {
    const parent = folder
    try {
      folder = await open(inFolder(parent, part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(async (error: unknown) => {
        if (!create || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        await mkdir(inFolder(parent, part), { mode: 0o700 })
        return await open(inFolder(parent, part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      })
    } catch (error) {
      // With O_DIRECTORY a link is ENOTDIR, without ELOOP.
      if ((error as NodeJS.ErrnoException).code === 'ELOOP' || (await isLink(parent, part))) throw new Denied('a link is not followed')
      throw error
    } finally {
      await parent.close()
    }
  }
  return folder
}

async function isLink(folder: FileHandle, name: string): Promise<boolean> {
  const handle = await open(inFolder(folder, name), O_PATH | O_NOFOLLOW).catch(() => undefined)
  if (handle === undefined) return false
  try {
    return (await handle.stat()).isSymbolicLink()
  } finally {
    await handle.close()
  }
}

/**
 * Opens a plain file of `folder`, which has no other name, with `flags`. What it is is looked at before it is opened,
 * and it is that very file that is opened. The caller closes it. @throws Denied, what the system raises
 */
export async function openPlainFile(folder: FileHandle, name: string, flags: number): Promise<FileHandle> {
  const named = await open(inFolder(folder, name), O_PATH | O_NOFOLLOW)
  try {
    const facts = await named.stat()
    if (facts.isSymbolicLink()) throw new Denied('a link is not followed')
    if (facts.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    if (!facts.isFile()) throw new Denied('devices, pipes and sockets are not opened')
    // Another name may lie outside the root.
    if (facts.nlink > 1) throw new Denied('a file with several names (hard links) is not opened')
    return await open(again(named), flags)
  } finally {
    await named.close()
  }
}

/** Makes a file that was not there. @throws what the system raises, EEXIST among it */
export const createFile = async (folder: FileHandle, name: string): Promise<FileHandle> =>
  await open(inFolder(folder, name), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600)
