import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { hex, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { ownFolder } from '../../src/sandbox/containers/cache.ts'
import { parseCommand, resultText } from '../../src/sandbox/command.ts'
import { assertPinned } from '../../src/sandbox/containers/debian.ts'

const scratch = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'kindmesh-cache-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

test('a package with other bytes than the pinned ones is refused', () => {
  const pinned = { path: 'pool/main/x_1_amd64.deb', sha256: hex(sha256(utf8('package'))) }
  expect(() => assertPinned(pinned, utf8('package'))).not.toThrow()
  expect(() => assertPinned(pinned, utf8('packagE'))).toThrow(expect.objectContaining({ code: 'ERR_SANDBOX_UNAVAILABLE' }) as Error)
})

test('a cache folder that others can write to, or that is a link, is refused, also further up', () => {
  const base = scratch()
  const inner = join(base, 'cache', 'images')
  expect(ownFolder(inner, base)).toBe(inner)
  const link = join(base, 'link')
  symlinkSync(inner, link)
  expect(() => ownFolder(link, base)).toThrow(/belongs to somebody else/)
  chmodSync(join(base, 'cache'), 0o777)
  expect(() => ownFolder(inner, base)).toThrow(/belongs to somebody else/)
})

test.each(['', '[]', '[""]', '"ls"', '[1]', '["a\\u0000b"]', '{"0":"ls"}', `[${'"a",'.repeat(300)}"a"]`])('%j is no command', (code) => {
  expect(parseCommand(code)).toBeUndefined()
})

test('a result that would not fit says less of what was written', () => {
  const text = resultText({ exitCode: 0, signal: null, stdout: 'x'.repeat(1_000), stderr: '\u0001'.repeat(1_000) }, 700)
  expect(text.length).toBeLessThanOrEqual(700)
  expect(JSON.parse(text)).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^x+$/) as string })
})
