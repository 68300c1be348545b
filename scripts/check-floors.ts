/**
 * Keeps the order of the house: who may import whom, who may use which package, who may ask for time, chance and environment.
 * The tables are the rules; a change of the rules is a change of a table, with its reason in the commit.
 */
import { globSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Lowest first. Imports go down or stay in the room; rooms on one floor do not know each other. */
export const floors: readonly (readonly string[])[] = [
  ['base'],
  ['crypto', 'wire', 'store'],
  ['identity', 'sandbox'],
  ['envelope', 'trust', 'vault', 'audit', 'auth', 'bundles'],
  ['policy', 'net', 'monitor', 'bridge'],
  ['protocols', 'boxes'],
  ['agents', 'tasks', 'files', 'config'],
  ['node'],
  ['api'],
  ['client'],
  ['cli', 'mcp', 'a2a', 'console', 'testing', 'index.ts'],
]

/** Rooms on lower floors that stay closed all the same. */
const closed: Readonly<Record<string, readonly string[]>> = {
  sandbox: ['identity', 'vault', 'store', 'net'],
  protocols: ['vault'],
  bridge: ['identity', 'envelope', 'trust', 'vault', 'audit', 'auth', 'bundles'],
}

/** Doors that know these rooms and no others. */
const only: Readonly<Record<string, readonly string[]>> = {
  // Runs code, reads settings and asks the trust rule without a node, and so without what a node is made of.
  cli: ['base', 'client', 'api', 'node', 'boxes', 'bundles', 'sandbox', 'trust', 'config'],
  mcp: ['base', 'client'],
  a2a: ['base', 'client'],
  console: ['base', 'client'],
}

/** Rooms with a door per folder: `src/protocols/klp/index.ts`. */
const foldered: ReadonlySet<string> = new Set(['protocols'])

/** Who may import a package: rooms or single files, `*` for everybody. The first row that matches counts; a package without a row is refused. */
const packages: readonly (readonly [name: RegExp, users: readonly string[]])[] = [
  [/^(libp2p|@libp2p\/.+|@chainsafe\/.+|@multiformats\/.+|it-.+|interface-.+|uint8array.+|datastore-.+|race-.+|main-event)$/, ['net']],
  [/^(@noble\/.+|hash-wasm|sodium-native)$/, ['crypto']],
  // The sandbox worker runs in a process that holds no other room.
  [/^node:crypto$/, ['crypto', 'base/random.ts', 'sandbox/worker.ts', 'sandbox/local-calls.ts', 'sandbox/app-files.ts']],
  [/^(level|classic-level|abstract-level)$/, ['store']],
  [/^canonicalize$/, ['wire']],
  [/^smol-toml$/, ['node', 'config']],
  [/^(isolated-vm|acorn|acorn-walk)$/, ['sandbox']],
  [/^node:(vm|wasi)$/, []],
  [/^(fastify|@fastify\/.+)$/, ['api']],
  [/^(commander|@clack\/.+)$/, ['cli']],
  [/^uqr$/, ['cli', 'console']],
  [/^(@simplewebauthn\/server|otpauth)$/, ['auth']],
  [/^@napi-rs\/keyring$/, ['vault']],
  [/^(svelte|vite|d3-force|@simplewebauthn\/browser)$/, ['console']],
  [/^node:timers(\/promises)?$/, ['base']],
  [/^node:.+$/, ['*']],
  [/^(multiformats|zod)$/, ['*']],
]

/** Words for time, chance and environment, which everybody else is handed. A page in a browser has no one to hand it them. */
const words: readonly (readonly [word: string, pattern: RegExp, users: readonly string[]])[] = [
  ['Date.now()', /\bDate\s*\.\s*now\b/g, ['base', 'console', 'sandbox/worker.ts']],
  ['new Date()', /\bnew\s+Date\s*(?:\(\s*\)|(?![\w\s(]))/g, ['base', 'console', 'sandbox/worker.ts']],
  ['performance.now()', /\bperformance\s*\.\s*now\b/g, ['base', 'console', 'sandbox/worker.ts']],
  ['setTimeout()', /(?<![\w$.#])(?:globalThis\s*\.\s*)?setTimeout\s*\(/g, ['base', 'console', 'sandbox/worker.ts']],
  ['setInterval()', /(?<![\w$.#])(?:globalThis\s*\.\s*)?setInterval\s*\(/g, ['base', 'console', 'sandbox/worker.ts']],
  ['AbortSignal.timeout()', /\bAbortSignal\s*\.\s*timeout\b/g, ['base', 'console', 'sandbox/worker.ts']],
  ['Math.random()', /\bMath\s*\.\s*random\b/g, ['base', 'console']],
  ['process.env', /\bprocess\s*\.\s*env\b/g, ['base', 'cli', 'sandbox/worker.ts']],
]

export interface Violation {
  readonly file: string
  readonly line: number
  readonly message: string
}

interface Import {
  readonly specifier: string
  readonly line: number
}

/** Checks sources by their path from the root of the repository, such as `src/net/host.ts`. */
export function checkFloors(files: ReadonlyMap<string, string>): Violation[] {
  return [...files].flatMap(([file, source]) => {
    const text = file.endsWith('.svelte') ? scriptOf(source) : source
    const code = withoutTexts(text)
    const found = [...misplacedImports(file, text, code), ...misplacedWords(file, code), ...starExports(file, code)]
    return found.toSorted((a, b) => a.line - b.line)
  })
}

/** The script of a component with its lines where they were; its markup and style are no code of ours. */
const scriptOf = (component: string): string =>
  component.replaceAll(
    /([\s\S]*?)(?:<script\b[^>]*>([\s\S]*?)<\/script>|$)/g,
    (_whole, outside: string, script = '') => outside.replaceAll(/[^\n]/g, ' ') + script,
  )

function misplacedImports(file: string, text: string, code: string): Violation[] {
  return importsOf(text, code).flatMap(({ specifier, line }) => {
    const message = specifier.startsWith('.') ? refuseRoom(file, posix.join(posix.dirname(file), specifier)) : refusePackage(file, specifier)
    return message === undefined ? [] : [{ file, line, message }]
  })
}

/** Why `file` may not import the file `target`; undefined when it may. */
function refuseRoom(file: string, target: string): string | undefined {
  const from = roomOf(file)
  if (!target.startsWith('src/')) return `src imports nothing outside src, here ${target}`
  const to = roomOf(target)
  if (from === to) return undefined

  const [here, there] = [floorOf(from), floorOf(to)]
  if (here === -1) return `${from} is on no floor: give it one in scripts/check-floors.ts`
  if (there === -1) return `${to} is on no floor: give it one in scripts/check-floors.ts`
  if (there > here) return `${from} (floor ${here}) imports ${to} (floor ${there}): imports go down`
  if (there === here) return `${from} imports ${to}: rooms on one floor do not know each other`
  if (closed[from]?.includes(to) === true) return `${from} never imports ${to}`
  const known = only[from]
  if (known !== undefined && !known.includes(to)) return `${from} imports ${to}: it knows only ${known.join(', ')}`
  const door = foldered.has(to) ? target.split('/').slice(0, 3).join('/') : `src/${to}`
  if (target !== `${door}/index.ts`) return `${target} is inside another room: import ${door}/index.ts`
  return undefined
}

/** Why `file` may not import the npm or Node package of `specifier`; undefined when it may. */
function refusePackage(file: string, specifier: string): string | undefined {
  const name = specifier.startsWith('node:') ? specifier : specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const row = packages.find(([pattern]) => pattern.test(name))
  if (row === undefined) return `${name} has no row in the table of packages of scripts/check-floors.ts: say who may import it`
  return isAmong(file, row[1]) ? undefined : `only ${row[1].join(', ') || 'nobody'} may import ${name}`
}

function misplacedWords(file: string, code: string): Violation[] {
  return words.flatMap(([word, pattern, users]) => {
    if (isAmong(file, users)) return []
    return [...code.matchAll(pattern)].map(({ index }) => ({ file, line: lineAt(code, index), message: `only ${users.join(', ')} may use ${word}` }))
  })
}

function starExports(file: string, code: string): Violation[] {
  return [...code.matchAll(/\bexport\s*(?:type\s*)?\*/g)].map(({ index }) => ({
    file,
    line: lineAt(code, index),
    message: 'no `export *`: name what is exported',
  }))
}

/** `src/net/host.ts` is in `net`; `src/index.ts` is a room of its own. */
const roomOf = (file: string): string => file.split('/')[1] ?? ''

const floorOf = (room: string): number => floors.findIndex((floor) => floor.includes(room))

const isAmong = (file: string, users: readonly string[]): boolean => users.some((user) => user === '*' || user === roomOf(file) || file === `src/${user}`)

const lineAt = (text: string, index: number): number => text.slice(0, index).split('\n').length

/** Static, dynamic, type-only and re-exporting imports: wherever code has a quote after `from`, `import`, `import(` or `require(`. */
function importsOf(text: string, code: string): Import[] {
  return [...code.matchAll(/\b(?:from|import|import\s*\(|require\s*\(|import\s*\.\s*meta\s*\.\s*resolve\s*\()\s*(["'`])/g)].map(
    ({ 0: match, 1: quote = '', index }) => {
      const start = index + match.length
      return { specifier: text.slice(start, text.indexOf(quote, start)), line: lineAt(text, index) }
    },
  )
}

/** The same text, as long and with the same lines, with comments and the insides of strings blanked out. */
export function withoutTexts(text: string): string {
  const token = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|(["'])(?:\\[\s\S]|(?!\1)[^\\\n])*\1|`|[{}]|\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/g
  const blank = (part: string): string => part.replaceAll(/[^\n]/g, ' ')
  let result = ''
  let position = 0
  // Braces open at each level of template nesting: `${` opens a level, its `}` goes back to the template.
  const depths: number[] = []

  const template = (start: number): void => {
    let at = start
    while (at < text.length && text[at] !== '`' && !text.startsWith('${', at)) at += text[at] === '\\' ? 2 : 1
    result += blank(text.slice(start, at))
    if (text.startsWith('${', at)) {
      depths.push(0)
      result += '${'
      position = at + 2
    } else {
      result += text.slice(at, at + 1)
      position = at + 1
    }
  }

  while (position < text.length) {
    token.lastIndex = position
    const match = token.exec(text)
    if (match === null) return result + text.slice(position)
    const [part] = match
    result += text.slice(position, match.index)
    position = match.index + part.length
    const depth = depths.at(-1)
    if (part === '`') {
      result += part
      template(position)
    } else if (part === '}' && depth === 0) {
      depths.pop()
      result += part
      template(position)
    } else if (part === '{' || part === '}') {
      result += part
      if (depth !== undefined) depths[depths.length - 1] = depth + (part === '{' ? 1 : -1)
    } else if (part.startsWith('//') || part.startsWith('/*')) {
      result += blank(part)
    } else if (part.startsWith('/') && !opensExpression(result)) {
      // A division: only its sign is taken.
      result += '/'
      position = match.index + 1
    } else {
      result += part.slice(0, 1) + blank(part.slice(1, -1)) + part.slice(-1)
    }
  }
  return result
}

/** True where a slash begins a regular expression and does not divide. */
const opensExpression = (before: string): boolean => /(?:^|[([{,;=:!&|?+\-*%~^<>}\n]|\b(?:return|typeof|case|of|in|yield|await))[ \t]*$/.test(before.slice(-40))

if (import.meta.main) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const files = globSync('src/**/*.{ts,svelte}', { cwd: root }).toSorted()
  const violations = checkFloors(new Map(files.map((file) => [file, readFileSync(root + file, 'utf8')])))
  for (const { file, line, message } of violations) process.stdout.write(`${file}:${line} ${message}\n`)
  process.stdout.write(`${files.length} files, ${violations.length} imports or words out of place\n`)
  if (violations.length > 0) process.exitCode = 1
}
