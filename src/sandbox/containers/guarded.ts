import { spawn } from 'node:child_process'
import { closeSync, rmSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import type { Launched } from '../launched.ts'
import { collect } from '../launched-child.ts'
import { type Cgroup, processTree, sampleTree } from './cgroup.ts'

/** Descriptors a program may have open. */
export const containerOpenFilesMax = 512

export interface GuardedOptions {
  /** Program and arguments: what becomes the container. */
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly cgroup: Cgroup | undefined
  /** Removed with everything in it when the container is gone. */
  readonly folder?: string
  /** Written to descriptor 3 of the command. */
  readonly seccomp?: Uint8Array
  /** Given to the command from descriptor 6 on, and closed here. */
  readonly descriptors?: readonly number[]
  /** Run by the guard before it clears up, where a daemon holds the container. */
  readonly stop?: readonly string[]
}

export const seccompDescriptor = 3
const lifelineDescriptor = 4
const guardDescriptor = 5

/** Rounds of the guard, a hundredth of a second each and more, before it gives a group up that cannot be killed. */
const guardRoundsMax = 1_000

/**
 * Joins the control group and becomes the container, beside a guard outside of it that waits until the node lets go of the lifeline, alive or dead,
 * and then kills whatever is left, removes the group and the folder. Without a group the guard kills the process group, itself with it.
 */
const startScript = `
ulimit -c 0; ulimit -n ${containerOpenFilesMax}
folder=$1 joined=$2 all=$3 stop=$4; shift 4
(
  exec </dev/null >/dev/null 2>&1 ${seccompDescriptor}<&-
  read -r _ <&${lifelineDescriptor}
  [ -z "$stop" ] || eval "$stop"
  if [ -z "$all" ]; then [ -z "$folder" ] || rm -rf "$folder"; kill -9 -$$; exit; fi
  rounds=0
  while [ $rounds -lt ${guardRoundsMax} ]; do
    left= rounds=$((rounds + 1))
    for group in $all; do
      [ -d "$group" ] || continue
      [ ! -e "$group/pids.max" ] || echo 0 >"$group/pids.max"
      [ ! -e "$group/cgroup.kill" ] || echo 1 >"$group/cgroup.kill"
      for pid in $(cat "$group/cgroup.procs" "$group"/*/cgroup.procs); do kill -9 "$pid"; done
      [ ! -e "$group/freezer.state" ] || echo THAWED >"$group/freezer.state"
      rmdir "$group"/*/ "$group"
      [ ! -d "$group" ] || left=1
    done
    [ -n "$left" ] || break
    sleep 0.01
  done
  [ -z "$folder" ] || rm -rf "$folder"
) &
for group in $joined; do echo $$ >"$group/cgroup.procs" || exit 125; done
exec "$@" ${lifelineDescriptor}<&- ${guardDescriptor}<&-`

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

interface Handle {
  readonly destroyed?: boolean
  ref?(): void
  unref?(): void
}

/** Starts a container that leaves nothing behind, whoever dies first. */
export function startGuarded({ command, environment = {}, cgroup, folder = '', seccomp, descriptors = [], stop = [] }: GuardedOptions): Launched {
  const groups = [(cgroup?.joined ?? []).join(' '), (cgroup?.all ?? []).join(' ')]
  const stopCommand = stop.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  try {
    cgroup?.make()
    const child = spawn('/bin/sh', ['-c', startScript, 'sh', folder, ...groups, stopCommand, ...command], {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', ...descriptors],
      env: { PATH: path, ...environment },
      cwd: '/',
      // A session and a process group of its own.
      detached: true,
    })
    const [input, output, errors, seccompPipe, lifeline, guard] = child.stdio as unknown as readonly [
      Writable,
      Readable,
      Readable,
      Writable,
      Writable,
      Readable,
    ]
    for (const stream of [input, output, errors, seccompPipe, lifeline, guard]) stream.on('error', () => undefined)
    seccompPipe.end(seccomp)
    guard.resume()
    const said = collect(errors)
    let isOutOfMemory = false
    const noteMemory = (): void => void (isOutOfMemory ||= cgroup?.ranOutOfMemory() === true)
    const closed = Promise.all([
      new Promise<void>((resolve) => {
        child.once('error', () => resolve())
        child.once('close', () => resolve())
      }),
      new Promise<void>((resolve) => void guard.once('close', () => resolve())),
    ]).then(() => {
      cgroup?.remove()
      if (folder !== '') rmSync(folder, { recursive: true, force: true })
    })
    child.once('exit', () => {
      noteMemory()
      lifeline.destroy()
    })
    child.once('error', () => [lifeline, guard].forEach((stream) => stream.destroy()))
    for (const handle of [lifeline, seccompPipe] as readonly Handle[]) handle.unref?.()
    const { pid } = child
    const signal = (name: NodeJS.Signals): void => {
      for (const each of pid === undefined ? [] : processTree(pid)) killOne(each, name)
    }
    const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null || pid === undefined
    return {
      input,
      output,
      said: () => (isOutOfMemory ? `out of memory: killed by the kernel\n${said()}` : said()),
      closed,
      sample: () => (isOver() ? undefined : (cgroup?.sample() ?? (pid === undefined ? undefined : sampleTree(pid)))),
      ...(cgroup === undefined ? {} : { limit: async (limits) => cgroup.limit(limits) }),
      kill() {
        if (cgroup === undefined) {
          if (pid !== undefined) killOne(-pid, 'SIGKILL')
        } else {
          cgroup.kill()
          if (pid !== undefined && !isOver()) killOne(pid, 'SIGKILL')
        }
        lifeline.destroy()
      },
      freeze: () => (cgroup === undefined ? signal('SIGSTOP') : cgroup.freeze()),
      thaw: () => (cgroup === undefined ? signal('SIGCONT') : cgroup.thaw()),
      hold(busy) {
        for (const handle of [child, input, output, errors, guard] as readonly Handle[]) {
          if (busy && handle.destroyed !== true) handle.ref?.()
          else handle.unref?.()
        }
      },
    }
  } catch (error) {
    cgroup?.remove()
    if (folder !== '') rmSync(folder, { recursive: true, force: true })
    throw error
  } finally {
    descriptors.forEach((descriptor) => closeSync(descriptor))
  }
}

function killOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
