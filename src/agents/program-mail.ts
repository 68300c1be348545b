import { type Logger, MeshError, toMeshError } from '../base/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { codec, row, textUpTo, uintUpTo } from '../wire/index.ts'
import type { Inbox } from './inbox.ts'
import type { Message } from './message.ts'
import type { Program } from './program.ts'

/** How often a message is handed to an agent that ends over it. Source: sandbox/v1 section 9. */
export const programTriesMax = 3
const placeCodec = codec('place in the inbox', row({ place: textUpTo(16), tries: uintUpTo(programTriesMax) }), 64)

export interface ProgramMailOptions {
  readonly name: string
  readonly inbox: Pick<Inbox, 'from'>
  readonly store: Store
  readonly program: Pick<Program, 'deliver' | 'state'>
  readonly logger: Logger
  /** Whether a message in the inbox is for this agent, and as it is handed in. */
  read(message: Message): { readonly from: string; readonly text: string } | undefined
  onLine(level: string, text: string): void
}

/**
 * What was sent to an agent, not asked: it lies in the inbox and is handed in one after the other, in the order of its arrival.
 * Each is handed in until the agent is done with it, also over restarts of agent and node; twice when the power fails in between.
 */
export interface ProgramMail {
  /** There is something in the inbox, or the agent can take something. */
  wake(): void
  stop(): Promise<void>
}

/** The write that makes an agent begin with what comes from now on. */
export const beginMail = (store: Store, name: string, place: string): readonly StoreOp[] => store.qualify([put(name, placeCodec.encode({ place, tries: 0 }))])
export const endMail = (store: Store, name: string): readonly StoreOp[] => store.qualify([del(name)])

export function createProgramMail({ name, inbox, store, program, logger, read, onLine }: ProgramMailOptions): ProgramMail {
  const stopping = new AbortController()
  let place: string | undefined
  let tries = 0
  let isAwake = false
  let again = false
  let working: Promise<void> = Promise.resolve()

  const keep = (): StoreOp => put(name, placeCodec.encode({ place: place ?? '', tries }))

  /** Everything there is; ends when the agent takes nothing more. */
  async function work(): Promise<void> {
    if (place === undefined) {
      const kept = await store.get(name)
      ;({ place, tries } = kept === undefined ? { place: '', tries: 0 } : placeCodec.decode(kept))
    }
    for await (const [next, message] of inbox.from(place)) {
      if (stopping.signal.aborted || program.state().status !== 'running') return
      const found = read(message)
      if (found !== undefined && !(await hand(found))) return
      place = next
      if (found === undefined) continue
      tries = 0
      await store.durable([keep()])
    }
  }
  /** Whether the agent is done with it. */
  async function hand({ from, text }: { readonly from: string; readonly text: string }): Promise<boolean> {
    if (tries >= programTriesMax) {
      onLine('node', `a message was given up: the agent ended over it ${tries} times`)
      return true
    }
    tries++
    // Counted before: it may take the node with it.
    await store.batch([keep()])
    try {
      await program.deliver({ from, message: text, isKept: true }, stopping.signal)
    } catch (error) {
      const { code } = toMeshError(error)
      const isStopped = stopping.signal.aborted || program.state().status === 'stopped'
      // That it was stopped is no fault of the message; what threw or took too long is done with it.
      if (isStopped) {
        tries--
        await store.batch([keep()])
      }
      if (isStopped || code === 'ERR_AGENT_DOWN') return false
    }
    return true
  }
  async function workOff(): Promise<void> {
    try {
      do {
        again = false
        await work()
      } while (again && !stopping.signal.aborted)
    } catch (error) {
      logger.error('messages of an agent wait', { name, code: toMeshError(error).code })
    } finally {
      isAwake = false
    }
  }
  return {
    wake() {
      again = true
      if (isAwake || stopping.signal.aborted) return
      isAwake = true
      working = workOff()
    },
    async stop() {
      stopping.abort(new MeshError('ERR_STOPPED', 'the node stops'))
      await working
    },
  }
}
