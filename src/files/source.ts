import { open, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { MeshError, type SignalOption } from '../base/index.ts'
import { createSha256 } from '../crypto/index.ts'
import { chunkBytes } from '../protocols/stream/index.ts'

/** Bytes read from a file at a time; twice as many are held. */
export const readAheadBytes = 1 << 20

/** A body that can be read again from any place. */
export interface BodySource {
  readonly name: string
  readonly size: number
  /** Its bytes from `offset` to the end, in pieces of any size; a piece may be overwritten once the next is asked for. */
  open(offset: number): AsyncIterable<Uint8Array>
}

/** What a file was when it was hashed: sent is that or nothing. */
export interface FileMark {
  readonly size: number
  /** Whole milliseconds. */
  readonly mtimeMs: number
}

/** @throws ERR_USAGE when there is no such file */
export async function markOf(path: string): Promise<FileMark> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  })
  if (!found.isFile()) throw new MeshError('ERR_USAGE', `${path} is no file`)
  return { size: found.size, mtimeMs: Math.floor(found.mtimeMs) }
}

/** @throws ERR_FILE_CHANGED unless the file is as it was marked */
export async function checkMark(path: string, mark: FileMark): Promise<void> {
  const now = await markOf(path).catch((cause: unknown) => {
    throw new MeshError('ERR_FILE_CHANGED', `${path} is not there any more`, { cause })
  })
  if (now.size !== mark.size || now.mtimeMs !== mark.mtimeMs) throw new MeshError('ERR_FILE_CHANGED', `${path} changed since it was offered`)
}

export const fileSource = (path: string, size: number): BodySource => ({
  name: basename(path),
  size,
  async *open(offset) {
    await using file = await open(path, 'r')
    const length = Math.min(readAheadBytes, Math.max(0, size - offset))
    const blocks = [new Uint8Array(length), new Uint8Array(length)] as const
    const read = (at: number, block: Uint8Array) => {
      const reading = file.read(block, 0, Math.min(length, size - at), at)
      // Whoever leaves early does not wait for it.
      reading.catch(() => undefined)
      return reading
    }
    let [block, other] = blocks
    let reading = read(offset, block)
    for (let at = offset; at < size;) {
      const { bytesRead } = await reading
      if (bytesRead === 0) throw new MeshError('ERR_FILE_CHANGED', `${path} is shorter than it was`)
      const piece = block.subarray(0, bytesRead)
      at += bytesRead
      ;[block, other] = [other, block]
      // The next block comes while this one is used.
      if (at < size) reading = read(at, block)
      yield piece
    }
  },
})

/** SHA-256 of a whole body. @throws ERR_FILE_CHANGED when it has not the size it says */
export async function hashBody(source: BodySource, { signal }: SignalOption): Promise<Uint8Array> {
  const hash = createSha256()
  let bytes = 0
  for await (const piece of source.open(0)) {
    signal?.throwIfAborted()
    hash.update(piece)
    bytes += piece.length
  }
  if (bytes !== source.size) throw new MeshError('ERR_FILE_CHANGED', `${source.name} has ${bytes} bytes, not ${source.size}`)
  return hash.digest()
}

/** The body from `cursor` to its end, cut into chunks of equal size but for the last; each is good until the next is asked for. @throws ERR_FILE_CHANGED for a body of another size */
export async function* chunksOf(source: BodySource, cursor: number): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array()
  let left = source.size - cursor
  if (left < 0) throw new MeshError('ERR_PROTOCOL', 'the receiver wants to begin behind the end')
  if (left === 0) return
  for await (const piece of source.open(cursor)) {
    left -= piece.length
    if (left < 0) break
    let at = 0
    if (rest.length > 0) {
      at = Math.min(chunkBytes - rest.length, piece.length)
      rest = Buffer.concat([rest, piece.subarray(0, at)])
      if (rest.length < chunkBytes) continue
      yield rest
      rest = new Uint8Array()
    }
    for (; piece.length - at >= chunkBytes; at += chunkBytes) yield piece.subarray(at, at + chunkBytes)
    // A copy: its source may put the next piece into the same place.
    rest = piece.slice(at)
  }
  if (left !== 0) throw new MeshError('ERR_FILE_CHANGED', `${source.name} is not as long as it was`)
  if (rest.length > 0) yield rest
}
