/** Compiles src into dist, from nothing. The console, which `npm run build:console` puts beside it, stays: a node may be serving it. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')

for (const name of existsSync(dist) ? readdirSync(dist) : []) if (name !== 'console') rmSync(join(dist, name), { recursive: true, force: true })
execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(root, 'scripts/tsconfig.build.json')], { stdio: 'inherit' })
