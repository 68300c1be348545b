import { MeshError } from '../base/index.ts'
import { frameTypes, hostCallBytesMax, hostCallsInFlightMax, numbered, readNumbered } from './frames.ts'
import type { HostAnswer, HostBridge } from './types.ts'
import type { WorkerProcess } from './worker-process.ts'

export interface GuestCallsOptions {
  readonly worker: WorkerProcess
  readonly host: HostBridge | undefined
  onDenied(detail: string): void
  /** A message is with the guest, or has been answered. */
  onMessage(id: number, isOpen: boolean): void
}

const decoder = new TextDecoder()
const unbridged: HostAnswer = {
  ok: false,
  code: 'ERR_POLICY_DENIED',
  message: 'nothing of the host is granted to this run',
  denied: 'no host calls are granted',
}

/** Calls of one guest to its host, and messages of the host to it. Both ends of every exchange are bounded. */
export class GuestCalls {
  readonly #options: GuestCallsOptions
  readonly #over = new AbortController()
  readonly #replies = new Map<number, (answer: HostAnswer) => void>()
  /** Messages the guest has not answered, whether anybody still waits or not. */
  readonly #handed = new Set<number>()
  #inFlight = 0
  #lastMessage = 0

  constructor(options: GuestCallsOptions) {
    this.#options = options
  }

  /** A frame `call`; what is wrong with it, or undefined. */
  onCall(payload: Uint8Array): string | undefined {
    const got = readNumbered(payload)
    const nameLength = got?.rest[0] ?? 0
    if (got === undefined || nameLength === 0 || got.rest.length < 1 + nameLength || got.rest.length > 1 + nameLength + hostCallBytesMax * 3) {
      return 'unreadable host call'
    }
    if (this.#inFlight >= hostCallsInFlightMax) return 'more host calls at once than a worker makes'
    const name = decoder.decode(got.rest.subarray(1, 1 + nameLength))
    void this.#answer(got.id, name, decoder.decode(got.rest.subarray(1 + nameLength)))
    return undefined
  }

  /** A frame `reply`; what is wrong with it, or undefined. */
  onReply(payload: Uint8Array): string | undefined {
    const got = readNumbered(payload)
    if (got === undefined || got.rest.length < 1) return 'unreadable reply'
    const text = decoder.decode(got.rest.subarray(1))
    // A second reply, or one to what was never asked, concerns nobody.
    if (!this.#handed.delete(got.id)) return undefined
    this.#options.onMessage(got.id, false)
    const take = this.#replies.get(got.id)
    this.#replies.delete(got.id)
    take?.(got.rest[0] === 1 ? { ok: true, value: text } : { ok: false, code: 'ERR_AGENT_FAILED', message: text.slice(0, 2_000) })
    return undefined
  }

  /** Hands a message to the guest. Never rejects. */
  async deliver(message: string, signal: AbortSignal): Promise<HostAnswer> {
    const ended: HostAnswer = { ok: false, code: 'ERR_AGENT_DOWN', message: 'the agent ended before it answered' }
    if (this.#over.signal.aborted) return ended
    if (signal.aborted) return { ok: false, code: 'ERR_ABORTED', message: 'nobody waits for the answer' }
    const id = ++this.#lastMessage
    const { promise, resolve } = Promise.withResolvers<HostAnswer>()
    const onAbort = (): void => resolve({ ok: false, code: 'ERR_ABORTED', message: 'nobody waits for the answer any more' })
    const onEnd = (): void => resolve(ended)
    this.#replies.set(id, resolve)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#over.signal.addEventListener('abort', onEnd, { once: true })
    this.#handed.add(id)
    this.#options.onMessage(id, true)
    void this.#options.worker.send(frameTypes.message, numbered(id, Buffer.from(message)))
    try {
      return await promise
    } finally {
      this.#replies.delete(id)
      signal.removeEventListener('abort', onAbort)
      this.#over.signal.removeEventListener('abort', onEnd)
    }
  }

  /** The time of a message is over, but its guest lives on: what it still answers concerns nobody. */
  expire(id: number): void {
    if (!this.#handed.delete(id)) return
    this.#options.onMessage(id, false)
    this.#replies.get(id)?.({ ok: false, code: 'ERR_TIMEOUT', message: 'the agent did not answer within its time' })
  }

  /** The run is over: whatever the host still does for it is given up. */
  end(): void {
    this.#over.abort(new MeshError('ERR_ABORTED', 'the run is over'))
  }

  async #answer(id: number, name: string, args: string): Promise<void> {
    const { worker, host, onDenied } = this.#options
    this.#inFlight++
    let answer: HostAnswer
    try {
      answer = host === undefined ? unbridged : await host.call(name, args, this.#over.signal)
    } catch {
      answer = { ok: false, code: 'ERR_INTERNAL', message: 'the host failed' }
    }
    if (this.#over.signal.aborted) return
    if (!answer.ok && answer.denied !== undefined) onDenied(answer.denied)
    const text = answer.ok ? answer.value : JSON.stringify({ code: answer.code, message: answer.message })
    // In flight until it has left: a guest that does not read its answers gets no more of them.
    await worker.send(frameTypes.answer, numbered(id, Uint8Array.of(answer.ok ? 1 : 0), Buffer.from(text)))
    this.#inFlight--
  }
}
