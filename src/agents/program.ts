import { type Clock, type ErrorCode, minuteMs, MeshError, type Random, secondMs, toMeshError } from '../base/index.ts'
import type { HostAnswer, RunControl, SandboxEvent, SandboxOutcome, SandboxUsage } from '../sandbox/index.ts'

/** Messages one agent program has in hand at once. Source: sandbox/v1 section 9. */
export const programMessagesAtOnceMax = 8
/** Messages that wait for one agent program; more are refused with a time to come back. */
export const programMessagesWaitingMax = 64
/** Of these, of one sender. */
export const programMessagesPerSenderMax = 16
/** So long a message waits for an agent that is not there. */
export const programPatienceMsMax = minuteMs
/** Wait before a program is started again: doubled with each end that came soon, up to the most. */
export const programRestartDelayMsMin = secondMs / 2
export const programRestartDelayMsMax = minuteMs
/** A program that lived so long begins anew with the shortest wait. */
export const programLifeMsMin = minuteMs
/** Ends in a row, each soon and by itself, after which a program is not started again. */
export const programEndsMax = 5
const retryAfterMs = secondMs
/** Ends of which the next would be the same. */
const hopeless: ReadonlySet<ErrorCode> = new Set(['ERR_SANDBOX_CODE', 'ERR_SANDBOX_PERMISSION', 'ERR_AGENT_CODE', 'ERR_USAGE'])
const untiring = new AbortController().signal

/** `waiting`: to be started again. `failed`: given up, until somebody starts it. */
export type ProgramStatus = 'starting' | 'running' | 'waiting' | 'failed' | 'stopped'

export interface ProgramState {
  readonly status: ProgramStatus
  /** Since the node started, as everything here. */
  readonly restarts: number
  /** Messages answered, and messages that failed. */
  readonly handled: number
  readonly failed: number
  /** Messages with the program, and those that wait. */
  readonly inHand: number
  readonly waiting: number
  /** Of its present life, or of the last. */
  readonly usage: Pick<SandboxUsage, 'cpuMs' | 'memoryBytes'>
  readonly lastError: { readonly code: ErrorCode; readonly message: string; readonly at: number } | undefined
}

/** One life of a program in its sandbox. */
export interface Life {
  readonly signal: AbortSignal
  readonly onControl: (control: RunControl) => void
}

export interface ProgramOptions {
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  /** Starts it in a guest of its own. Errors end this life. */
  live(life: Life): AsyncIterable<SandboxEvent>
  /** Something it printed, or something to be said of it. */
  onLine(level: string, text: string): void
  /** It came to be in another state. */
  onChange(): void
}

export interface Handed {
  /** Whose turn it is. */
  readonly from: string
  /** JSON text. */
  readonly message: string
  /** Somebody waits for room with it: no limit of waiting messages refuses it. */
  readonly isKept?: boolean
}

/** An agent as a program: started, started again, and handed its messages. */
export interface Program {
  state(): ProgramState
  /**
   * The program's answer as JSON text. Waits for a program that is being started again.
   * @throws ERR_OVERLOADED with a time to come back, ERR_AGENT_DOWN, ERR_AGENT_FAILED when it threw, ERR_TIMEOUT, the signal's reason
   */
  deliver(handed: Handed, signal: AbortSignal): Promise<string>
  /** Resolves when it receives, waits to be started again, has failed or is stopped. */
  begun(signal: AbortSignal): Promise<void>
  /** Does nothing while it lives. */
  start(): void
  /** Resolves when nothing of it is left. */
  stop(): Promise<void>
}

type Refused = Extract<HostAnswer, { ok: false }>

interface Waiting extends Handed {
  answer(given: HostAnswer): void
}

