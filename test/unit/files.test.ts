import { mkdtemp, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concat, createSeededRandom, hex, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { fileNameBytesMax, numbered, safeFileName } from '../../src/base/file-names.ts'
import { fileIs, openPartFile, placeFile, syncEveryBytes } from '../../src/files/part-file.ts'
import { createQueue } from '../../src/files/queue.ts'
import { type BodySource, checkMark, chunksOf, fileSource, hashBody, markOf } from '../../src/files/source.ts'
import { chunkBytes } from '../../src/protocols/stream/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'

async function folder(): Promise<AsyncDisposable & { readonly path: string; file(name: string): string }> {
  const path = await mkdtemp(join(tmpdir(), 'kindmesh-files-'))
  return { path, file: (name) => join(path, name), [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

const nothing = async (): Promise<void> => undefined

describe('names of received files', () => {
  test('what a stranger calls a file becomes one visible name in the folder', () => {
    for (const [name, expected] of [
      ['report.pdf', 'report.pdf'],
      ['../../etc/passwd', '_.._etc_passwd'],
      ['..\\..\\boot.ini', '_.._boot.ini'],
      ['/etc/shadow', '_etc_shadow'],
      ['C:\\windows', 'C__windows'],
      ['.bashrc', 'bashrc'],
      ['...', 'file'],
      ['', 'file'],
      ['  spaced   out .txt  ', 'spaced out .txt'],
      ['a\u0000b\nc\u001b[31m', 'a_b_c_[31m'],
      ['evil\u202Egpj.exe', 'evil_gpj.exe'],
      ['zero\u200Bwidth', 'zero_width'],
      ['CON', '_CON'],
      ['nul.txt', '_nul.txt'],
      ['com1.tar.gz', '_com1.tar.gz'],
      ['console.log', 'console.log'],
      ['trailing.', 'trailing'],
      ['half\ud800', 'half\ufffd'],
      ['e\u0301.txt', '\u00e9.txt'],
    ] as const) {
      expect([name, safeFileName(name)]).toEqual([name, expected])
    }
  })

  test('whatever the name, the result is safe, short and stays as it is when made safe again', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.string({ unit: fc.constantFrom('.', '/', '\\', ' ', '\u0000', 'ä', '💥', 'a'), maxLength: 300 }),
    )
    fc.assert(
      fc.property(hostile, (name) => {
        const safe = safeFileName(name)
        expect(safe).not.toMatch(/[/\\\p{Cc}\p{Cf}]/u)
        expect(safe.startsWith('.') || safe.endsWith('.') || safe.trim() !== safe || safe === '').toBe(false)
        expect(Buffer.byteLength(safe)).toBeLessThanOrEqual(fileNameBytesMax + 1)
        expect(safeFileName(safe)).toBe(safe)
      }),
      { seed: 11, numRuns: 2_000 },
    )
  })

  test('a name that is too long keeps its extension', () => {
    expect(safeFileName(`${'ü'.repeat(300)}.tar`)).toBe(`${'ü'.repeat(98)}.tar`)
  })

  test('numbers stand before the extension', () => {
    expect([1, 2, 10].map((count) => numbered('photo.jpg', count))).toEqual(['photo.jpg', 'photo (2).jpg', 'photo (10).jpg'])
    expect(numbered('README', 3)).toBe('README (3)')
  })
})

describe('a part file', () => {
  const body = createSeededRandom(5).bytes(300_000)

  test('takes a body in pieces, hashes it, and goes on where it was synced; what lies behind is cut off', async () => {
    await using dir = await folder()
    const path = dir.file('.x.part')
    const told: number[] = []
    const open = (cursor: number) => openPartFile({ path, size: body.length, cursor, onSynced: async (at) => void told.push(at) })
    const first = await open(0)
    await first.write(body.subarray(0, 100_000))
    await first.write(body.subarray(100_000, 200_000))
    await first.close()
    expect(told).toEqual([200_000])
    await writeFile(path, new Uint8Array(50), { flag: 'a' })
    const second = await open(200_000)
    expect([second.at, (await stat(path)).size]).toEqual([200_000, 200_000])
    await second.write(body.subarray(200_000))
    expect(hex(await second.end())).toBe(hex(sha256(body)))
    await second.close()
    expect(told).toEqual([200_000, 300_000])
    expect(await fileIs(path, { size: body.length, hash: sha256(body) })).toBe(true)
    expect(await fileIs(path, { size: body.length, hash: new Uint8Array(32) })).toBe(false)
  })

  test('tells a cursor only of bytes that are in the file, and not more often than it syncs', async () => {
    await using dir = await folder()
    const path = dir.file('.x.part')
    const size = 3 * syncEveryBytes + 5
    const sizes: (readonly [told: number, there: number])[] = []
    const part = await openPartFile({ path, size, cursor: 0, onSynced: async (at) => void sizes.push([at, (await stat(path)).size]) })
    for (let at = 0; at < size; at += chunkBytes) await part.write(new Uint8Array(Math.min(chunkBytes, size - at)))
    await part.end()
    await part.close()
    expect(sizes.length).toBeGreaterThanOrEqual(2)
    expect(sizes.length).toBeLessThanOrEqual(4)
    expect(sizes.filter(([told, there]) => told > there)).toEqual([])
    expect(sizes.at(-1)).toEqual([size, size])
  })

  test('refuses more bytes than were offered, an end before the last, a shorter file than was kept, and a link in its place', async () => {
    await using dir = await folder()
    const path = dir.file('.x.part')
    const part = await openPartFile({ path, size: 10, cursor: 0, onSynced: nothing })
    expect(await codeOf(part.write(new Uint8Array(11)))).toBe('ERR_PROTOCOL')
    await part.write(new Uint8Array(9))
    expect(await codeOf(part.end())).toBe('ERR_PROTOCOL')
    await part.close()
    await truncate(path, 3)
    expect(await codeOf(openPartFile({ path, size: 10, cursor: 9, onSynced: nothing }))).toBe('ERR_FILE_HASH')
    await writeFile(dir.file('victim'), 'mine')
    await symlink(dir.file('victim'), dir.file('.y.part'))
    expect(await codeOf(openPartFile({ path: dir.file('.y.part'), size: 10, cursor: 0, onSynced: nothing }))).toBe('ERR_STORE_FAILED')
    expect(await readFile(dir.file('victim'), 'utf8')).toBe('mine')
  })

  test('says so when what it kept cannot be written down, and takes no more', async () => {
    await using dir = await folder()
    const failing = await openPartFile({
      path: dir.file('.x.part'),
      size: 10,
      cursor: 0,
      onSynced: () => Promise.reject(new Error('the store is gone')),
    })
    await failing.write(new Uint8Array(10))
    await expect(failing.end()).rejects.toThrow('the store is gone')
    await failing.close()
  })

  test('gets a name that is free and never that of a file that is there, be it a broken link', async () => {
    await using dir = await folder()
    await writeFile(dir.file('a.txt'), 'mine')
    await symlink(dir.file('nowhere'), dir.file('a (2).txt'))
    await writeFile(dir.file('.x.part'), 'theirs')
    const chosen: string[] = []
    const final = await placeFile(dir.file('.x.part'), { dir: dir.path, name: 'a.txt', choose: async (name) => void chosen.push(name) })
    expect(final).toBe(dir.file('a (3).txt'))
    expect(chosen.at(-1)).toBe(final)
    expect([await readFile(dir.file('a.txt'), 'utf8'), await readFile(final, 'utf8')]).toEqual(['mine', 'theirs'])
    expect(await readdir(dir.path)).not.toContain('nowhere')
  })
})

describe('a body that is sent', () => {
  const bodyOf = (pieces: readonly Uint8Array[]): BodySource => ({
    name: 'x',
    size: pieces.reduce((sum, piece) => sum + piece.length, 0),
    async *open(offset) {
      // One buffer for all pieces, as a file does it.
      const shared = new Uint8Array(Math.max(1, ...pieces.map((piece) => piece.length)))
      const whole = concat(...pieces)
      let at = 0
      for (const { length } of pieces) {
        const [from, to] = [Math.max(at, offset), at + length]
        at = to
        if (from >= to) continue
        shared.set(whole.subarray(from, to))
        yield shared.subarray(0, to - from)
      }
    },
  })

  test('is cut into equal chunks from any cursor, however its pieces fall', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 150_000 }), { maxLength: 5 }), fc.nat(4), async (lengths, skip) => {
        const random = createSeededRandom(lengths.length)
        const pieces = lengths.map((length) => random.bytes(length))
        const source = bodyOf(pieces)
        const cursor = Math.min(skip * chunkBytes, source.size)
        const chunks: Uint8Array[] = []
        for await (const chunk of chunksOf(source, cursor)) chunks.push(chunk.slice())
        expect(chunks.slice(0, -1).every(({ length }) => length === chunkBytes)).toBe(true)
        expect(chunks.every(({ length }) => length > 0 && length <= chunkBytes)).toBe(true)
        expect(hex(sha256(concat(...chunks)))).toBe(hex(sha256(concat(...pieces).subarray(cursor))))
      }),
      { seed: 3, numRuns: 60 },
    )
  })

  test('of another length than it says is not sent to its end', async () => {
    const all = async (source: BodySource, cursor = 0): Promise<void> => {
      for await (const _chunk of chunksOf(source, cursor));
    }
    const source = bodyOf([new Uint8Array(70_000)])
    expect(await codeOf(all({ ...source, size: 70_001 }))).toBe('ERR_FILE_CHANGED')
    expect(await codeOf(all({ ...source, size: 69_999 }))).toBe('ERR_FILE_CHANGED')
    expect(await codeOf(all(source, 70_001))).toBe('ERR_PROTOCOL')
    expect(await codeOf(hashBody({ ...source, size: 1 }, {}))).toBe('ERR_FILE_CHANGED')
  })

  test('from a file is the file as it was marked, or nothing', async () => {
    await using dir = await folder()
    const path = dir.file('a.bin')
    await writeFile(path, 'hello')
    const mark = await markOf(path)
    expect(hex(await hashBody(fileSource(path, mark.size), {}))).toBe(hex(sha256(utf8('hello'))))
    await checkMark(path, mark)
    await utimes(path, 1_000, 1_000)
    expect(await codeOf(checkMark(path, mark))).toBe('ERR_FILE_CHANGED')
    await writeFile(path, 'hello, world')
    expect(await codeOf(checkMark(path, mark))).toBe('ERR_FILE_CHANGED')
    await rm(path)
    expect(await codeOf(checkMark(path, mark))).toBe('ERR_FILE_CHANGED')
    expect(await codeOf(markOf(dir.path))).toBe('ERR_USAGE')
  })
})

test('a queue nobody reads keeps the newest and no more than it may', async () => {
  const queue = createQueue<number>(3)
  for (let item = 0; item < 10; item++) queue.push(item)
  queue.end()
  queue.push(99)
  const read: number[] = []
  for await (const item of queue.read()) read.push(item)
  expect(read).toEqual([7, 8, 9])
})
