import { readFileSync } from 'node:fs'
import type { ProcessSample } from './launched.ts'

/** Linux reports CPU time in ticks of 1/100 s on every architecture Node runs on. */
const tickMs = 10

/** What a process uses right now, all its threads, and on request the processor time of children it has waited for; undefined when it is gone or the system has no /proc. */
export function sampleProcess(pid: number, withChildren = false): ProcessSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    // The name in parentheses may hold anything; utime, stime, cutime and cstime are the 12th to 15th word after it.
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
    return {
      cpuMs: words.slice(11, withChildren ? 15 : 13).reduce((sum, ticks) => sum + Number(ticks), 0) * tickMs,
      memoryBytes: (kibibytes('RssAnon') + kibibytes('RssShmem')) * 1_024,
    }
  } catch {
    return undefined
  }
}
