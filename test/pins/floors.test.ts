import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkFloors, floors, withoutTexts } from '../../scripts/check-floors.ts'

/** What is said about one file with this text. */
const check = (file: string, text: string): string[] => checkFloors(new Map([[file, text]])).map(({ line, message }) => `${line}: ${message}`)

test.each([
  ['a room on the same floor', 'src/crypto/a.ts', `import { x } from '../store/index.ts'`, 'rooms on one floor do not know each other'],
  ['a room on a higher floor', 'src/trust/a.ts', `import { x } from '../net/index.ts'`, 'imports go down'],
  ['a type from a higher floor', 'src/trust/a.ts', `import type { Host } from '../net/index.ts'`, 'imports go down'],
  ['a type named in place', 'src/trust/a.ts', `type Host = import('../net/index.ts').Host`, 'imports go down'],
  ['a higher floor, imported late', 'src/base/a.ts', `const x = await import('../node/index.ts')`, 'imports go down'],
  ['a higher floor, for its effect', 'src/base/a.ts', `import '../node/index.ts'`, 'imports go down'],
  ['a higher floor, over several lines', 'src/base/a.ts', `import {\n  x,\n} from '../node/index.ts'`, 'imports go down'],
  ['a higher floor, passed on', 'src/base/a.ts', `export { x } from "../node/index.ts"`, 'imports go down'],
  ['the door of the package', 'src/node/a.ts', `import { x } from '../index.ts'`, 'imports go down'],
  ['the inside of another room', 'src/trust/a.ts', `import { x } from '../store/level.ts'`, 'is inside another room'],
  ['the inside of another room from its depth', 'src/protocols/klp/a.ts', `import { x } from '../../store/level.ts'`, 'is inside another room'],
  ['the inside of a protocol', 'src/node/a.ts', `import { x } from '../protocols/klp/link.ts'`, 'import src/protocols/klp/index.ts'],
  ['a room nobody planned', 'src/trust/a.ts', `import { x } from '../misc/index.ts'`, 'misc is on no floor'],
  ['anything, from a room nobody planned', 'src/misc/a.ts', `import { x } from '../base/index.ts'`, 'misc is on no floor'],
  ['the tests', 'src/node/a.ts', `import { x } from '../../test/helpers/mesh.ts'`, 'nothing outside src'],
  ['the store, from the sandbox', 'src/sandbox/a.ts', `import { x } from '../store/index.ts'`, 'sandbox never imports store'],
  ['the vault, from a protocol', 'src/protocols/klp/a.ts', `import { x } from '../../vault/index.ts'`, 'protocols never imports vault'],
  ['a room, from the command line', 'src/cli/a.ts', `import { x } from '../agents/index.ts'`, 'it knows only base, client, api, node'],
  ['the node, from mcp', 'src/mcp/a.ts', `import { x } from '../node/index.ts'`, 'it knows only base, client'],
  ['a room, from a2a', 'src/a2a/a.ts', `import { x } from '../agents/index.ts'`, 'it knows only base, client'],
  [
    'a room, from a component',
    'src/console/a.svelte',
    `<script lang="ts">import { x } from '../node/index.ts'</script>\n<p>from 'here'</p>`,
    'it knows only base, client',
  ],
  ['a room, from the console', 'src/console/a.ts', `import { x } from '../api/index.ts'`, 'it knows only base, client'],
])('refuses to import %s', (_what, file, text, message) => {
  const found = check(file, text)
  expect(found).toHaveLength(1)
  expect(found[0]).toContain(message)
})

test.each([
  ['libp2p', 'src/agents/a.ts'],
  ['@libp2p/tcp', 'src/node/a.ts'],
  ['@chainsafe/libp2p-noise', 'src/crypto/a.ts'],
  ['@multiformats/multiaddr', 'src/cli/a.ts'],
  ['datastore-level', 'src/store/a.ts'],
  ['@noble/curves/ed25519.js', 'src/identity/a.ts'],
  ['hash-wasm', 'src/vault/a.ts'],
  ['sodium-native', 'src/net/a.ts'],
  ['node:crypto', 'src/identity/a.ts'],
  ['node:crypto', 'src/base/bytes.ts'],
  ['level', 'src/net/a.ts'],
  ['classic-level', 'src/audit/a.ts'],
  ['isolated-vm', 'src/tasks/a.ts'],
  ['acorn', 'src/policy/a.ts'],
  ['fastify', 'src/node/a.ts'],
  ['commander', 'src/node/a.ts'],
  ['uqr', 'src/api/a.ts'],
  ['@clack/prompts', 'src/vault/a.ts'],
  ['node:vm', 'src/sandbox/a.ts'],
  ['node:timers/promises', 'src/net/a.ts'],
])('refuses to import %s in %s', (name, file) => {
  expect(check(file, `import x from '${name}'`)).toEqual([expect.stringMatching(/^1: only .+ may import /)])
})

