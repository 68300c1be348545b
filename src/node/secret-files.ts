import { mkdir, open, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { MeshError, type Random } from '../base/index.ts'
import type { SecretSource } from '../bridge/index.ts'
import { replacePrivateFile } from '../identity/index.ts'

/** One secret. Source: sandbox/v1 section 5.5. */
export const secretBytesMax = 64 << 10
/** Secrets of one profile. */
export const secretsMax = 1_000

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

/** Named secrets of a profile, a file of mode 0600 each in a folder of its own. */
export interface SecretFiles extends SecretSource {
  /** Puts it in the place of one of that name; whole or not at all. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE, ERR_OVERLOADED */
  set(name: string, value: string): Promise<void>
  /** In order. */
  list(): Promise<readonly string[]>
  /** False when there was none. */
  remove(name: string): Promise<boolean>
}

export function createSecretFiles({ folder, random }: { readonly folder: string; readonly random: Random }): SecretFiles {
  const pathOf = (name: string): string => {
    if (!namePattern.test(name)) {
      throw new MeshError('ERR_USAGE', `${JSON.stringify(name.slice(0, 80))} is no name of a secret`, {
        hint: 'use 1 to 64 letters, digits, dots, dashes and underscores',
      })
    }
    return join(folder, name)
  }
  async function list(): Promise<readonly string[]> {
    const names = await readdir(folder).catch(ifMissing([]))
    // Beside a secret lies its next value for a moment.
    return names.filter((name) => namePattern.test(name) && !/\.[0-9a-f]{16}$/.test(name)).toSorted()
  }
  return {
    list,
    async get(name) {
      if (!namePattern.test(name)) return undefined
      const file = await open(join(folder, name), 'r').catch(ifMissing(undefined))
      if (file === undefined) return undefined
      try {
        if ((await file.stat()).size > secretBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `the secret ${name} exceeds ${secretBytesMax} bytes`)
        return await file.readFile('utf8')
      } finally {
        await file.close()
      }
    },
    async set(name, value) {
      const path = pathOf(name)
      if (/\.[0-9a-f]{16}$/.test(name)) throw new MeshError('ERR_USAGE', 'a name that ends in a dot and 16 hexadecimal digits is taken for a temporary file')
      if (value === '') throw new MeshError('ERR_USAGE', 'a secret is not empty')
      if (Buffer.byteLength(value) > secretBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a secret exceeds ${secretBytesMax} bytes`)
      const names = await list()
      if (names.length >= secretsMax && !names.includes(name)) throw new MeshError('ERR_OVERLOADED', `more than ${secretsMax} secrets`)
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await replacePrivateFile(path, value, random)
    },
    async remove(name) {
      return await unlink(pathOf(name)).then(() => true, ifMissing(false))
    },
  }
}

const ifMissing =
  <T>(value: T) =>
  (error: unknown): T => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return value
    throw error
  }
