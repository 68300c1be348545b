import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'kindmesh-package-'))
const project = join(folder, 'project')
let packed: readonly string[] = []

/** Runs a command in the project that has the package installed; gives its stdout. */
const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

beforeAll(() => {
  const report = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
  // A list up to npm 11, an object since npm 12.
  const packages = JSON.parse(report) as { readonly [name: string]: { readonly filename: string; readonly files: readonly { readonly path: string }[] } }
  const [first] = Object.values(packages)
  packed = first?.files.map(({ path }) => path) ?? []

  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'elsewhere', private: true, type: 'module' }))
  run('npm', 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--silent', join(folder, first?.filename ?? ''))
}, 240_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the package holds code, declarations, launcher and specifications, and no sources', () => {
  expect(packed).toEqual(expect.arrayContaining(['dist/index.js', 'dist/index.d.ts', 'dist/cli/main.js', 'scripts/run.mjs', 'package.json', 'LICENSE']))
  expect(packed.filter((path) => !/^(dist|protocols)\/|^(scripts\/run\.mjs|package\.json|README\.md|LICENSE)$/.test(path))).toEqual([])
})

test('the command runs where it is installed', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { readonly version: string }
  expect(run('npx', '--no-install', 'kindmesh', '--version')).toContain(version)
})

test('the doors open where it is installed', () => {
  writeFileSync(
    join(project, 'doors.js'),
    `import { createNode, MeshError } from 'kindmesh'
     import * as client from 'kindmesh/client'
     import * as testing from 'kindmesh/testing'
     console.log(typeof createNode, new MeshError('ERR_TIMEOUT', 'late').code, Object.keys(client).length > 0, Object.keys(testing).length > 0)`,
  )
  expect(run(process.execPath, 'doors.js').trim()).toBe('function ERR_TIMEOUT true true')
})

test('a task runs in its sandbox where it is installed', () => {
  writeFileSync(
    join(project, 'task.js'),
    `import { createNode } from 'kindmesh'
     await using anna = await createNode({ dataDir: 'anna' })
     await using ben = await createNode({ dataDir: 'ben' })
     await ben.dial(anna.ticket())
     await anna.trust.attest({ subject: ben.did, level: 2, scopes: ['/task/run'], lifetimeMs: 60_000 })
     for await (const event of ben.tasks.run({ on: anna.did, code: 'return input * 2', input: 21 })) if (event.type === 'result') console.log(event.result, event.receipt.isolation)`,
  )
  expect(run(process.execPath, 'task.js').trim()).toBe('42 sandboxed')
})

test('the declarations hold in a strict project', () => {
  writeFileSync(
    join(project, 'doors.ts'),
    `import { createNode, MeshError } from 'kindmesh'\nimport 'kindmesh/client'\nimport 'kindmesh/testing'\nexport const doors = { createNode, MeshError }\n`,
  )
  const options = {
    strict: true,
    target: 'esnext',
    module: 'nodenext',
    skipLibCheck: false,
    noEmit: true,
    types: ['node'],
    typeRoots: [resolve('node_modules/@types')],
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['doors.ts'] }))
  expect(run(resolve('node_modules/.bin/tsc'), '-p', '.')).toBe('')
})
