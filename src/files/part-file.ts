import { constants } from 'node:fs'
import { type FileHandle, link, open, rename, stat, statfs, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { equal, hex, MeshError, numbered } from '../base/index.ts'
import { createSha256 } from '../crypto/index.ts'

/** Bytes written between two syncs of a part file, after each of which the sender hears how far it got. Source: stream/v1 section 4. */
export const syncEveryBytes = 8 << 20
/** Bytes of one transfer that wait for the disk. Source: stream/v1 section 6. */
export const writeBufferBytesMax = 2 << 20
/** Names tried for one file before it is refused. */
export const sameNamesMax = 10_000

const readBytes = 1 << 20

export interface PartFileOptions {
  readonly path: string
  /** Whole length of the body. */
  readonly size: number
  /** Bytes that are known to be on disk; 0 begins anew. */
  readonly cursor: number
  /** Bytes before `cursor` are synced to disk: makes that known for good. */
  onSynced(cursor: number): Promise<void>
}

/** A body on its way to the disk. Written in order, hashed as it is written; at most `writeBufferBytesMax` wait for the disk. */
export interface PartFile {
  /** Bytes taken so far. */
  readonly at: number
  write(bytes: Uint8Array): Promise<void>
  /** Everything taken is synced; gives the SHA-256 of the whole. @throws ERR_STORE_FAILED */
  end(): Promise<Uint8Array>
  /** Syncs what was taken and lets go of the file. Idempotent. */
  close(): Promise<void>
}

/** Opens the part file at `cursor`, reading what is there for its hash. @throws ERR_STORE_FAILED, ERR_FILE_HASH when it is shorter than it should be */
export async function openPartFile({ path, size, cursor, onSynced }: PartFileOptions): Promise<PartFile> {
  const fresh = constants.O_CREAT | constants.O_TRUNC
  const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW | (cursor === 0 ? fresh : 0), 0o600).catch((cause: unknown) => {
    throw diskError(cause, path)
  })
  const hash = createSha256()
  try {
    await rehash(file, cursor, hash.update)
    await file.truncate(cursor)
  } catch (cause) {
    await file.close()
    throw diskError(cause, path)
  }

  let at = cursor
  let written = cursor
  let synced = cursor
  let waiting: Uint8Array[] = []
  let waitingBytes = 0
  let writing: Promise<void> | undefined
  let syncing: Promise<void> | undefined
  let failure: unknown
  const fail = (error: unknown): void => {
    failure ??= error
  }

  async function writeOut(): Promise<void> {
    while (waiting.length > 0) {
      const pieces = waiting
      const bytes = waitingBytes
      waiting = []
      waitingBytes = 0
      await writeAll(file, pieces, bytes, written)
      written += bytes
      if (written - synced >= syncEveryBytes && written < size) {
        syncing ??= sync()
          .catch(fail)
          .finally(() => (syncing = undefined))
      }
    }
  }
  async function sync(): Promise<void> {
    const upTo = written
    await file.datasync()
    await onSynced(upTo)
    synced = upTo
  }
  const start = (): Promise<void> =>
    (writing ??= writeOut()
      .catch(fail)
      .finally(() => (writing = undefined)))
  const settled = async (): Promise<void> => {
    while (failure === undefined && (waiting.length > 0 || writing !== undefined || syncing !== undefined)) await Promise.all([start(), syncing])
    await Promise.all([writing, syncing])
    if (failure !== undefined) throw diskError(failure, path)
  }
  async function close(): Promise<void> {
    await settled().catch(() => undefined)
    try {
      if (failure === undefined && synced < written) await sync()
    } catch {
      // The last synced cursor stands.
    } finally {
      await file.close()
    }
  }
  let closing: Promise<void> | undefined

  return {
    get at() {
      return at
    },
    async write(bytes) {
      if (failure !== undefined) throw diskError(failure, path)
      if (at + bytes.length > size) throw new MeshError('ERR_PROTOCOL', 'more bytes than were offered')
      hash.update(bytes)
      at += bytes.length
      waiting.push(bytes)
      waitingBytes += bytes.length
      void start()
      while (waitingBytes >= writeBufferBytesMax && failure === undefined) await start()
    },
    async end() {
      await settled()
      if (at !== size) throw new MeshError('ERR_PROTOCOL', `${at} of ${size} bytes came`)
      await file.sync().catch((cause: unknown) => {
        throw diskError(cause, path)
      })
      await onSynced(at)
      synced = at
      return hash.digest()
    },
    close: () => (closing ??= close()),
  }
}