test('refuses a package that has no row in the table', () => {
  expect(check('src/node/a.ts', `import x from 'left-pad/index.js'`)).toEqual([expect.stringContaining('left-pad has no row')])
})

test.each([
  ['Date.now()'],
  ['new Date()'],
  ['performance.now()'],
  ['setTimeout(run, 5)'],
  ['globalThis.setTimeout(run, 5)'],
  ['setInterval(run, 5)'],
  ['AbortSignal.timeout(5)'],
  ['Math.random()'],
  ['process.env.HOME'],
  [`process.env['HOME']`],
  ['`at ${Date.now()}`'],
])('refuses %s outside base', (expression) => {
  expect(check('src/net/a.ts', `\nconst x = ${expression}`)).toEqual([expect.stringMatching(/^2: only base/)])
  expect(check('src/base/a.ts', `\nconst x = ${expression}`)).toEqual([])
})

test('lets the command line read the environment, and the sandbox worker keep time', () => {
  expect(check('src/cli/a.ts', 'process.env.KINDMESH_HOME')).toEqual([])
  expect(check('src/sandbox/worker.ts', 'setTimeout(stop, 5); process.env.X')).toEqual([])
  expect(check('src/sandbox/other.ts', 'setTimeout(stop, 5)')).toHaveLength(1)
})

test('refuses export *', () => {
  expect(check('src/net/index.ts', `export * from './host.ts'`)).toEqual(['1: no `export *`: name what is exported'])
  expect(check('src/net/index.ts', `export type * as host from './host.ts'`)).toHaveLength(1)
})

test('names the line', () => {
  expect(check('src/base/a.ts', `// one\n\nimport { x } from '../node/index.ts'`)[0]).toMatch(/^3: /)
})

test.each([
  ['a lower room through its door', 'src/trust/a.ts', `import { x } from '../store/index.ts'`],
  ['a protocol through its door', 'src/node/a.ts', `import { x } from '../protocols/klp/index.ts'`],
  ['its own room', 'src/protocols/klp/client.ts', `import { x } from '../task/codec.ts'`],
  ['the composition root everything below', 'src/node/a.ts', `import { x } from '../agents/index.ts'\nimport { y } from '../net/index.ts'`],
  ['the package what it exports', 'src/index.ts', `export { createNode } from './node/index.ts'`],
  ['the command line a node', 'src/cli/a.ts', `import { x } from '../node/index.ts'\nimport { Command } from 'commander'`],
  ['net its libraries', 'src/net/a.ts', `import { tcp } from '@libp2p/tcp'\nimport { LevelDatastore } from 'datastore-level'`],
  ['base its chance', 'src/base/random.ts', `import { randomFillSync } from 'node:crypto'`],
  ['a comment anything', 'src/net/a.ts', `// import { x } from '../node/index.ts'\n/* Date.now()\n * export * */`],
  ['a string anything', 'src/net/a.ts', 'const x = "Date.now()" + \'setTimeout(\' + `Math.random() ${name} process.env`'],
  ['a method a name of its own', 'src/net/a.ts', 'clock.setTimeout(5); new Date(at); Date.UTC(2026)'],
])('allows %s', (_what, file, text) => {
  expect(check(file, text)).toEqual([])
})

test('blanks comments and texts, keeps code, and knows a division from a regular expression', () => {
  expect(withoutTexts(`a = 'b' // c\nd`)).toBe(`a = ' '     \nd`)
  expect(withoutTexts('`a ${ { b: `c` } } d` + e')).toBe('`  ${ { b: ` ` } }  ` + e')
  expect(withoutTexts(`a / b; c = 'd' / 2`)).toBe(`a / b; c = ' ' / 2`)
  expect(withoutTexts(`a.match(/['"]/); Date`)).toBe(`a.match(/    /); Date`)
  expect(withoutTexts(`a = b / c // '`)).toBe(`a = b / c     `)
  expect(withoutTexts(`'it\\'s'; x`)).toBe(`'     '; x`)
})

test('blanking changes neither length nor lines of any source', () => {
  for (const file of globSync('{src,scripts,test}/**/*.ts')) {
    const text = readFileSync(file, 'utf8')
    const code = withoutTexts(text)
    expect(code.length, file).toBe(text.length)
    expect(code.split('\n').length, file).toBe(text.split('\n').length)
  }
})

test('every room stands on one floor', () => {
  const rooms = floors.flat()
  expect(new Set(rooms).size).toBe(rooms.length)
  for (const path of globSync('src/*')) expect(rooms, path).toContain(path.slice('src/'.length))
})
