import { readFile, rename, writeFile } from 'node:fs/promises'
import { type Clock, type Logger, secondMs, toMeshError } from '../base/index.ts'

/** Keeps the newest audit checkpoint beside the store, so that a log cut short is noticed. Written at most once a second, and at the end. */
export interface CheckpointFile {
  keep(checkpoint: string): void
  read(): Promise<string | undefined>
  flush(): Promise<void>
}

export function createCheckpointFile({ path, clock, logger }: { readonly path: string; readonly clock: Clock; readonly logger: Logger }): CheckpointFile {
  let newest: string | undefined
  let isWaiting = false
  let writing: Promise<void> = Promise.resolve()

  const write = (): Promise<void> => {
    writing = writing.then(async () => {
      const text = newest
      if (text === undefined) return
      newest = undefined
      try {
        await writeFile(`${path}.new`, text, { mode: 0o600 })
        await rename(`${path}.new`, path)
      } catch (error) {
        logger.warn('checkpoint not kept', { reason: toMeshError(error).message })
      }
    })
    return writing
  }
  return {
    keep(checkpoint) {
      newest = checkpoint
      if (isWaiting) return
      isWaiting = true
      clock.after(secondMs, () => {
        isWaiting = false
        void write()
      })
    },
    read: () => readCheckpoint(path),
    flush: write,
  }
}

export async function readCheckpoint(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
