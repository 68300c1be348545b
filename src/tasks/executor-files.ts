import { constants } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { equal, MeshError, safeFileName } from '../base/index.ts'
import { createSha256 } from '../crypto/index.ts'
import { type Artefact, taskArtefactBytesMax, taskArtefactsMax } from '../protocols/task/index.ts'

/** Bytes of a file read and sent at a time. Source: task/v1 section 4. */
const pieceBytes = 64 * 1024
/** Space that tasks leave free on the disk. Source: task/v1 section 6. */
export const taskDiskReserveBytes = 256 << 20

/** The folder of one task: files that came with it in `in`, files it leaves in `out`. Only the node reads and writes there; the task asks it to. */
export interface TaskFolder {
  readonly path: string
  /** Takes the body of a file of the request. */
  receive(artefact: Artefact): Promise<FileSink>
  /** What is in `out`, by name. @throws ERR_TASK_FILES when it is too much, or no plain file of a fit name */
  collect(): Promise<readonly Artefact[]>
  /** A file that was collected, in pieces; each is good until the next. @throws ERR_TASK_FILES when it is not as it was */
  read(artefact: Artefact): AsyncIterable<Uint8Array>
  /** Leaves only what is to be sent back. */
  removeIn(): Promise<void>
  remove(): Promise<void>
}

export interface FileSink {
  write(bytes: Uint8Array): Promise<void>
  /** @throws ERR_FILE_HASH when other bytes came */
  end(): Promise<void>
  /** Lets go of it, whatever came. */
  close(): Promise<void>
}

export interface TaskFolders {
  make(id: string): Promise<TaskFolder>
  /** The folder of a task that ended. */
  find(id: string): Promise<TaskFolder>
  /** Removes the folders of all tasks but these. */
  sweep(ids: ReadonlySet<string>): Promise<void>
  /** @throws ERR_DISK_FULL */
  checkRoom(bytes: number): Promise<void>
  stop(): Promise<void>
}

/** Under `root`, which lasts; without one under a folder of its own that goes when it stops. */
export function createTaskFolders(root: string | undefined): TaskFolders {
  let made: Promise<string> | undefined
  const base = (): Promise<string> =>
    (made ??= root === undefined ? mkdtemp(join(tmpdir(), 'kindmesh-tasks-')) : mkdir(root, { recursive: true, mode: 0o700 }).then(() => root))
  return {
    async make(id) {
      const path = join(await base(), id)
      await rm(path, { recursive: true, force: true })
      await mkdir(join(path, 'in'), { recursive: true, mode: 0o700 }).catch(toDiskError)
      await mkdir(join(path, 'out'), { mode: 0o700 }).catch(toDiskError)
      return folderAt(path)
    },
    find: async (id) => folderAt(join(await base(), id)),
    async sweep(ids) {
      if (root === undefined) return
      const names = await readdir(root).catch(() => [])
      await Promise.all(names.filter((name) => !ids.has(name)).map((name) => rm(join(root, name), { recursive: true, force: true })))
    },
    async checkRoom(bytes) {
      const { bavail, bsize } = await statfs(await base())
      if (bavail * bsize >= bytes + taskDiskReserveBytes) return
      throw new MeshError('ERR_DISK_FULL', 'too little space is left for the files of the task', { details: { retryAfterMs: 60_000 } })
    },
    async stop() {
      if (root === undefined && made !== undefined) await rm(await made, { recursive: true, force: true })
    },
  }
}

function folderAt(path: string): TaskFolder {
  const out = join(path, 'out')
  return {
    path,
    async receive({ name, size, hash }) {
      const file = await open(join(path, 'in', name), 'wx', 0o600).catch(toDiskError)
      const running = createSha256()
      let at = 0
      return {
        async write(bytes) {
          if (at + bytes.length > size) throw new MeshError('ERR_TASK_FILES', `more bytes of ${name} came than the request says`)
          running.update(bytes)
          await file.write(bytes, 0, bytes.length, at).catch(toDiskError)
          at += bytes.length
        },
        async end() {
          if (at !== size || !equal(running.digest(), hash)) throw new MeshError('ERR_FILE_HASH', `${name} is not the file that the request names`)
        },
        close: () => file.close().catch(() => undefined),
      }
    },
    async collect() {
      const names = (await readdir(out)).toSorted()
      if (names.length > taskArtefactsMax) throw new MeshError('ERR_TASK_FILES', `the task left ${names.length} files, ${taskArtefactsMax} come back at most`)
      const found: Artefact[] = []
      let left = taskArtefactBytesMax
      for (const name of names) {
        const artefact = await describe(join(out, name), name, left)
        left -= artefact.size
        found.push(artefact)
      }
      return found
    },
    async *read({ name, size, hash }) {
      await using file = await open(join(out, name), constants.O_RDONLY | constants.O_NOFOLLOW).catch((cause: unknown) => {
        throw new MeshError('ERR_TASK_FILES', `${name} is not there any more`, { cause })
      })
      const running = createSha256()
      for (let at = 0; at < size;) {
        const piece = new Uint8Array(Math.min(pieceBytes, size - at))
        const { bytesRead } = await file.read(piece, 0, piece.length, at)
        if (bytesRead === 0) break
        at += bytesRead
        running.update(piece.subarray(0, bytesRead))
        yield piece.subarray(0, bytesRead)
      }
      if (!equal(running.digest(), hash)) throw new MeshError('ERR_TASK_FILES', `${name} is not what it was`)
    },
    removeIn: () => rm(join(path, 'in'), { recursive: true, force: true }),
    remove: () => rm(path, { recursive: true, force: true }),
  }
}

async function describe(path: string, name: string, bytesMax: number): Promise<Artefact> {
  const unfit = (why: string, cause?: unknown): MeshError =>
    new MeshError('ERR_TASK_FILES', `${JSON.stringify(name.slice(0, 80))} does not come back: ${why}`, { cause })
  if (safeFileName(name) !== name) throw unfit('no fit name')
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((cause: unknown) => {
    throw unfit('it is no plain file', cause)
  })
  const found = await file.stat()
  if (!found.isFile() || found.nlink !== 1) throw unfit('it is no plain file')
  if (found.size > bytesMax) throw unfit(`the files of a task have at most ${taskArtefactBytesMax} bytes together`)
  const running = createSha256()
  const piece = new Uint8Array(pieceBytes)
  let size = 0
  for (;;) {
    const { bytesRead } = await file.read(piece, 0, piece.length, size)
    if (bytesRead === 0) break
    size += bytesRead
    if (size > bytesMax) throw unfit('it grows')
    running.update(piece.subarray(0, bytesRead))
  }
  return { name, size, hash: running.digest() }
}

/** Why the files of a request cannot be taken; undefined when they can. Source: task/v1 section 2. */
export function artefactsProblem(artefacts: readonly Artefact[]): string | undefined {
  const names = new Set<string>()
  let total = 0
  for (const { name, size } of artefacts) {
    if (safeFileName(name) !== name) return `${JSON.stringify(name.slice(0, 80))} is no fit name for a file`
    // On some disks two names that differ in case are one file.
    if (names.has(name.toLowerCase())) return `two files are called ${name}`
    names.add(name.toLowerCase())
    total += size
  }
  return total > taskArtefactBytesMax ? `files of ${total} bytes; at most ${taskArtefactBytesMax} go with a task` : undefined
}

function toDiskError(cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException
  throw new MeshError(code === 'ENOSPC' || code === 'EDQUOT' ? 'ERR_DISK_FULL' : 'ERR_STORE_FAILED', 'a file of a task cannot be written', { cause })
}
