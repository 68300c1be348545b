import type { ChildProcess } from 'node:child_process'
import type { Readable } from 'node:stream'
import type { Launched } from './launched.ts'
import { unavailable } from './programs.ts'
import { sampleProcess } from './watch.ts'

/** The rest of what a guest says on stderr is thrown away. */
const saidCharsMax = 4 << 10

/** What a child and the sockets of its pipes have in common. */
interface Handle {
  readonly destroyed?: boolean
  ref(): void
  unref(): void
}

export interface ChildOptions {
  /** Name of the back end, for errors. */
  readonly name: string
  /** The process that holds the guest, as the node sees it; the child itself when missing, never known when it resolves to undefined. */
  readonly guestPid?: Promise<number | undefined>
  limit?(pid: number, limits: Parameters<NonNullable<Launched['limit']>>[0]): Promise<void>
}

/**
 * A guest that is one process in a child's process group: frames on its stdin and stdout.
 * The child must have been started `detached`, with pipes for all three.
 * @throws ERR_SANDBOX_UNAVAILABLE when it cannot be started
 */
export async function launchedFromChild(child: ChildProcess, { name, guestPid, limit }: ChildOptions): Promise<Launched> {
  const said = collect(child.stderr)
  const closed = Promise.withResolvers<void>()
  let isClosed = false
  const end = (): void => {
    isClosed = true
    closed.resolve()
  }
  child.on('close', end)
  const failed = new Promise<never>((_, reject) =>
    child.on('error', (error) => {
      end()
      reject(unavailable(`${name}: ${error.message}`))
    }),
  )
  failed.catch(() => undefined)
  const { stdin, stdout } = child
  if (stdin === null || stdout === null) throw unavailable(`${name}: no pipes to it`)
  stdin.on('error', () => undefined)
  const pid = guestPid === undefined ? child.pid : await Promise.race([guestPid, failed])

  const signal = (name: NodeJS.Signals): void => {
    if (pid === undefined || isClosed) return
    try {
      process.kill(pid, name)
    } catch {
      // It is gone.
    }
  }
  return {
    input: stdin,
    output: stdout,
    said,
    closed: closed.promise,
    sample: () => (pid === undefined || isClosed ? undefined : sampleProcess(pid)),
    ...(limit === undefined || pid === undefined ? {} : { limit: (limits) => limit(pid, limits) }),
    kill() {
      killGroup(child)
    },
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    hold(busy) {
      for (const handle of [child, stdin, stdout, child.stderr] as readonly (Handle | null)[]) {
        if (busy && handle?.destroyed !== true) handle?.ref()
        else handle?.unref()
      }
    },
  }
}

/** Reads on from the start: what a child says right before it ends would be lost otherwise. */
export function collect(stream: Readable | null): () => string {
  let text = ''
  stream?.on('data', (chunk: Uint8Array) => (text = (text + Buffer.from(chunk).toString()).slice(0, saidCharsMax)))
  stream?.on('error', () => undefined)
  return () => text
}

/** Kills a child and all in its process group, whatever state its start is in. */
export function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}
