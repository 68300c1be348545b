import { link, mkdir, open, stat, unlink } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { equal, hex, MeshError, numbered, safeFileName } from '../base/index.ts'
import { createSha256 } from '../crypto/index.ts'
import { type Artefact, type ArtefactSink, taskArtefactBytesMax, taskArtefactsMax } from '../protocols/task/index.ts'

/** Bytes of a file read and sent at a time. */
const chunkBytes = 64 * 1024
/** Tries at a name that is free in the folder of results. */
const namesTriedMax = 1_000
/** A name both sides can use as a file's as it is. */
const isFitName = (name: string): boolean => safeFileName(name) === name

/** On some disks two names that differ in case are one file. */
const isSame = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

/** A file that goes with a task: from the disk, read when it is sent, or from memory. */
export interface TaskFile {
  /** The path's last part unless given. */
  readonly name?: string
  readonly path?: string
  readonly bytes?: Uint8Array
}

/** A file to send, as it was when it was hashed. */
export interface OutgoingFile extends Artefact {
  /** Its bytes again, in chunks. @throws ERR_FILE_CHANGED when they are not those that were hashed */
  read(): AsyncIterable<Uint8Array>
}

/** Names, sizes and hashes of the files of an order. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE */
export async function openFiles(files: readonly TaskFile[]): Promise<readonly OutgoingFile[]> {
  if (files.length > taskArtefactsMax) throw new MeshError('ERR_USAGE', `a task takes at most ${taskArtefactsMax} files`)
  const opened: OutgoingFile[] = []
  let total = 0
  for (const { path, bytes, name = path === undefined ? undefined : basename(path) } of files) {
    if (name === undefined || (path === undefined) === (bytes === undefined)) {
      throw new MeshError('ERR_USAGE', 'a file of a task needs a name, and a path or bytes')
    }
    if (!isFitName(name)) throw new MeshError('ERR_USAGE', `'${name}' is no name for a file of a task`)
    if (opened.some((other) => isSame(other.name, name))) throw new MeshError('ERR_USAGE', `two files of the task are called ${name}`)
    const size = bytes?.length ?? (await sizeOf(path ?? ''))
    total += size
    if (total > taskArtefactBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `the files of a task have at most ${taskArtefactBytesMax} bytes together`)
    const pieces = (): AsyncIterable<Uint8Array> => (bytes === undefined ? piecesOfFile(path ?? '', size) : piecesOf(bytes))
    const hash = await hashOf(pieces())
    opened.push({
      name,
      size,
      hash,
      async *read() {
        const running = createSha256()
        let read = 0
        for await (const piece of pieces()) {
          running.update(piece)
          read += piece.length
          yield piece
        }
        if (read !== size || !equal(running.digest(), hash)) throw new MeshError('ERR_FILE_CHANGED', `${name} changed since the task was asked for`)
      },
    })
  }
  return opened
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  })
  if (!found.isFile()) throw new MeshError('ERR_USAGE', `${path} is no file`)
  return found.size
}

async function* piecesOfFile(path: string, size: number): AsyncGenerator<Uint8Array> {
  await using file = await open(path, 'r').catch((cause: unknown) => {
    throw new MeshError('ERR_FILE_CHANGED', `${path} cannot be read any more`, { cause })
  })
  for (let at = 0; at < size;) {
    const piece = new Uint8Array(Math.min(chunkBytes, size - at))
    const { bytesRead } = await file.read(piece, 0, piece.length, at)
    if (bytesRead === 0) return
    at += bytesRead
    yield piece.subarray(0, bytesRead)
  }
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
}

async function hashOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const running = createSha256()
  for await (const piece of pieces) running.update(piece)
  return running.digest()
}

/** A file that came back. */
export interface ReceivedFile extends Artefact {
  /** Where it is; empty when the order named no folder. */
  readonly path: string
}

/** Files of one attempt on their way here: parts in the folder until the receipt is known to name them. */
export interface IncomingFiles {
  begin(artefact: Artefact): Promise<ArtefactSink>
  /** The files that came, in order. */
  list(): readonly Artefact[]
  /** Gives them their names; none that is there is written over. */
  keep(): Promise<readonly ReceivedFile[]>
  /** Throws away what has no name yet. */
  drop(): Promise<void>
}

/** Without a folder bodies are checked and let go. */
export function createIncomingFiles({ dir, id }: { readonly dir: string | undefined; readonly id: string }): IncomingFiles {
  const folder = dir === undefined ? undefined : resolve(dir)
  const came: { readonly artefact: Artefact; readonly part: string | undefined }[] = []
  const parts = new Set<string>()
  return {
    async begin(artefact) {
      if (!isFitName(artefact.name)) throw new MeshError('ERR_PROTOCOL', 'the executor sends a file with a name that is none')
      if (came.some((other) => isSame(other.artefact.name, artefact.name))) throw new MeshError('ERR_PROTOCOL', `the executor sends ${artefact.name} twice`)
      const part = folder === undefined ? undefined : join(folder, `.${id}-${came.length}.part`)
      if (folder !== undefined) await mkdir(folder, { recursive: true })
      // An earlier attempt of this very task may have left one.
      if (part !== undefined) await unlink(part).catch(() => undefined)
      const file = part === undefined ? undefined : await open(part, 'wx', 0o600).catch(toDiskError)
      if (part !== undefined) parts.add(part)
      const running = createSha256()
      came.push({ artefact, part })
      return {
        async write(bytes) {
          running.update(bytes)
          await file?.write(bytes).catch(toDiskError)
        },
        async end() {
          await file?.sync().catch(toDiskError)
          await file?.close()
          if (equal(running.digest(), artefact.hash)) return
          throw new MeshError('ERR_FILE_HASH', `${artefact.name} is not what the executor said it is (${hex(artefact.hash)})`)
        },
      }
    },
    list: () => came.map(({ artefact }) => artefact),
    async keep() {
      const kept: ReceivedFile[] = []
      for (const { artefact, part } of came) {
        kept.push({ ...artefact, path: part === undefined || folder === undefined ? '' : await named(part, folder, artefact.name) })
        if (part !== undefined) parts.delete(part)
      }
      return kept
    },
    async drop() {
      await Promise.all([...parts].map((part) => unlink(part).catch(() => undefined)))
      parts.clear()
    },
  }
}

/** Gives a part its name, or the name with a number. */
async function named(part: string, folder: string, name: string): Promise<string> {
  for (let count = 1; count <= namesTriedMax; count++) {
    const path = join(folder, numbered(name, count))
    try {
      await link(part, path)
      await unlink(part)
      return path
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') toDiskError(error)
    }
  }
  throw new MeshError('ERR_USAGE', `${folder} has too many files called ${name}`)
}

function toDiskError(cause: unknown): never {
  const { code } = cause as NodeJS.ErrnoException
  throw new MeshError(code === 'ENOSPC' || code === 'EDQUOT' ? 'ERR_DISK_FULL' : 'ERR_STORE_FAILED', 'a file of the task cannot be written', { cause })
}
