import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findProgram } from '../../../src/sandbox/programs.ts'
import type { Canaries } from './canaries.ts'

/** Why the probe cannot be made here; undefined when it can. */
export const probeLacks: string | undefined =
  process.platform !== 'linux' ? 'not Linux' : findProgram('gcc') === undefined ? 'gcc is not installed' : process.getuid?.() === 0 ? undefined : 'not root'

export interface BuiltProbe {
  readonly path: string
  remove(): Promise<void>
}

/** Compiles probe.c into one file that needs nothing of the system it runs in. */
export async function buildProbe(): Promise<BuiltProbe> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-probe-'))
  const path = join(folder, 'probe')
  await promisify(execFile)('gcc', ['-O1', '-static', '-s', '-o', path, fileURLToPath(new URL('probe.c', import.meta.url)), '-lrt'])
  await chmod(folder, 0o755)
  return { path, remove: () => rm(folder, { recursive: true, force: true }) }
}

export interface Attempt {
  readonly name: string
  /** A wall gave way, as the attempt itself saw it. */
  readonly passed: boolean
  /** It holds the secret, or the canaries saw it arrive. */
  readonly reachedHost: boolean
  readonly saw: string
}

/** What a probe printed, judged by what the canaries know. @throws when it did not come to its end */
export async function judge(printed: string, canaries: Canaries): Promise<readonly Attempt[]> {
  const lines = printed.split('\n').filter((line) => line !== '')
  if (lines.pop() !== 'end') throw new Error(`the probe broke off after: ${printed.slice(-400)}`)
  const arrived = await canaries.reached()
  return lines.map((line) => {
    const [verdict, name = '', ...words] = line.split(' ')
    const saw = words.join(' ')
    return { name, passed: verdict === '!', reachedHost: saw.includes(canaries.token) || arrived.includes(name), saw: saw.slice(0, 200) }
  })
}
