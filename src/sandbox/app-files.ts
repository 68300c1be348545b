import { createHash } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { basename, dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeBuild, unavailable } from './programs.ts'
import { stripTypes } from './strip-types.ts'

export interface AppFile {
  /** Readable by everybody, writable by nobody but this process's user. */
  readonly from: string
  /** Below the folder of the app in the sandbox. */
  readonly to: string
}

export interface App {
  readonly files: readonly AppFile[]
  /** The script that runs there, as one of `files`. */
  readonly entry: AppFile
  readonly addon: AppFile
  /** Of all files: what was made with the same files has the same hash. */
  readonly hash: string
}

const here = fileURLToPath(import.meta.url)
const requireHere = createRequire(import.meta.url)

/** What a worker imports of its own folder. */
const workerModules = ['frames', 'code', 'code-uses', 'capabilities', 'guest', 'wasm-guest', 'local-calls', 'command'] as const

/** A script beside this file: TypeScript in a checkout, JavaScript in the package. */
const scriptPath = (name: string): string => join(dirname(here), name + extname(here))
export const workerEntry = (): string => scriptPath('worker')
export const nativeEntry = (): string => scriptPath('native-worker')

const known = new Map<string, App>()

/**
 * All a worker needs besides Node and its libraries, as JavaScript in a folder that the users of workers can read: stripping types takes WebAssembly,
 * which workers do not have, and a checkout may lie where they cannot look.
 * @throws ERR_SANDBOX_UNAVAILABLE
 */
export function appFiles(entry: string): App {
  const found = known.get(entry)
  if (found !== undefined && found.files.every(({ from }) => existsSync(from))) return found
  const acorn = dirname(requireHere.resolve('acorn/package.json'))
  const contents: readonly (readonly [to: string, content: Uint8Array])[] = [
    [`${basename(entry, extname(entry))}.js`, scriptOf(entry)],
    ...workerModules.map((name) => [`${name}.js`, scriptOf(scriptPath(name))] as const),
    // Says that the files are modules.
    ['package.json', Buffer.from('{"type":"module"}')],
    ...['package.json', 'dist/acorn.mjs'].map((name) => [`node_modules/acorn/${name}`, readFileSync(join(acorn, name))] as const),
    ['isolated-vm.node', readFileSync(addonPath())],
  ]
  const hash = hashOf(contents)
  const folder = keep(hash, contents)
  const files = contents.map(([to]) => ({ from: join(folder, to), to }))
  const [main] = files
  const addon = files.at(-1)
  if (main === undefined || addon === undefined) throw unavailable('the worker has no files')
  const app: App = { files, entry: main, addon, hash }
  known.set(entry, app)
  return app
}

function scriptOf(path: string): Uint8Array {
  const text = readFileSync(path, 'utf8')
  return Buffer.from(path.endsWith('.ts') ? stripTypes(text).replaceAll(/(from '\.{1,2}\/[\w./-]+)\.ts'/g, "$1.js'") : text)
}

function hashOf(contents: readonly (readonly [string, Uint8Array])[]): string {
  const hash = createHash('sha256')
  for (const [to, content] of contents) hash.update(`${to} ${content.length}\n`).update(content)
  return hash.digest('hex').slice(0, 32)
}

/** The folder with these contents; written once for all nodes of this user. */
function keep(hash: string, contents: readonly (readonly [string, Uint8Array])[]): string {
  const uid = process.getuid?.() ?? 0
  const folder = join(tmpdir(), `kindmesh-app-${uid}-${hash}`)
  if (!existsSync(folder)) {
    const unfinished = mkdtempSync(`${folder}.`)
    for (const [to, content] of contents) {
      const path = join(unfinished, to)
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
      writeFileSync(path, content, { mode: 0o444 })
    }
    chmodSync(unfinished, 0o755)
    try {
      renameSync(unfinished, folder)
    } catch {
      // Another node of this user was first.
      rmSync(unfinished, { recursive: true, force: true })
    }
  }
  const { uid: owner, mode } = lstatSync(folder)
  const isOurs = owner === uid && (mode & 0o170_022) === 0o040_000
  // What lies there is compared, not believed: a folder in a shared place may have been there before us.
  const isWhole = isOurs && contents.every(([to, content]) => existsSync(join(folder, to)) && content.length === lstatSync(join(folder, to)).size)
  if (!isWhole) throw unavailable(`${folder} is not what this node put there: remove it`)
  return folder
}

export const isolatedVmVersion = (): string => (requireHere('isolated-vm/package.json') as { readonly version: string }).version

/** The prebuilt addon for this very Node, without the loader that looks for it. @throws ERR_SANDBOX_UNAVAILABLE */
function addonPath(): string {
  const folder = dirname(requireHere.resolve('isolated-vm/package.json'))
  const libc = process.platform === 'linux' ? (nodeBuild().isGlibc ? '.glibc' : '.musl') : ''
  const prebuilt = join(folder, 'prebuilds', `${process.platform}-${process.arch}`, `isolated-vm.abi${process.versions.modules}${libc}.node`)
  const compiled = join(folder, 'build', 'Release', 'isolated_vm.node')
  const found = [prebuilt, compiled].find((path) => existsSync(path))
  if (found === undefined) throw unavailable(`isolated-vm has no build for Node ${process.versions.node} on ${process.platform} ${process.arch}`)
  return found
}
