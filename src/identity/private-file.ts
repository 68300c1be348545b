import { link, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hex, MeshError, type Random } from '../base/index.ts'

/** The calls that write, handed in so that a test can make each of them fail. */
export interface FileCalls {
  readonly open: typeof open
  readonly link: typeof link
  readonly rename: typeof rename
  readonly unlink: typeof unlink
}

export const realFiles: FileCalls = { open, link, rename, unlink }

async function writeBeside(path: string, text: string, random: Random, files: FileCalls): Promise<string> {
  const temporary = `${path}.${hex(random.bytes(8))}`
  const file = await files.open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    await files.unlink(temporary).catch(() => undefined)
    throw error
  } finally {
    await file.close()
  }
  return temporary
}

async function syncFolder(path: string, files: FileCalls): Promise<void> {
  const folder = await files.open(dirname(path), 'r')
  await folder.sync().finally(() => folder.close())
}

/** Writes `text`, mode 0600, so that after a crash the file is whole or absent, and never replaces one. @throws ERR_PROFILE_EXISTS */
export async function createPrivateFile(path: string, text: string, random: Random, files: FileCalls = realFiles): Promise<void> {
  const temporary = await writeBeside(path, text, random, files)
  try {
    await files.link(temporary, path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw new MeshError('ERR_PROFILE_EXISTS', `${path} exists already; nothing was changed`, { cause })
    throw cause
  } finally {
    await files.unlink(temporary)
  }
  await syncFolder(path, files)
}

/** Puts `text`, mode 0600, in the place of a file so that after a crash at any point the old one is there or the new one, whole. */
export async function replacePrivateFile(path: string, text: string, random: Random, files: FileCalls = realFiles): Promise<void> {
  const temporary = await writeBeside(path, text, random, files)
  try {
    await files.rename(temporary, path)
  } catch (error) {
    await files.unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncFolder(path, files)
}