async function writeAll(file: FileHandle, pieces: readonly Uint8Array[], bytes: number, position: number): Promise<void> {
  let { bytesWritten } = await file.writev([...pieces], position)
  if (bytesWritten === bytes) return
  const joined = Buffer.concat(pieces)
  while (bytesWritten < bytes) {
    const more = await file.write(joined, bytesWritten, bytes - bytesWritten, position + bytesWritten)
    if (more.bytesWritten === 0) throw new Error('the disk takes no more')
    bytesWritten += more.bytesWritten
  }
}

/** Feeds the first `bytes` of a file to `take`. @throws ERR_FILE_HASH when there are fewer */
async function rehash(file: FileHandle, bytes: number, take: (piece: Uint8Array) => void): Promise<void> {
  const block = new Uint8Array(Math.min(readBytes, Math.max(1, bytes)))
  for (let at = 0; at < bytes;) {
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, bytes - at), at)
    if (bytesRead === 0) throw new MeshError('ERR_FILE_HASH', `the part file has ${at} bytes where ${bytes} were kept`)
    take(block.subarray(0, bytesRead))
    at += bytesRead
  }
}

/** True when the file has exactly these bytes. */
export async function fileIs(path: string, { size, hash }: { readonly size: number; readonly hash: Uint8Array }): Promise<boolean> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    if ((await file.stat()).size !== size) return false
    const running = createSha256()
    await rehash(file, size, running.update)
    return equal(running.digest(), hash)
  } catch {
    return false
  }
}

/**
 * Gives a complete part file its name, the first of `name`, `name (2)`, … that nobody has; never touches a file that is there.
 * `choose` is told each name before the file gets it. @throws ERR_STORE_FAILED
 */
export async function placeFile(
  part: string,
  { dir, name, choose }: { readonly dir: string; readonly name: string; readonly choose: (final: string) => Promise<void> },
): Promise<string> {
  for (let count = 1; count <= sameNamesMax; count++) {
    const final = join(dir, numbered(name, count))
    if (await isThere(final)) continue
    await choose(final)
    if (await claimName(part, final)) {
      await syncFolder(dir)
      return final
    }
  }
  throw new MeshError('ERR_STORE_FAILED', `${sameNamesMax} files named ${name} are there`)
}

/** True once `final` is the part file; false when somebody else has the name. */
async function claimName(part: string, final: string): Promise<boolean> {
  try {
    await link(part, final)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw diskError(error, final)
  }
  // A disk without links: the name is taken with an empty file of ours, which the part then replaces.
  try {
    await (await open(final, 'wx', 0o600)).close()
    await rename(part, final)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw diskError(error, final)
  }
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: unknown) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
  )

export const removeFile = (path: string): Promise<void> => unlink(path).catch(() => undefined)

/** What a file's name lasts by. */
async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r').catch(() => undefined)
  await folder?.sync().catch(() => undefined)
  await folder?.close()
}

/** Bytes free for us on the disk of a folder. @throws ERR_STORE_FAILED */
export async function freeBytes(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir).catch((cause: unknown) => {
    throw diskError(cause, dir)
  })
  return bavail * bsize
}

/** The hidden file a body grows in: named by us, so that no sender can reach the part of another. */
export const partPath = (dir: string, key: Uint8Array): string => join(dir, `.${hex(key)}.part`)

function diskError(cause: unknown, path: string): MeshError {
  if (cause instanceof MeshError) return cause
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return new MeshError('ERR_DISK_FULL', 'the disk is full', { cause, details: { retryAfterMs: 60_000 } })
  return new MeshError('ERR_STORE_FAILED', `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
}
