import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const main = fileURLToPath(new URL('../../scripts/run.mjs', import.meta.url))

export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The last line of stdout as JSON. */
  json(): Record<string, unknown>
  /** The last line of stderr as JSON. */
  problem(): { readonly code: string; readonly message: string; readonly hint: string }
}

const lastLine = (text: string): string => text.trimEnd().split('\n').at(-1) ?? ''

/** Runs one command of the real command line in a process of its own. */
export const kindmesh = async (home: string, ...args: readonly string[]): Promise<Finished> => await fed(home, '', ...args)

/** The same with something on its stdin. */
export async function fed(home: string, input: string, ...args: readonly string[]): Promise<Finished> {
  const child = spawn(process.execPath, [main, '--home', home, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  // A command that does not read may be gone already.
  child.stdin.once('error', () => undefined)
  child.stdin.end(input)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return {
    code: code ?? -1,
    stdout,
    stderr,
    json: () => JSON.parse(lastLine(stdout)) as Record<string, unknown>,
    problem: () => JSON.parse(lastLine(stderr)) as { readonly code: string; readonly message: string; readonly hint: string },
  }
}

export interface UpNode {
  readonly home: string
  readonly child: ChildProcess
  readonly did: string
  readonly peerId: string
  readonly addresses: readonly string[]
  readonly api: string
  /** Where the console is; while the node has no owner, the link that makes one. */
  readonly console: string
  readonly ticket: string
  /** Every line since `ready`. */
  readonly events: readonly Record<string, unknown>[]
  run(...args: readonly string[]): Promise<Finished>
  /** Sends a signal and waits for the end. */
  end(signal: 'SIGTERM' | 'SIGKILL' | 'SIGINT'): Promise<number | null>
}

/** Starts `up` in a process of its own and waits until it is ready. */
export async function startUp(home: string, ...args: readonly string[]): Promise<UpNode> {
  const child = spawn(process.execPath, [main, '--home', home, 'up', '--init', '--listen', '/ip4/127.0.0.1/tcp/0', '--jsonl', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const lines = createInterface({ input: child.stdout })
  const events: Record<string, unknown>[] = []
  const ended = once(child, 'exit').then(() => undefined)
  const first = await Promise.race([once(lines, 'line').then(([line]) => String(line)), ended])
  if (first === undefined) throw new Error(`up did not start: ${stderr}`)
  lines.on('line', (line) => events.push(JSON.parse(line) as Record<string, unknown>))
  const { did, peerId, addresses, api, console, ticket } = JSON.parse(first) as UpNode
  return {
    home,
    child,
    did,
    peerId,
    addresses,
    api,
    console,
    ticket,
    events,
    run: (...command) => kindmesh(home, ...command),
    async end(signal) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal)
        await ended
      }
      return child.exitCode
    },
  }
}

/** `up` in a process of its own, line by line. */
export function spawnUp(
  home: string,
  ...args: readonly string[]
): { readonly child: ChildProcess; next(): Promise<Record<string, unknown>>; end(signal: 'SIGTERM'): Promise<void> } {
  const child = spawn(process.execPath, [main, '--home', home, 'up', '--listen', '/ip4/127.0.0.1/tcp/0', '--jsonl', ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    async next() {
      const { value, done } = await lines.next()
      if (done === true) throw new Error('up ended')
      return JSON.parse(value) as Record<string, unknown>
    },
    async end(signal) {
      child.kill(signal)
      await ended
    },
  }
}

/** A folder for profiles and the nodes started in it, all gone at the end. */
export async function createPlayground(): Promise<
  AsyncDisposable & { readonly folder: string; home(name: string): string; up(name: string, ...args: readonly string[]): Promise<UpNode> }
> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-test-'))
  const nodes: UpNode[] = []
  return {
    folder,
    home: (name) => join(folder, name),
    async up(name, ...args) {
      const node = await startUp(join(folder, name), ...args)
      nodes.push(node)
      return node
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node.end('SIGKILL')))
      await rm(folder, { recursive: true, force: true })
    },
  }
}
