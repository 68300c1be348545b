import { link, mkdtemp, open, readdir, rename, rm, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createSeededRandom, realClock, utf8 } from '../../src/base/index.ts'
import { createKeyFile, openKeyFile, readKeyFile, rotateKeyFile } from '../../src/identity/index.ts'
import type { FileCalls } from '../../src/identity/private-file.ts'

/** File calls that stop at the n-th: before it happens, or just after, as a cut of power does. Nothing works from then on. */
function failing(at: number, when: 'before' | 'after'): { readonly files: FileCalls; readonly steps: () => number } {
  let step = 0
  const cut = async <T>(act: () => Promise<T>): Promise<T> => {
    const own = ++step
    if (own > at || (own === at && when === 'before')) throw new Error('cut')
    const result = await act()
    if (own === at) throw new Error('cut')
    return result
  }
  const files: FileCalls = {
    open: (async (...args: Parameters<typeof open>) => {
      let file: Awaited<ReturnType<typeof open>> | undefined
      try {
        await cut(async () => {
          file = await open(...args)
        })
      } catch (error) {
        await file?.close()
        throw error
      }
      if (file === undefined) throw new Error('no file')
      const opened = file
      return { writeFile: (text: string) => cut(() => opened.writeFile(text)), sync: () => cut(() => opened.sync()), close: () => opened.close() }
    }) as unknown as typeof open,
    link: ((from: string, to: string) => cut(() => link(from, to))) as typeof link,
    rename: ((from: string, to: string) => cut(() => rename(from, to))) as typeof rename,
    unlink: ((path: string) => cut(() => unlink(path))) as typeof unlink,
  }
  return { files, steps: () => step }
}

test('a rotation that is cut at any step leaves the old key or the new one, whole, and the next rotation works', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-key-cut-'))
  const passphrase = utf8('canary')
  const random = createSeededRandom(5)
  const path = join(folder, 'identity.json')
  try {
    const { identity } = await createKeyFile({ path, passphrase, random, clock: realClock })
    const outcomes = new Set<string>()
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= 6; at++) {
        const before = await readKeyFile(path)
        const { files } = failing(at, when)
        await expect(rotateKeyFile({ path, passphrase, random, clock: realClock, files })).rejects.toThrow('cut')
        const after = await readKeyFile(path)
        expect(after.did).toBe(identity)
        expect([before.seq, before.seq + 1]).toContain(after.seq)
        outcomes.add(after.seq === before.seq ? 'old' : 'new')
        // Sampled: opening costs an Argon2.
        if (at % 3 === 0) expect((await openKeyFile({ path, passphrase, random })).did).toBe(after.current)
      }
    }
    expect(outcomes).toEqual(new Set(['old', 'new']))
    const { seq } = await readKeyFile(path)
    await rotateKeyFile({ path, passphrase, random, clock: realClock })
    expect((await readKeyFile(path)).seq).toBe(seq + 1)
    // What a cut leaves lying beside the file is no key file anybody reads.
    expect((await readdir(folder)).filter((name) => name === 'identity.json')).toEqual(['identity.json'])
  } finally {
    await rm(folder, { recursive: true })
  }
}, 400_000)
