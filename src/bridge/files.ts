import { constants } from 'node:fs'
import { access, type FileHandle, lstat, mkdtemp, opendir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MeshError } from '../base/index.ts'
import type { FileSystemPolicy } from '../sandbox/index.ts'
import { createFile, inFolder, openFolder, openPlainFile, parsePath } from './folders.ts'
import { Denied } from './refusal.ts'

/** Entries of one answer of `list`. Source: sandbox/v1 section 5.4. */
export const filesListedMax = 1_000
/** Of one file read, whatever the policy says: it crosses as one answer. */
export const fileReadBytesMax = 2 << 20
/** Files and folders that one run may make. */
export const filesMadeMax = 1_000

const { O_APPEND, O_NOCTTY, O_NONBLOCK, O_RDONLY, O_TRUNC, O_WRONLY } = constants
const scratchName = 'work'

export interface FileEntry {
  readonly name: string
  readonly type: 'file' | 'folder' | 'other'
  readonly size: number
}

/** The files of one run. Paths begin with the name of a root and never leave it. */
export interface Files {
  /** The whole file or, with an offset or a length, that part of it as far as there is one. @throws Denied, ERR_NOT_FOUND, ERR_HOST_QUOTA; what the system raises */
  read(path: string, part?: { readonly offset?: number | undefined; readonly length?: number | undefined }): Promise<Buffer>
  /** Makes folders on the way. Answers the bytes written. @throws the same */
  write(path: string, bytes: Uint8Array, how: { readonly append: boolean; readonly exclusive: boolean }): Promise<number>
  /** The roots themselves for the empty path. */
  list(path: string): Promise<readonly FileEntry[]>
  /** Removes the scratch root. */
  close(): Promise<void>
}

/** `work` is a folder for the root of that name that somebody else made and removes. */
export function createFiles(policy: FileSystemPolicy, work?: string): Files {
  const hasScratch = policy.scratch || work !== undefined
  let written = 0
  let made = 0
  let scratch: Promise<string> | undefined
  let closed = false

  async function rootOf(name: string, mode: 'read' | 'write'): Promise<string> {
    if (name === scratchName && hasScratch) {
      if (closed) throw new MeshError('ERR_STOPPED', 'the run has ended')
      if (work !== undefined) return work
      return await (scratch ??= mkdtemp(join(tmpdir(), 'kindmesh-work-')))
    }
    const root = policy.roots.find((root) => root.name === name)
    if (root === undefined) throw new Denied(`${JSON.stringify(name.slice(0, 64))} is not among the roots granted`)
    if (mode === 'write' && root.mode !== 'write') throw new Denied(`the root ${name} is granted for reading`)
    return root.path
  }

  async function inside<T>(path: string, mode: 'read' | 'write', act: (folder: FileHandle, name: string) => Promise<T>): Promise<T> {
    const { root, parts } = parsePath(path)
    const name = parts.at(-1)
    const rootPath = await rootOf(root, mode)
    await requireDescriptors()
    if (name === undefined) throw Object.assign(new Error('a root'), { code: 'EISDIR' })
    const folder = await openFolder(rootPath, parts.slice(0, -1), { create: mode === 'write' })
    try {
      return await act(folder, name)
    } finally {
      await folder.close()
    }
  }

  return {
    async read(path, { offset, length } = {}) {
      const bytesMax = Math.min(policy.maxBytes, fileReadBytesMax)
      if (length !== undefined && length > bytesMax) throw new MeshError('ERR_HOST_QUOTA', `at most ${bytesMax} bytes are read at a time`)
      return await inside(path, 'read', async (folder, name) => {
        const file = await openPlainFile(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY)
        try {
          if (offset === undefined && length === undefined) return await readUpTo(file, bytesMax)
          return await readPart(file, offset ?? 0, length ?? bytesMax)
        } finally {
          await file.close()
        }
      })
    },
    async write(path, bytes, { append, exclusive }) {
      // Counted before the first folder is made.
      if (made === filesMadeMax) throw new MeshError('ERR_HOST_QUOTA', `a run makes at most ${filesMadeMax} files`)
      if (written + bytes.length > policy.maxBytes) throw new MeshError('ERR_HOST_QUOTA', `a run writes at most ${policy.maxBytes} bytes`)
      written += bytes.length
      made++
      return await inside(path, 'write', async (folder, name) => {
        const file = await createFile(folder, name).catch(async (error: unknown) => {
          if (exclusive || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
          made--
          return await openPlainFile(folder, name, O_WRONLY | O_NONBLOCK | O_NOCTTY | (append ? O_APPEND : O_TRUNC))
        })
        try {
          await file.writeFile(bytes)
        } finally {
          await file.close()
        }
        return bytes.length
      })
    },
    async list(path) {
      if (path === '') {
        const names = [...policy.roots.map(({ name }) => name), ...(hasScratch ? [scratchName] : [])]
        return names.map((name) => ({ name, type: 'folder', size: 0 }))
      }
      const { root, parts } = parsePath(path)
      const rootPath = await rootOf(root, 'read')
      await requireDescriptors()
      const folder = await openFolder(rootPath, parts)
      try {
        return await entriesOf(folder)
      } finally {
        await folder.close()
      }
    },
    async close() {
      closed = true
      const path = await scratch?.catch(() => undefined)
      if (path !== undefined) await rm(path, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}

/** Without descriptors by path there is no way to open a file that a racing link cannot bend. */
const requireDescriptors = async (): Promise<void> =>
  await access('/proc/self/fd').catch(() => {
    throw new MeshError('ERR_HOST_FAILED', 'files are granted on Linux alone: this system opens none relative to a folder')
  })

async function readUpTo(file: FileHandle, bytesMax: number): Promise<Buffer> {
  const { size } = await file.stat()
  const tooLarge = (): MeshError => new MeshError('ERR_HOST_QUOTA', `the file exceeds ${bytesMax} bytes`)
  if (size > bytesMax) throw tooLarge()
  // One byte more tells a file that grows meanwhile, and files of /proc that claim to be empty.
  const buffer = Buffer.alloc(Math.max(size, 4_096) + 1)
  let length = 0
  while (length < buffer.length) {
    const { bytesRead } = await file.read(buffer, length, buffer.length - length)
    if (bytesRead === 0) return buffer.subarray(0, length)
    length += bytesRead
  }
  throw tooLarge()
}

async function readPart(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { size } = await file.stat()
  const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - offset)))
  let at = 0
  while (at < buffer.length) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at, offset + at)
    if (bytesRead === 0) break
    at += bytesRead
  }
  return buffer.subarray(0, at)
}

async function entriesOf(folder: FileHandle): Promise<FileEntry[]> {
  const entries: FileEntry[] = []
  for await (const entry of await opendir(inFolder(folder, '.'))) {
    if (entries.length === filesListedMax) throw new MeshError('ERR_HOST_QUOTA', `the folder has more than ${filesListedMax} entries`)
    // What vanished meanwhile is not listed.
    const facts = await lstat(inFolder(folder, entry.name)).catch(() => undefined)
    if (facts === undefined) continue
    entries.push({ name: entry.name, type: facts.isFile() ? 'file' : facts.isDirectory() ? 'folder' : 'other', size: facts.isFile() ? facts.size : 0 })
  }
  return entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}
