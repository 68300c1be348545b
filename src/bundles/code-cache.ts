import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, hex, MeshError, type Random } from '../base/index.ts'
import { contentHash } from '../crypto/index.ts'

/** One code, bytes. Source: sandbox/v1 section 10. */
export const cachedCodeBytesMax = 8 << 20
/** All that is kept; the longest unused goes first. Source: sandbox/v1 section 10. */
export const codeCacheBytesMax = 64 << 20
/** Codes kept. */
export const codeCacheItemsMax = 512

/** Code by its BLAKE3 hash, in a folder. */
export interface CodeCache {
  /** Keeps bytes that came under a hash. @throws ERR_BUNDLE_INVALID when they are others, ERR_WIRE_TOO_LARGE */
  put(hash: Uint8Array, bytes: Uint8Array): Promise<void>
  /** The bytes of a hash; undefined when they are not here. What lies there damaged or swapped is thrown away. */
  get(hash: Uint8Array): Promise<Uint8Array | undefined>
}

export interface CodeCacheOptions {
  readonly folder: string
  readonly clock: Clock
  readonly random: Random
  readonly bytesMax?: number
  readonly itemsMax?: number
}

export function createCodeCache({ folder, clock, random, bytesMax = codeCacheBytesMax, itemsMax = codeCacheItemsMax }: CodeCacheOptions): CodeCache {
  const pathOf = (hash: Uint8Array): string => join(folder, hex(hash))

  async function makeRoom(bytes: number): Promise<void> {
    const names = await readdir(folder)
    const files = await Promise.all(
      names.map(async (name) => {
        const path = join(folder, name)
        const { size, mtimeMs } = await stat(path).catch(() => ({ size: 0, mtimeMs: 0 }))
        return { path, size, mtimeMs }
      }),
    )
    files.sort((a, b) => b.mtimeMs - a.mtimeMs)
    let total = bytes
    for (const [index, { path, size }] of files.entries()) {
      total += size
      if (total > bytesMax || index + 1 >= itemsMax) await rm(path, { force: true })
    }
  }

  return {
    async put(hash, bytes) {
      if (bytes.length > Math.min(cachedCodeBytesMax, bytesMax)) {
        throw new MeshError('ERR_WIRE_TOO_LARGE', `code of ${bytes.length} bytes exceeds ${cachedCodeBytesMax}`)
      }
      if (hex(await contentHash(bytes)) !== hex(hash)) throw new MeshError('ERR_BUNDLE_INVALID', `the code is not what the hash ${hex(hash)} names`)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await makeRoom(bytes.length)
      const unfinished = `${pathOf(hash)}.${hex(random.bytes(4))}`
      await writeFile(unfinished, bytes, { mode: 0o600 })
      await rename(unfinished, pathOf(hash))
    },
    async get(hash) {
      const path = pathOf(hash)
      const size = await stat(path).then(
        (found) => found.size,
        () => undefined,
      )
      if (size === undefined) return undefined
      const bytes = size <= cachedCodeBytesMax ? new Uint8Array(await readFile(path)) : new Uint8Array()
      if (hex(await contentHash(bytes)) === hex(hash)) {
        const now = clock.now() / 1_000
        await utimes(path, now, now).catch(() => undefined)
        return bytes
      }
      await rm(path, { force: true })
      return undefined
    },
  }
}
