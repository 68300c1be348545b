/**
 * Builds src/console into dist/console: hashed files, each with its brotli and gzip twin, and a stamp of the sources.
 * Does nothing when what is there is current; `--force` builds all the same. The new folder takes the place of the old one whole.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import type { Plugin } from 'vite'
import { consoleFolder, consoleStamp, isConsoleCurrent, stampName } from './console-stamp.mjs'

/** Its declarations name the DOM, which scripts do not have: typed where it is used. */
const sveltePlugin: string = '@sveltejs/vite-plugin-svelte'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What each error means is for the documentation; the console shows messages and hints. */
const withoutMeanings: Plugin = {
  name: 'kindmesh:without-meanings',
  enforce: 'pre',
  transform: {
    filter: { id: /src\/base\/errors\.ts$/ },
    handler: (code) => code.replaceAll(/^(\s*(?:ERR_\w+: \{ ?)?)meaning: '[^'\n]*',/gm, "$1meaning: '',"),
  },
}

if (isConsoleCurrent() && !process.argv.includes('--force')) process.stderr.write('console: nothing has changed\n')
else await buildConsole()

async function buildConsole(): Promise<void> {
  const stamp = consoleStamp()
  const fresh = `${consoleFolder}.${process.pid}`
  try {
    await bundle(fresh)
    for (const file of filesOf(fresh)) compress(file)
    writeFileSync(join(fresh, stampName), stamp)
    replace(fresh)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
}

async function bundle(outDir: string): Promise<void> {
  const { build } = await import('vite')
  const { svelte } = (await import(sveltePlugin)) as { svelte(options: object): Plugin[] }
  await build({
    root: join(root, 'src/console'),
    configFile: false,
    envDir: false,
    logLevel: 'warn',
    cacheDir: join(root, 'node_modules/.vite'),
    publicDir: false,
    // Trees are built call by call: no markup is parsed in the browser, so Trusted Types may forbid it altogether.
    plugins: [withoutMeanings, svelte({ configFile: false, compilerOptions: { runes: true, fragments: 'tree', dev: false } })],
    build: {
      outDir,
      emptyOutDir: false,
      target: 'es2023',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      rolldownOptions: {
        // Rooms of ours that speak to Node as well: what the console does not use of them must leave nothing behind.
        external: [/^node:/],
        // The frame and what all pages share, then all pages: fewer parts are smaller parts, and nothing here comes from afar.
        output: {
          codeSplitting: {
            groups: [
              { name: 'shell', test: /node_modules\/svelte\/|src\/(?:base|client)\/|src\/console\/(?:lib|ui|[\w.-]+\.(?:svelte|ts))/, priority: 2 },
              { name: 'pages', test: /src\/console\/pages\//, priority: 1 },
            ],
          },
        },
        treeshake: { moduleSideEffects: [{ test: /^node:|src\/base\//, sideEffects: false }] },
        // How long it took depends on the machine.
        onLog: (level, { code, message }) => {
          if (level === 'warn' && code !== 'PLUGIN_TIMINGS') throw new Error(message)
        },
      },
    },
  })
  const strays = filesOf(outDir).filter((file) => file.endsWith('.js') && /["']node:/.test(readFileSync(file, 'utf8')))
  if (strays.length > 0) throw new Error(`the console would load modules of Node: ${strays.join(', ')}`)
}

function filesOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : []))
}

function compress(file: string): void {
  const bytes = readFileSync(file)
  const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }))
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }))
}

/** Two builds at once leave the folder of the one that came last. */
function replace(fresh: string): void {
  mkdirSync(join(root, 'dist'), { recursive: true })
  const old = `${fresh}.old`
  try {
    renameSync(consoleFolder, old)
  } catch {
    // There was none.
  }
  renameSync(fresh, consoleFolder)
  rmSync(old, { recursive: true, force: true })
}
