import { type Clock, MeshError, type SignalOption } from '../base/index.ts'
import { createListener, type Listener } from './listeners.ts'

/** What is kept of what an agent printed; the oldest lines go first. Source: sandbox/v1 section 9. */
export const programLogCharsMax = 256 << 10
export const programLogLinesMax = 2_000
/** One line of it; the rest is cut. */
export const programLogLineCharsMax = 8 << 10
/** Readers that follow the log of one agent. */
export const programLogReadersMax = 16

export interface LogLine {
  /** Wall clock. */
  readonly at: number
  /** `log`, `info`, `warn`, `error` and `debug` of the agent's console; `node` for what the node has to say of the agent. */
  readonly level: string
  readonly text: string
}

/** What an agent printed of late, in memory. */
export interface ProgramLog {
  add(level: string, text: string): void
  /** What is kept, oldest first; with `follow` also what comes, until the signal aborts. @throws ERR_OVERLOADED for too many readers, or one that does not keep up */
  read(options?: SignalOption & { readonly follow?: boolean | undefined }): AsyncGenerator<LogLine>
}

export function createProgramLog(clock: Pick<Clock, 'now'>): ProgramLog {
  const lines: LogLine[] = []
  const readers = new Set<Listener<LogLine>>()
  let chars = 0
  return {
    add(level, text) {
      const line = { at: clock.now(), level, text: text.slice(0, programLogLineCharsMax) }
      lines.push(line)
      chars += line.text.length
      while (lines.length > programLogLinesMax || chars > programLogCharsMax) chars -= lines.shift()?.text.length ?? 0
      for (const reader of readers) reader.give(line)
    },
    async *read({ follow = false, signal } = {}) {
      if (!follow) {
        yield* [...lines]
        return
      }
      if (readers.size >= programLogReadersMax) throw new MeshError('ERR_OVERLOADED', `${programLogReadersMax} readers follow this log`)
      const reader = createListener<LogLine>()
      readers.add(reader)
      try {
        yield* [...lines]
        yield* reader.items({ signal })
      } finally {
        readers.delete(reader)
      }
    },
  }
}
