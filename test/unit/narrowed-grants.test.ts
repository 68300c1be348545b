import { expect, test } from 'vitest'
import { narrowedGrants } from '../../src/node/narrowed-grants.ts'
import { grantsSchema } from '../../src/sandbox/index.ts'
import { literal, listOf, row, rowWithTail, textUpTo } from '../../src/wire/index.ts'

const granted = grantsSchema.parse({
  capabilities: ['network:outbound', 'file:read', 'file:write', 'vault:access'],
  network: { allowOutbound: true, allowedDomains: ['*.example.org', 'data.example.net'], allowedPrivate: ['127.0.0.1:8080', 'inner.test:80'] },
  files: {
    roots: [
      { name: 'notes', path: '/notes', mode: 'write' },
      { name: 'papers', path: '/papers', mode: 'read' },
    ],
  },
  vault: ['key', 'other'],
})
const none = { reach: {}, byToken: [], isReader: false } as const

test('without tokens a run reaches what the operator grants', () => {
  expect(narrowedGrants(granted, none)).toEqual(granted)
})

test('hosts, secrets and folders are those that operator and token both name', () => {
  const reach = { hosts: ['a.example.org', '*.net', 'elsewhere.org', 'inner.test'], secrets: ['other', 'third'], roots: ['papers', 'home'] }
  const { network, files, vault } = narrowedGrants(granted, { ...none, reach })
  expect(network).toMatchObject({ allowOutbound: true, allowedDomains: ['a.example.org', 'data.example.net'], allowedPrivate: ['inner.test:80'] })
  expect(files.roots.map(({ name }) => name)).toEqual(['papers'])
  expect(vault).toEqual(['other'])
})

test('secrets that a token alone gives are those it names, and none where it names none', () => {
  const byToken = ['vault:access'] as const
  expect(narrowedGrants(granted, { ...none, byToken, reach: { secrets: ['third'] } }).vault).toEqual(['third'])
  expect(narrowedGrants(granted, { ...none, byToken }).vault).toEqual([])
})

test('for VERIFIED the folders of the operator are for reading', () => {
  expect(narrowedGrants(granted, { ...none, isReader: true }).files.roots.map(({ mode }) => mode)).toEqual(['read', 'read'])
})

test('task/v1 2: fields that came later are left out where nothing is said, and a list never ends with null', () => {
  const before = row({ version: literal(1) })
  const now = rowWithTail({ version: literal(1) }, { grants: listOf(textUpTo(4), 2), more: textUpTo(4) })
  expect(now.encode({ version: 1 })).toEqual(before.encode({ version: 1 }))
  expect(now.decode([1], '')).toEqual({ version: 1 })
  expect(now.encode({ version: 1, more: 'x' })).toEqual([1, null, 'x'])
  expect(now.decode([1, null, 'x'], '')).toEqual({ version: 1, more: 'x' })
  for (const plain of [[1, null], [1, ['a'], null], [1, ['a'], 'x', 'y'], []]) expect(() => now.decode(plain, '')).toThrow(/list/)
  // Who knows only the first fields refuses a list with more.
  expect(() => before.decode([1, ['a']], '')).toThrow(/list of 1/)
})
