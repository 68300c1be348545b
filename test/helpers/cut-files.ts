import { link, open, rename, unlink } from 'node:fs/promises'
import type { FileCalls } from '../../src/identity/index.ts'

export interface CutFiles {
  readonly files: FileCalls
  /** Calls so far. */
  readonly steps: () => number
  /** What they were, in their order. */
  readonly names: readonly string[]
  /** One more step that is no file call. */
  readonly cut: <T>(name: string, act: () => Promise<T>) => Promise<T>
}

/**
 * File calls that stop at the n-th: before it happens, or just after, as a cut of power does. Nothing works from then on; `once`, all works again after it.
 */
export function cutFiles(at: number, when: 'before' | 'after', { once = false }: { readonly once?: boolean } = {}): CutFiles {
  let step = 0
  const names: string[] = []
  const cut = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
    const own = ++step
    names.push(name)
    if ((own > at && !once) || (own === at && when === 'before')) throw new Error('cut')
    const result = await act()
    if (own === at) throw new Error('cut')
    return result
  }
  const files: FileCalls = {
    open: (async (...args: Parameters<typeof open>) => {
      let file: Awaited<ReturnType<typeof open>> | undefined
      try {
        await cut('open', async () => {
          file = await open(...args)
        })
      } catch (error) {
        await file?.close()
        throw error
      }
      if (file === undefined) throw new Error('no file')
      const opened = file
      return {
        writeFile: (data: string | Uint8Array) => cut('write', () => opened.writeFile(data)),
        sync: () => cut('sync', () => opened.sync()),
        close: () => opened.close(),
      }
    }) as unknown as typeof open,
    link: ((from: string, to: string) => cut('link', () => link(from, to))) as typeof link,
    rename: ((from: string, to: string) => cut('rename', () => rename(from, to))) as typeof rename,
    unlink: ((path: string) => cut('unlink', () => unlink(path))) as typeof unlink,
  }
  return { files, steps: () => step, names, cut }
}
