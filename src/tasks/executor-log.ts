/** What is kept of the beginning of a task's output, and of its end. Source: task/v1 section 6. */
export const servedLogFirstBytes = 32 * 1024
export const servedLogLastBytes = 96 * 1024
/** Of one line, UTF-16 units. */
const lineCharsMax = 4_096
/** What a line costs beyond its text. */
const lineOverheadBytes = 32

export interface ServedLine {
  readonly at: number
  readonly level: string
  readonly text: string
}

/** The output of a task that this node ran: its beginning and its end, and how much was between. */
export interface KeptLog {
  readonly first: readonly ServedLine[]
  readonly cut: { readonly lines: number; readonly bytes: number }
  readonly last: readonly ServedLine[]
}

/** As it is kept on disk: JSON of ours, which is not read from anybody else. */
export const encodeLog = (log: KeptLog): string => JSON.stringify(log)
export const decodeLog = (text: string): KeptLog => JSON.parse(text) as KeptLog

export const nothingSaid: KeptLog = { first: [], cut: { lines: 0, bytes: 0 }, last: [] }

export interface ServedLog {
  add(line: ServedLine): void
  kept(): KeptLog
  /** Calls `listener` with each line from now on; returns the remover. */
  follow(listener: (line: ServedLine) => void): () => void
}

export function createServedLog(): ServedLog {
  const first: ServedLine[] = []
  const last: ServedLine[] = []
  const listeners = new Set<(line: ServedLine) => void>()
  let firstBytes = 0
  let lastBytes = 0
  let cut = { lines: 0, bytes: 0 }
  const weigh = ({ text }: ServedLine): number => Buffer.byteLength(text) + lineOverheadBytes
  return {
    add(whole) {
      const left = whole.text.length - lineCharsMax
      const kept = left > 0 ? { ...whole, text: `${whole.text.slice(0, lineCharsMax).toWellFormed()} … ${left} more` } : whole
      const bytes = weigh(kept)
      if (lastBytes === 0 && firstBytes + bytes <= servedLogFirstBytes) {
        first.push(kept)
        firstBytes += bytes
      } else {
        last.push(kept)
        lastBytes += bytes
        while (lastBytes > servedLogLastBytes) {
          const oldest = last.shift()
          if (oldest === undefined) break
          lastBytes -= weigh(oldest)
          cut = { lines: cut.lines + 1, bytes: cut.bytes + Buffer.byteLength(oldest.text) }
        }
      }
      for (const listener of listeners) listener(kept)
    },
    kept: () => ({ first: [...first], cut, last: [...last] }),
    follow(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
