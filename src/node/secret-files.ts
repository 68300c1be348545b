import { readdir, readFile, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Vault, vaultValueBytesMax } from '../vault/index.ts'

/** The names that secrets could have when each was a file in a folder. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
/** What a write left beside a secret when it was cut. */
const unfinished = /\.[0-9a-f]{16}$/

/** Moves the secrets that were files of their own into the vault; a file goes after the vault that holds it is on the disk. What the vault has already counts. */
export async function moveSecretsIn(vault: Pick<Vault, 'get' | 'setMany'>, folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  if (names.length === 0) return
  const found: [string, Uint8Array][] = []
  for (const name of names.filter((file) => namePattern.test(file) && !unfinished.test(file))) {
    const path = join(folder, name)
    const { size } = await stat(path)
    // What no node wrote stays where it is.
    if (size <= vaultValueBytesMax) found.push([name, new Uint8Array(await readFile(path))])
  }
  const missing = found.filter(([name]) => vault.get(name) === undefined)
  if (missing.length > 0) await vault.setMany(missing)
  for (const [name] of found) await unlink(join(folder, name))
  for (const name of names) if (unfinished.test(name)) await unlink(join(folder, name))
  await rmdir(folder).catch(() => undefined)
}
