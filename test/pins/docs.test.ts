import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { documents, messageSchemaFile, messageSchemaText, tables, withTables } from '../../scripts/docs.ts'

test.each(documents)('%s says what the code says; `node scripts/docs.ts --write` brings it up to date', async (document) => {
  const text = readFileSync(document, 'utf8')
  expect(text).toContain('<!-- table ')
  expect(text).toBe(withTables(text, await tables()))
})

test('the schemas of the reserved message types are those of the code', () => {
  expect(readFileSync(messageSchemaFile, 'utf8')).toBe(messageSchemaText())
})
