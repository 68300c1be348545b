// Says whether the built console is that of the sources. Plain JavaScript: setup.mjs asks it under whatever Node is there.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Where the console is built, and the file in it that names the sources it was built from. */
export const consoleFolder = join(root, 'dist', 'console')
export const stampName = '.stamp'

/** What the bundle is made of: its rooms, how it is built, and the versions of libraries. */
const sources = ['src/console', 'src/client', 'src/base', 'scripts/build-console.ts', 'package-lock.json']

/** Hash over paths and contents of all sources. */
export function consoleStamp() {
  const hash = createHash('sha256')
  for (const file of sources.flatMap(filesOf)) hash.update(`${file}\0${readFileSync(join(root, file), 'utf8')}\0`)
  return hash.digest('hex')
}

export function isConsoleCurrent() {
  const stamp = join(consoleFolder, stampName)
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === consoleStamp()
}

function filesOf(path) {
  const entries = path.includes('.') ? undefined : readdirSync(join(root, path), { withFileTypes: true })
  if (entries === undefined) return [path]
  return entries
    .map((entry) => ({ isFolder: entry.isDirectory(), path: `${path}/${entry.name}` }))
    .sort((a, b) => (a.path < b.path ? -1 : 1))
    .flatMap((entry) => (entry.isFolder ? filesOf(entry.path) : [entry.path]))
}
