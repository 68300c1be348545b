import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

const specs = globSync('protocols/*/v1/spec.md').toSorted()
const nameOf = (path: string): string => path.split('/')[1] ?? ''

/** Numbers of the sections and rules of each spec: `## 4.`, `### 2.1`, `- [4.3]`, `- **4.3**`. */
const numbers = new Map(
  specs.map((path) => {
    const found = readFileSync(path, 'utf8').matchAll(/^(?:#{2,3} (\d+(?:\.\d+)*)\.? |- (?:\[|\*\*)(\d+(?:\.\d+)*)(?:\]|\*\*))/gm)
    return [nameOf(path), [...found].map(([, section, rule]) => section ?? rule ?? '')] as const
  }),
)

test.each(specs)('%s numbers its sections and rules once, and says what it is', (path) => {
  const text = readFileSync(path, 'utf8')
  const own = numbers.get(nameOf(path)) ?? []
  expect(own.length).toBeGreaterThan(1)
  expect(own.filter((number, index) => own.indexOf(number) !== index)).toEqual([])
  for (const row of ['Name', 'Version', 'Status', 'Implemented in']) expect(text).toContain(`| ${row} |`)
})

test('every section that the code cites is in its spec', () => {
  const lost: string[] = []
  let cited = 0
  for (const path of globSync('src/**/*.ts')) {
    for (const [citation, name = '', list = ''] of readFileSync(path, 'utf8').matchAll(
      /\b([a-z]+(?:-[a-z]+)*)\/v1 sections? (\d+(?:\.\d+)*(?:(?:,| and| to) \d+(?:\.\d+)*)*)/g,
    )) {
      cited++
      for (const [number] of list.matchAll(/\d+(?:\.\d+)*/g)) if (numbers.get(name)?.includes(number) !== true) lost.push(`${path}: ${citation}`)
    }
  }
  expect(lost).toEqual([])
  expect(cited).toBeGreaterThan(50)
})

test('every vector names a section or rule of its spec', () => {
  const lost = globSync('protocols/*/v1/vectors/*.json').filter((path) => {
    const { spec } = JSON.parse(readFileSync(path, 'utf8')) as { readonly spec: string }
    return numbers.get(nameOf(path))?.includes(spec) !== true
  })
  expect(lost).toEqual([])
})

describe('README.md', () => {
  const rows = readFileSync('protocols/README.md', 'utf8').match(/^\| \[.*$/gm) ?? []

  test('has a row for each spec and no other', () => {
    expect(rows.map((row) => /\]\(([^)]+)\)/.exec(row)?.[1] ?? '').toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
      specs.map((path) => path.replace('protocols/', '')),
    )
  })

  test('names folders that exist', () => {
    for (const [, path = ''] of rows.join('\n').matchAll(/`(src\/[^`]+)`/g)) expect(existsSync(path), path).toBe(true)
  })
})

test('every test named as proof against a threat exists', () => {
  const named = (readFileSync('protocols/THREATS.md', 'utf8').match(/^\|.*\|$/gm) ?? []).flatMap((row) => [
    ...(row.split('|').at(-2) ?? '').matchAll(/`([^`]+)`/g),
  ])
  expect(named.length).toBeGreaterThan(10)
  for (const [, name = ''] of named) expect(globSync(`test/${name}.test.ts`), name).not.toEqual([])
})

test('every link between the documents leads somewhere', () => {
  for (const path of globSync('protocols/**/*.md')) {
    for (const [, target = ''] of readFileSync(path, 'utf8').matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      expect(existsSync(join(dirname(path), target)), `${path} -> ${target}`).toBe(true)
    }
  }
})

test('decisions are numbered without a gap', () => {
  const found = globSync('protocols/decisions/*.md').toSorted()
  found.forEach((path, index) => {
    expect(path).toContain(`/${String(index + 1).padStart(4, '0')}-`)
    expect(readFileSync(path, 'utf8')).toMatch(new RegExp(`^# ${index + 1}\\. `))
  })
})
