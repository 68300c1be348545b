import { readdirSync, statSync, utimesSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolderPath } from '../containers/cache.ts'

/** Notes that a folder of the cache is in use. */
export function touch(folder: string): void {
  // The time of the system itself, as files have it.
  const now = statSync('/proc/self').mtime
  utimesSync(folder, now, now)
}

/** Removes folders of the cache by the start of their names, but for those that were in use last: each is hundreds of megabytes. Who still needs one makes it again. */
export async function removeOld(start: string, kept: number): Promise<void> {
  const folders = readdirSync(cacheFolderPath())
    .filter((name) => name.startsWith(start))
    .map((name) => join(cacheFolderPath(), name))
  const byTime = folders.map((folder) => ({ folder, usedAtMs: statSync(folder).mtimeMs })).toSorted((a, b) => b.usedAtMs - a.usedAtMs)
  for (const { folder } of byTime.slice(kept)) await rm(folder, { recursive: true, force: true })
}
