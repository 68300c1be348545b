import { execFileSync } from 'node:child_process'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const tracked = (existsSync('.git') ? listedByGit() : globSync('**/*', { exclude: ['node_modules', 'dist', 'coverage'] })).filter(
  (path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true,
)

/** The checkout may belong to another user than the one who tests it. */
function listedByGit(): string[] {
  return execFileSync('git', ['-c', 'safe.directory=*', 'ls-files', '-z'], { encoding: 'utf8' }).split('\0')
}

/** Files as text; what holds a NUL is no text. */
const texts = tracked.map((path) => [path, readFileSync(path, 'latin1')] as const).filter(([, text]) => !text.includes('\0'))

/** Paths of texts that hold `pattern`. */
const holding = (pattern: RegExp): string[] => texts.filter(([, text]) => pattern.test(text)).map(([path]) => path)

test('the top level holds the manifest, the sources, the proofs and dotfiles only', () => {
  const allowed = new Set(['package.json', 'package-lock.json', 'tsconfig.json', 'src', 'protocols', 'test', 'scripts', 'README.md', 'LICENSE'])
  const top = new Set(tracked.map((path) => path.split('/')[0] ?? ''))
  expect([...top].filter((name) => !name.startsWith('.') && !allowed.has(name))).toEqual([])
})

test('nothing built or installed is tracked', () => {
  expect(tracked.filter((path) => /(^|\/)(node_modules|dist|coverage)\/|\.tgz$/.test(path))).toEqual([])
})

interface Locked {
  readonly resolved?: string
  readonly integrity?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { readonly packages: Readonly<Record<string, Locked>> }

test('the lockfile says what to install, not from where', () => {
  for (const [path, entry] of Object.entries(packages)) {
    expect(entry, path).not.toHaveProperty('resolved')
    if (path !== '') expect(entry, path).toHaveProperty('integrity')
  }
})

test('the lockfile names the binaries of every platform: npm ci refuses one that lacks some', () => {
  const names = new Set(Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)))
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) expect(names, `${path} -> ${name}`).toContain(name)
  }
})

test('no file names a package registry', () => {
  expect(holding(/\bregistry\.[a-z0-9-]+\.[a-z]{2,}|\/artifactory\/|\/api\/npm\/|_auth(?:Token)/i)).toEqual([])
})

test('no file names a folder of the machine it was written on', () => {
  // A folder of one name, such as /app, is nobody's in particular.
  const folders = [resolve('.'), homedir()].filter((folder) => folder.split('/').length > 2)
  const literal = folders.map((folder) => folder.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
  expect(holding(new RegExp(String.raw`(?<![\w.-])(?:${[...literal, String.raw`/(?:home|Users)/[a-z]\w*`].join('|')})(?![\w-])`))).toEqual([])
})
