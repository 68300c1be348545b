import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import type { Socket } from 'node:net'
import { collect, killGroup } from '../launched-child.ts'
import { droppedUser } from '../programs.ts'
import { sampleProcess } from '../watch.ts'
import type { Machine } from './monitor.ts'

/** Descriptors of a monitor, open when it starts. */
export const channel = { info: 3, lifeline: 4, frames: 5, control: 6, monitor: 7, state: 8 } as const

/** Open files of a monitor. */
const openFilesMax = 128
/** What bubblewrap may say about the process it started. */
const infoBytesMax = 4 << 10

export interface WalledOptions {
  readonly bwrap: string
  /** Arguments of bubblewrap that put things into the sandbox. */
  readonly binds: readonly string[]
  readonly command: readonly string[]
  /** Opened for reading alone. */
  readonly stateFile?: string | undefined
  /** Group of the process, where it needs that of a device. */
  readonly group?: number
}

/**
 * Becomes bubblewrap, beside a watcher that kills the process group when the node is gone. No file can be written, even where one could be opened.
 */
const startScript = `
ulimit -c 0; ulimit -f 0; ulimit -n ${openFilesMax}
(exec </dev/null >/dev/null 2>&1 3>&- 5>&- 6>&- 7>&- 8>&-; read -r _ <&${channel.lifeline}; kill -9 -$$) &
exec "$0" "$@" ${channel.lifeline}>&-`

/** Starts a monitor behind kernel walls: own namespaces, no network, nothing writable, no capabilities. */
export function startWalled({ bwrap, binds, command, stateFile, group }: WalledOptions): Machine & { readonly monitor: Socket } {
  const state = openSync(stateFile ?? '/dev/null', 'r')
  try {
    const child = spawn('/bin/sh', ['-c', startScript, bwrap, ...wallArguments, ...binds, '--remount-ro', '/dev', '--remount-ro', '/', '--', ...command], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', state],
      env: {},
      cwd: '/',
      detached: true,
      ...droppedUser(),
      ...(group === undefined || process.getuid?.() !== 0 ? {} : { gid: group }),
    })
    return machineOf(child)
  } finally {
    closeSync(state)
  }
}

const wallArguments = [
  ...['--unshare-all', '--unshare-user', '--disable-userns', '--die-with-parent', '--new-session', '--as-pid-1', '--cap-drop', 'ALL', '--clearenv'],
  ...['--dev', '/dev', '--chdir', '/', '--info-fd', String(channel.info)],
]

interface Handle {
  readonly destroyed?: boolean
  ref(): void
  unref(): void
}

function machineOf(child: ChildProcess): Machine & { readonly monitor: Socket } {
  const streams = child.stdio as unknown as readonly (Socket | undefined)[]
  const [, output, errors, info, lifeline, frames, control, monitor] = streams
  if (frames === undefined || control === undefined || monitor === undefined) throw new Error('a child without its pipes')
  for (const stream of streams) stream?.on('error', () => undefined)
  const saidByMachine = collect(output ?? null)
  const saidByMonitor = collect(errors ?? null)
  let pid: number | undefined
  let isClosed = false
  let isFrozen = false
  let told = ''
  info?.on('data', (chunk: Uint8Array) => {
    told = (told + Buffer.from(chunk).toString()).slice(0, infoBytesMax)
    const found = /"child-pid": (\d+)/.exec(told)?.[1]
    if (found !== undefined) pid = Number(found)
  })
  const signal = (name: NodeJS.Signals): void => {
    if (pid === undefined || isClosed) return
    try {
      process.kill(pid, name)
    } catch {
      // It is gone.
    }
  }
  const closed = new Promise<void>((resolve) => {
    child.once('close', resolve)
    child.once('error', () => resolve())
  }).then(() => void (isClosed = true))
  child.once('exit', () => [lifeline, monitor, control].forEach((stream) => stream?.destroy()))
  for (const handle of [lifeline, info, monitor]) handle?.unref()
  return {
    frames,
    control,
    monitor,
    said: () => saidByMonitor() + saidByMachine(),
    closed,
    sample() {
      if (isClosed || pid === undefined) return undefined
      return sampleProcess(pid)
    },
    kill() {
      killGroup(child)
      signal('SIGKILL')
    },
    freeze() {
      isFrozen = true
      signal('SIGSTOP')
    },
    thaw() {
      if (isFrozen) signal('SIGCONT')
      isFrozen = false
    },
    hold(busy) {
      for (const handle of [child, output, errors, frames, control] as readonly (Handle | undefined)[]) {
        if (busy && handle?.destroyed !== true) handle?.ref()
        else handle?.unref()
      }
    },
  }
}
