/** Runs programs inside a container or a machine: the engine `command`, and the host call `spawn`. Loaded by the worker. */
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { release } from 'node:os'
import { StringDecoder } from 'node:string_decoder'
import type { WorkerTask } from './frames.ts'

/** Program and arguments of one command, together with the code limit of every engine. Source: sandbox/v1 section 3.3. */
export const commandWordsMax = 256
/** Of what a program wrote, the start of each stream that its result repeats, characters. Source: sandbox/v1 section 3.3. */
export const commandResultCharsMax = 64 << 10
/** What a program started by `spawn` may write to each stream; then it is ended. Source: sandbox/v1 section 5.7. */
export const spawnOutputBytesMax = 1 << 20
/** A line this long is passed on before it ends. */
const lineCharsMax = 4 << 10
/** What programs of the image find. Source: sandbox/v1 section 3.3. */
const environment = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/work', LANG: 'C.UTF-8', TMPDIR: '/tmp' }
const workFolder = '/work'
/** From the end of the program to the end of its streams, which a child it left behind may hold open. */
const drainMs = 200

export interface CommandResult {
  /** Null when a signal ended it. */
  readonly exitCode: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** Program and arguments; undefined when this is not a command. */
export function parseCommand(code: string): readonly string[] | undefined {
  try {
    const words: unknown = JSON.parse(code)
    const isCommand = Array.isArray(words) && words.length > 0 && words.length <= commandWordsMax && words.every((word) => isWord(word)) && words[0] !== ''
    return isCommand ? (words as readonly string[]) : undefined
  } catch {
    return undefined
  }
}

const isWord = (word: unknown): boolean => typeof word === 'string' && !word.includes('\0')

export interface CommandHooks {
  /** Whole lines where there are any, without the last line end. */
  readonly onText: (stream: 'stdout' | 'stderr', text: string) => void
  /** Calls once after so many milliseconds. */
  readonly after: (ms: number, fn: () => void) => void
}

/** Runs it to its end. Never rejects: a program that does not start exits with 127, as in a shell. */
export function runCommand(
  words: readonly string[],
  { input, processes }: Pick<WorkerTask, 'input' | 'processes'>,
  { onText, after }: CommandHooks,
): Promise<CommandResult> {
  const script = `${processLimit(processes)}exec "$@"`
  // A group of its own: a signal to the group does not reach the worker.
  const child = spawn('/bin/sh', ['-c', script, 'sh', ...words], { cwd: workFolder, env: environment, detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => undefined)
  child.stdin.end(stdinOf(input))
  const stdout = new Collector((text) => onText('stdout', text))
  const stderr = new Collector((text) => onText('stderr', text))
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  return new Promise((resolve) => {
    let isOver = false
    const finish = (exitCode: number | null, signal: string | null): void => {
      if (isOver) return
      isOver = true
      resolve({ exitCode, signal, stdout: stdout.end(), stderr: stderr.end() })
    }
    child.once('error', () => finish(127, null))
    child.once('close', finish)
    child.once('exit', (exitCode, signal) => after(drainMs, () => finish(exitCode, signal)))
  })
}

/** What the node answered to `spawn`: it let this program start. */
export interface SpawnOrder {
  readonly argv: readonly string[]
  readonly stdin: string
}

/** Runs a program to its end while all else of the task waits. Never throws: one that does not start exits with 127. Source: sandbox/v1 section 5.7. */
export function runSpawned({ argv, stdin }: SpawnOrder, processes: number): CommandResult {
  const script = `${processLimit(processes)}exec "$@"`
  const { status, signal, stdout, stderr, error } = spawnSync('/bin/sh', ['-c', script, 'sh', ...argv], {
    cwd: workFolder,
    env: environment,
    input: stdin,
    maxBuffer: spawnOutputBytesMax,
  })
  const start = (bytes: Buffer | null): string => (bytes?.toString() ?? '').slice(0, commandResultCharsMax)
  return { exitCode: error !== undefined && signal === null ? 127 : status, signal, stdout: start(stdout), stderr: start(stderr) }
}

/** JSON of at most so many bytes where that can be: what it repeats of the streams is cut until it fits. */
export function resultText(result: CommandResult, bytesMax: number): string {
  const { exitCode, signal } = result
  const text = JSON.stringify(result)
  if (Buffer.byteLength(text) <= bytesMax || result.stdout + result.stderr === '') return text
  const [stdout = '', stderr = ''] = [result.stdout, result.stderr].map((stream) => stream.slice(0, Math.floor(stream.length / 2)))
  return resultText({ exitCode, signal, stdout, stderr }, bytesMax)
}

/** A text is stdin as it is, null is none, anything else is its JSON. */
function stdinOf(input: string): string {
  const value: unknown = JSON.parse(input)
  return typeof value === 'string' ? value : value === null ? '' : input
}

/** A floor where there is no control group: since Linux 5.14 the kernel counts a user's processes in each user name space by itself. */
function processLimit(processes: number): string {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  if (major * 1_000 + minor < 5_014) return ''
  const ownThreads = readdirSync('/proc/self/task').length
  return `ulimit -u ${ownThreads + processes} 2>/dev/null; `
}

/** Cuts a stream into lines, and keeps its start. */
class Collector {
  readonly #onText: (text: string) => void
  readonly #decoder = new StringDecoder('utf8')
  #open = ''
  #start = ''

  constructor(onText: (text: string) => void) {
    this.#onText = onText
  }

  push(chunk: Buffer): void {
    this.#take(this.#decoder.write(chunk))
  }

  /** The start of all there was. */
  end(): string {
    this.#take(this.#decoder.end())
    if (this.#open !== '') this.#onText(this.#open)
    this.#open = ''
    return this.#start
  }

  #take(text: string): void {
    if (this.#start.length < commandResultCharsMax) this.#start = (this.#start + text).slice(0, commandResultCharsMax)
    this.#open += text
    const lineEnd = this.#open.lastIndexOf('\n')
    if (lineEnd >= 0) {
      this.#onText(this.#open.slice(0, lineEnd))
      this.#open = this.#open.slice(lineEnd + 1)
    }
    if (this.#open.length < lineCharsMax) return
    this.#onText(this.#open)
    this.#open = ''
  }
}
