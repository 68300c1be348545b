import { chmod, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { equal, MeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { type FileCalls } from '../identity/index.ts'
import { vaultBytesMax, wrongOrAltered } from './format.ts'

/** What the log holds of a vault: the newest state it committed to. */
export interface Committed {
  readonly counter: number
  /** SHA-256 of the whole file. */
  readonly digest: Uint8Array
}

/** A vault file and, beside it, the state that is to take its place. Source: vault/v1 section 5. */
export interface VaultDisk {
  read(): Promise<Uint8Array | undefined>
  readNext(): Promise<Uint8Array | undefined>
  /** On the disk when it returns. */
  writeNext(bytes: Uint8Array): Promise<void>
  dropNext(): Promise<void>
  /** Puts what was written last in the place of the vault. */
  finish(): Promise<void>
  /** The same where there is no vault yet. @throws ERR_PROFILE_EXISTS */
  begin(): Promise<void>
}

export function createVaultDisk(path: string, files: FileCalls): VaultDisk {
  const next = `${path}.next`
  const syncFolder = async (): Promise<void> => {
    const folder = await files.open(dirname(path), 'r')
    await folder.sync().finally(() => folder.close())
  }
  const dropNext = async (): Promise<void> => await files.unlink(next).catch(unlessMissing)
  return {
    read: () => readBounded(path),
    readNext: () => readBounded(next),
    dropNext,
    async writeNext(bytes) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 })
      await chmod(dirname(path), 0o700)
      await dropNext()
      const file = await files.open(next, 'wx', 0o600)
      try {
        await file.writeFile(bytes)
        await file.sync()
      } finally {
        await file.close()
      }
      await syncFolder()
    },
    async finish() {
      await files.rename(next, path)
      await syncFolder()
    },
    async begin() {
      try {
        await files.link(next, path)
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
          throw new MeshError('ERR_PROFILE_EXISTS', `${path} exists already; nothing was changed`, { cause })
        }
        throw cause
      }
      await dropNext()
      await syncFolder()
    },
  }
}

/**
 * The state that holds: an unfinished change is finished when the log committed to it, and forgotten when it did not.
 * @throws ERR_PROFILE_MISSING, ERR_VAULT_ROLLBACK when the log knows of a vault and there is none
 */
export async function settle(disk: VaultDisk, committed: Committed | undefined): Promise<Uint8Array> {
  const next = await disk.readNext()
  if (next !== undefined && committed !== undefined && equal(sha256(next), committed.digest)) {
    await disk.finish()
    // Still there where it is the vault itself under a second name.
    await disk.dropNext()
    return next
  }
  const file = await disk.read()
  if (file !== undefined) {
    if (next !== undefined) await disk.dropNext()
    return file
  }
  if (committed === undefined) throw new MeshError('ERR_PROFILE_MISSING', 'there is no vault')
  throw new MeshError('ERR_VAULT_ROLLBACK', 'the vault file is missing, and the log knows of one', { details: { expected: committed.counter } })
}

/** The file, its size looked at first; undefined when there is none. */
async function readBounded(path: string): Promise<Uint8Array | undefined> {
  const file = await open(path, 'r').catch(unlessMissing)
  if (file === undefined) return undefined
  try {
    if ((await file.stat()).size > vaultBytesMax) throw wrongOrAltered()
    return new Uint8Array(await file.readFile())
  } finally {
    await file.close()
  }
}

function unlessMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
}
