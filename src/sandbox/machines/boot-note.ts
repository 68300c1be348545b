import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder, cacheFolderPath } from '../containers/cache.ts'

const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
const noteName = (name: string): string => `failed-${name}.json`

/** Why a back end failed since the system started; undefined when it did not, or was not tried. */
export function failureOfThisBoot(name: string): string | undefined {
  try {
    const note = JSON.parse(readFileSync(join(cacheFolderPath(), noteName(name)), 'utf8')) as { readonly boot: string; readonly why: string }
    return note.boot === bootId() ? `${note.why} (not tried again before the system starts anew)` : undefined
  } catch {
    return undefined
  }
}

/** So that a back end that hangs is waited for once, not at each start of a node. */
export function noteFailure(name: string, why: string): void {
  writeFileSync(join(cacheFolder(), noteName(name)), JSON.stringify({ boot: bootId(), why }), { mode: 0o600 })
}