export function createProgram({ name, clock, random, live, onLine, onChange }: ProgramOptions): Program {
  let status: ProgramStatus = 'stopped'
  let [restarts, handled, failed, ends, delays] = [0, 0, 0, 0, 0]
  let lastError: ProgramState['lastError']
  let lastUsage: ProgramState['usage'] = { cpuMs: 0, memoryBytes: 0 }
  let control: RunControl | undefined
  let stopping = new AbortController()
  let ended: Promise<void> = Promise.resolve()
  const watching: (() => void)[] = []
  const waiting: Waiting[] = []
  const inHand = new Map<Promise<HostAnswer>, Waiting>()
  /** Messages that the present life took with it when it ended. */
  let lost = 0

  function become(next: ProgramStatus): void {
    if (status === next) return
    status = next
    onChange()
    if (status !== 'starting') for (const resolve of watching.splice(0)) resolve()
  }
  function note(code: ErrorCode, message: string): void {
    lastError = { code, message: message.slice(0, 300), at: clock.now() }
    onLine('node', `${message} (${code})`)
  }
  const down = (why: string): Refused => ({ ok: false, code: 'ERR_AGENT_DOWN', message: `agent ${name} ${why}` })

  /** The next in line, those of whoever has least in hand first. */
  function next(): Waiting | undefined {
    const held = (from: string): number => [...inHand.values()].filter((other) => other.from === from).length
    const least = Math.min(...waiting.map(({ from }) => held(from)))
    const index = waiting.findIndex(({ from }) => held(from) === least)
    return index < 0 ? undefined : waiting.splice(index, 1)[0]
  }
  function handOut(): void {
    while (status === 'running' && control !== undefined && inHand.size < programMessagesAtOnceMax) {
      const message = next()
      if (message === undefined) return
      // Not the asker's signal: a message stays in hand until the guest is done with it, whoever still waits.
      const answered = control.deliver(message.message, untiring)
      inHand.set(answered, message)
      void answered.then((answer) => {
        inHand.delete(answered)
        if (answer.ok) handled++
        else failed++
        if (!answer.ok && answer.code === 'ERR_AGENT_DOWN') lost++
        if (!answer.ok && answer.code === 'ERR_AGENT_FAILED') note(answer.code, `a message failed: ${answer.message}`)
        else if (!answer.ok && answer.code === 'ERR_TIMEOUT') note(answer.code, 'a message was not answered within its time')
        message.answer(answer)
        handOut()
      })
    }
  }

  /** One life: how it ended, and whether it had a message in hand then. */
  async function liveOnce(signal: AbortSignal): Promise<{ readonly outcome: SandboxOutcome | MeshError; readonly wasBusy: boolean }> {
    let own: RunControl | undefined
    let outcome: SandboxOutcome | MeshError = new MeshError('ERR_SANDBOX_CRASHED', 'the sandbox gave no outcome')
    lost = 0
    try {
      for await (const event of live({ signal, onControl: (given) => (own = given) })) {
        if (event.type === 'console') onLine(event.level, event.text)
        else if (event.type === 'receiving' && !signal.aborted) {
          control = own
          become('running')
          handOut()
        } else if (event.type !== 'progress' && event.type !== 'receiving') outcome = event
      }
    } catch (error) {
      outcome = toMeshError(error)
    }
    control = undefined
    if ('usage' in outcome) lastUsage = outcome.usage
    await Promise.all(inHand.keys())
    return { outcome, wasBusy: lost > 0 }
  }
  /** Lives until it is stopped, or has failed for good. */
  async function liveOn(signal: AbortSignal): Promise<void> {
    for (;;) {
      become('starting')
      const bornAtMs = clock.monotonic()
      const { outcome, wasBusy } = await liveOnce(signal)
      if (signal.aborted) return
      const { code, message } = causeOf(outcome)
      note(code, message)
      const isSoon = clock.monotonic() - bornAtMs < programLifeMsMin
      // What falls over a message may have been tripped by a stranger, who must not put it out of service for good.
      if (!isSoon || wasBusy) ends = 0
      else ends++
      delays = isSoon ? delays + 1 : 1
      if (ends >= programEndsMax || hopeless.has(code)) {
        const why = hopeless.has(code) ? 'it would end so each time' : `it ended ${ends} times in a row, each within ${programLifeMsMin / secondMs} s`
        onLine('node', `given up: ${why}`)
        become('failed')
        for (const { answer } of waiting.splice(0)) answer(down('has failed'))
        return
      }
      restarts++
      become('waiting')
      const most = Math.min(programRestartDelayMsMax, programRestartDelayMsMin * 2 ** Math.min(delays - 1, 16))
      // Half of it by lot, so that what fell together does not rise together.
      await clock.sleep(Math.round(most * (0.5 + random.fraction() / 2)), { signal }).catch(() => undefined)
      if (signal.aborted) return
    }
  }

  return {
    state: () => ({
      status,
      restarts,
      handled,
      failed,
      inHand: inHand.size,
      waiting: waiting.length,
      usage: control?.usage() ?? lastUsage,
      lastError,
    }),
    async deliver({ from, message, isKept = false }, signal) {
      signal.throwIfAborted()
      if (status === 'failed' || status === 'stopped') throw errorOf(name, down(status === 'failed' ? 'has failed' : 'is stopped'))
      const isFull = waiting.length >= programMessagesWaitingMax || waiting.filter((other) => other.from === from).length >= programMessagesPerSenderMax
      if (isFull && !isKept) throw new MeshError('ERR_OVERLOADED', `too many messages wait for agent ${name}`, { details: { retryAfterMs } })
      const answer = await new Promise<HostAnswer>((resolve, reject) => {
        const leave = (): void => {
          const index = waiting.indexOf(entry)
          if (index >= 0) waiting.splice(index, 1)
        }
        const onAbort = (): void => {
          leave()
          reject(signal.reason as Error)
        }
        const stopWaiting = isKept
          ? undefined
          : clock.after(programPatienceMsMax, () => {
              if (!waiting.includes(entry)) return
              leave()
              entry.answer(down('did not come back in time'))
            })
        const entry: Waiting = {
          from,
          message,
          answer(given) {
            stopWaiting?.()
            signal.removeEventListener('abort', onAbort)
            resolve(given)
          },
        }
        signal.addEventListener('abort', onAbort, { once: true })
        waiting.push(entry)
        handOut()
      })
      if (!answer.ok) throw errorOf(name, answer)
      return answer.value
    },
    async begun(signal) {
      while (status === 'starting') {
        await new Promise<void>((resolve, reject) => {
          watching.push(resolve)
          signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
        })
      }
    },
    start() {
      if (status !== 'stopped' && status !== 'failed') return
      stopping = new AbortController()
      ends = 0
      delays = 0
      const { signal } = stopping
      const before = ended
      status = 'starting'
      ended = before.then(() => liveOn(signal))
    },
    async stop() {
      stopping.abort(new MeshError('ERR_STOPPED', `agent ${name} is stopped`))
      become('stopped')
      for (const { answer } of waiting.splice(0)) answer(down('is stopped'))
      await ended
    },
  }
}

function causeOf(outcome: SandboxOutcome | MeshError): { readonly code: ErrorCode; readonly message: string } {
  if (outcome instanceof MeshError) return outcome
  if (outcome.type === 'failed') return outcome
  return outcome.type === 'done' ? { code: 'ERR_AGENT_DOWN', message: 'it ended by itself: an agent calls agent.receive and lives on' } : neverEnded
}
const neverEnded = { code: 'ERR_SANDBOX_CRASHED', message: 'the sandbox gave no outcome' } as const

/** What whoever asked is told. Texts of the program stay here: it may have put into them what only its operator may read. */
function errorOf(name: string, answer: Refused): MeshError {
  if (answer.code === 'ERR_AGENT_FAILED') return new MeshError('ERR_AGENT_FAILED', `agent ${name} failed`)
  if (answer.code === 'ERR_AGENT_DOWN') return new MeshError('ERR_AGENT_DOWN', answer.message, { details: { retryAfterMs } })
  return new MeshError(answer.code, answer.message)
}
