import { type Clock, type Logger, toMeshError, utf8 } from '../base/index.ts'
import type { AskedRecords } from './asked-records.ts'

/** Output kept of one task; of more the oldest is left out, which the log says. Source: task/v1 section 9. */
export const taskLogBytesMax = 1 << 20
/** Of one line of output, UTF-16 units; the rest is left out, which the line says. */
export const taskLogLineCharsMax = 16 * 1024
/** Written at a time. */
const pieceBytes = 32 * 1024
/** Output is on its way to the disk after this long. */
const flushMs = 250

export interface LogLine {
  /** From 1, over all the task printed. */
  readonly n: number
  readonly at: number
  readonly level: string
  readonly text: string
}

/** What of a log is no longer there. */
export interface LogCut {
  readonly lines: number
  readonly bytes: number
}

/** The output of one task as it comes. */
export interface TaskLog {
  add(line: LogLine): void
  /** Resolves when all that was added is kept. Never throws: output that cannot be kept is no reason to lose the task. */
  flush(): Promise<void>
}

export interface TaskLogOptions {
  readonly records: Pick<AskedRecords, 'keepLog' | 'log'>
  readonly id: Uint8Array
  readonly clock: Clock
  readonly logger: Logger
}

interface Piece {
  readonly number: number
  readonly bytes: number
  readonly lines: number
}
interface Head {
  readonly cutLines: number
  readonly cutBytes: number
}

/** Goes on behind what is kept of the task already. */
export async function openTaskLog({ records, id, clock, logger }: TaskLogOptions): Promise<TaskLog> {
  const pieces: Piece[] = []
  let cut: Head = { cutLines: 0, cutBytes: 0 }
  for await (const [number, text] of records.log(id)) {
    const { head, lines } = split(text)
    pieces.push({ number, bytes: utf8(text).length, lines: lines.length })
    cut = head
  }
  let next = (pieces.at(-1)?.number ?? -1) + 1
  let kept = pieces.reduce((sum, { bytes }) => sum + bytes, 0)
  let waiting: string[] = []
  let waitingBytes = 0
  let stopTimer: (() => void) | undefined
  let writing: Promise<void> = Promise.resolve()

  function flush(): Promise<void> {
    stopTimer?.()
    stopTimer = undefined
    if (waiting.length === 0) return writing
    const [number, lines] = [next++, waiting]
    pieces.push({ number, bytes: waitingBytes, lines: lines.length })
    kept += waitingBytes
    waiting = []
    waitingBytes = 0
    const drop: number[] = []
    for (let oldest = pieces[0]; kept > taskLogBytesMax && oldest !== undefined && pieces.length > 1; oldest = pieces[0]) {
      pieces.shift()
      drop.push(oldest.number)
      kept -= oldest.bytes
      cut = { cutLines: cut.cutLines + oldest.lines, cutBytes: cut.cutBytes + oldest.bytes }
    }
    // The newest piece knows all that was cut.
    const text = [JSON.stringify(cut), ...lines].join('\n')
    writing = writing
      .then(() => records.keepLog(id, number, text, drop))
      .catch((error: unknown) => logger.warn('output of a task was not kept', { code: toMeshError(error).code }))
    return writing
  }
  return {
    add({ n, at, level, text }) {
      const left = text.length - taskLogLineCharsMax
      const line = JSON.stringify({ n, at, level, text: left > 0 ? `${text.slice(0, taskLogLineCharsMax)} … ${left} more` : text })
      waiting.push(line)
      waitingBytes += utf8(line).length
      if (waitingBytes >= pieceBytes) void flush()
      else stopTimer ??= clock.after(flushMs, () => void flush())
    },
    flush,
  }
}

/** A kept log: its lines, and what was cut before the first. */
export async function readTaskLog(records: Pick<AskedRecords, 'log'>, id: Uint8Array): Promise<{ readonly cut: LogCut; readonly lines: readonly LogLine[] }> {
  let cut: LogCut = { lines: 0, bytes: 0 }
  const all: LogLine[] = []
  for await (const [, text] of records.log(id)) {
    const { head, lines } = split(text)
    cut = { lines: head.cutLines, bytes: head.cutBytes }
    for (const line of lines) all.push(JSON.parse(line) as LogLine)
  }
  return { cut, lines: all }
}

function split(text: string): { readonly head: Head; readonly lines: readonly string[] } {
  const [head = '{"cutLines":0,"cutBytes":0}', ...lines] = text.split('\n')
  return { head: JSON.parse(head) as Head, lines }
}
