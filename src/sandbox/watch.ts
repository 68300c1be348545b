import { readFileSync } from 'node:fs'
import type { ProcessSample } from './launched.ts'

/** Linux reports CPU time in ticks of 1/100 s on every architecture Node runs on. */
const tickMs = 10

/** What a process uses right now, all its threads; undefined when it is gone or the system has no /proc. */
export function sampleProcess(pid: number): ProcessSample | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th word after it.
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const kibibytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
    return { cpuMs: (Number(words[11]) + Number(words[12])) * tickMs, memoryBytes: (kibibytes('RssAnon') + kibibytes('RssShmem')) * 1_024 }
  } catch {
    return undefined
  }
}
