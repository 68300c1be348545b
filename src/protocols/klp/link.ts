import { type Clock, type Did, MeshError, secondMs, type SignalOption, toMeshError, codeFromPeer } from '../../base/index.ts'
import type { HostStream } from '../../net/index.ts'
import { checkTerms, checkVersion, createAgreement } from './agreement.ts'
import { createCredit } from './credit.ts'
import { creditBytes, decodeFrame, encodeFrame, type Frame, type Hello, requestsInFlightMax, shorten, type Terms, ttlMsMax } from './frames.ts'

/** A peer must have said hello and answered ours by then. Source: klp/v1 section 6. */
export const helloTimeoutMs = 10 * secondMs
/** Bytes of answers handed to the stream and not yet taken by it; more answers wait here, so that many large ones at once do not overrun its queue. */
export const answersUnsentBytesMax = 1 << 20
/** A request waits this long for its answer when nothing else is said. */
export const requestTtlMsDefault = 30 * secondMs

/** Time the frames of one peer may hold the process before all else, what waits to be sent too, has its turn. */
const turnMsMax = 4

/** The answer to a request: a signed receipt, or a sealed reply. */
export interface Answer {
  readonly isReceipt: boolean
  readonly bytes: Uint8Array
}

export interface LinkOptions {
  readonly stream: HostStream
  readonly clock: Clock
  /** What we say of ourselves, when the link opens and whenever it is said again. */
  hello(): Promise<Hello>
  /** Answers the peer's wants; throwing ends the link with the error's code. */
  judge(hello: Hello): Promise<Terms>
  /** Handles one request; throwing a MeshError refuses it with that code. `signal` aborts on cancel, deadline or loss of the link. */
  onRequest(sealed: Uint8Array, signal: AbortSignal): Promise<Answer>
}

/** One stream to one peer that carries many requests both ways. */
export interface Link {
  readonly peer: Did
  readonly route: HostStream['route']
  /** The newest hello of the peer. */
  readonly hello: Hello
  /** When it came, monotonic ms. */
  readonly heardAt: number
  /** The peer's newest answer to what we want. */
  readonly terms: Terms
  /** Tells the peer what has changed with us, and asks for its terms anew. */
  renew(): void
  /** Does nobody wait for an answer here, on either side? */
  readonly isIdle: boolean
  /** @throws the coded refusal of the peer, ERR_TIMEOUT, ERR_NET_CLOSED, ERR_OVERLOADED */
  request(sealed: Uint8Array, options?: SignalOption & { readonly ttlMs?: number }): Promise<Answer>
  /** Round trip on this stream, ms. */
  ping(options?: SignalOption): Promise<number>
  close(): Promise<void>
  /** Settles when the link has ended, whoever ended it. */
  readonly closed: Promise<void>
}

interface Pending {
  settle(answer: Answer | MeshError): void
}

/**
 * Speaks KLP on a fresh stream: both sides say hello at once, each answers the other's wants, then requests flow.
 * An answer gives the credit of its request back: unanswered requests stay within the peer's window. Source: klp/v1 section 6.
 * @throws ERR_TIMEOUT, ERR_PROTOCOL, ERR_CAPABILITY_DENIED, ERR_NET_CLOSED; the stream is then closed
 */
export async function createLink({ stream, clock, hello: helloNow, judge, onRequest }: LinkOptions): Promise<Link> {
  const pending = new Map<number, Pending>()
  const pings = new Map<number, (ok: boolean) => void>()
  const serving = new Map<number, AbortController>()
  let servingBytes = 0
  let unsentAnswers = 0
  let mayReadOn: (() => void) | undefined
  let nextRid = 0
  let ended: MeshError | undefined
  const room = createCredit({ bytesMax: answersUnsentBytesMax, requestsMax: Number.POSITIVE_INFINITY })
  const onEnd: ((reason: MeshError) => void)[] = [room.end]

  const send = (frame: Frame): Promise<void> => stream.send(encodeFrame(frame))

  function end(reason: MeshError): void {
    if (ended !== undefined) return
    ended = reason
    for (const { settle } of pending.values()) settle(reason)
    for (const done of pings.values()) done(false)
    for (const controller of serving.values()) controller.abort(reason)
    for (const act of onEnd) act(reason)
    mayReadOn?.()
  }
  async function bye(reason: MeshError): Promise<void> {
    if (ended !== undefined) return
    await send({ frame: 6, code: reason.code, message: shorten(reason.message) }).catch(() => undefined)
    end(reason)
    await stream.close()
  }

  const frames = stream.frames[Symbol.asyncIterator]()
  async function nextFrame(): Promise<Frame> {
    const result: IteratorResult<Uint8Array, void> = await frames.next()
    if (result.done === true) throw new MeshError('ERR_NET_CLOSED', 'the peer closed the stream')
    return decodeFrame(result.value)
  }
  async function shakeHands(): Promise<{ readonly own: Hello; readonly hello: Hello; readonly terms: Terms }> {
    const own = await helloNow()
    await send({ frame: 0, ...own })
    const hello = await nextFrame()
    if (hello.frame === 6) throw new MeshError(codeFromPeer(hello.code), hello.message)
    if (hello.frame !== 0) throw new MeshError('ERR_PROTOCOL', 'the first frame is no hello')
    checkVersion(hello)
    // A peer that has refused us is gone, and its reason is among the frames that came.
    const refused = await send({ frame: 1, ...(await judge(hello)) }).then(() => undefined, toMeshError)
    const terms = await nextFrame().catch((error: unknown) => {
      throw refused ?? error
    })
    if (terms.frame === 6) throw new MeshError(codeFromPeer(terms.code), terms.message)
    if (refused !== undefined) throw refused
    if (terms.frame !== 1) throw new MeshError('ERR_PROTOCOL', 'the second frame gives no terms')
    checkTerms(own.wants, terms)
    return { own, hello, terms }
  }

  const handshakeTimer = clock.after(helloTimeoutMs, () => stream.abort(new MeshError('ERR_TIMEOUT', 'no hello in time')))
  let agreed: Awaited<ReturnType<typeof shakeHands>>
  try {
    agreed = await shakeHands()
  } catch (error) {
    const reason = toMeshError(error)
    await bye(reason)
    throw reason
  } finally {
    handshakeTimer()
  }
  const credit = createCredit({ bytesMax: agreed.hello.credit, requestsMax: requestsInFlightMax })
  const agreement = createAgreement({
    clock,
    theirs: agreed,
    wants: agreed.own.wants,
    hello: helloNow,
    judge,
    send,
    fail: (error) => void bye(toMeshError(error)),
    answerTimeoutMs: helloTimeoutMs,
  })
  onEnd.push(credit.end, agreement.stop)

  async function serve({ rid, ttlMs, sealed }: Extract<Frame, { readonly frame: 2 }>): Promise<void> {
    if (serving.has(rid)) throw new MeshError('ERR_PROTOCOL', `request ${rid} was used twice`)
    if (serving.size >= requestsInFlightMax || servingBytes + sealed.length > creditBytes) {
      throw new MeshError('ERR_PROTOCOL', 'the peer sent more than its credit')
    }
    const controller = new AbortController()
    const stopTimer = clock.after(ttlMs, () => controller.abort(new MeshError('ERR_TIMEOUT', 'the deadline of the request passed')))
    serving.set(rid, controller)
    servingBytes += sealed.length
    const frame = encodeFrame(await answer(rid, sealed, controller.signal))
    stopTimer()
    await room.take(frame.length)
    // The peer may use its credit again once it reads the answer, which can be before our send resolves.
    serving.delete(rid)
    servingBytes -= sealed.length
    unsentAnswers++
    await stream.send(frame).finally(() => {
      room.give(frame.length)
      unsentAnswers--
      mayReadOn?.()
    })
  }
  async function answer(rid: number, sealed: Uint8Array, signal: AbortSignal): Promise<Frame> {
    try {
      const { isReceipt, bytes } = await onRequest(sealed, signal)
      return { frame: 3, rid, isReceipt, bytes }
    } catch (error) {
      const { code, message, details } = toMeshError(error)
      const wait = Math.round(Number(details?.['retryAfterMs'] ?? 0))
      const retryAfterMs = wait >= 0 && wait <= ttlMsMax ? wait : 0
      // What went wrong inside is for our log, not for a stranger.
      return { frame: 4, rid, code, message: code === 'ERR_INTERNAL' ? 'internal error' : shorten(message), retryAfterMs }
    }
  }
  function take(frame: Frame): void {
    if (frame.frame === 2) serve(frame).catch((error: unknown) => void bye(toMeshError(error)))
    else if (frame.frame === 3) pending.get(frame.rid)?.settle({ isReceipt: frame.isReceipt, bytes: frame.bytes })
    else if (frame.frame === 4) {
      const details = frame.retryAfterMs > 0 ? { details: { retryAfterMs: frame.retryAfterMs } } : {}
      pending.get(frame.rid)?.settle(new MeshError(codeFromPeer(frame.code), frame.message, details))
    } else if (frame.frame === 5) serving.get(frame.rid)?.abort(new MeshError('ERR_ABORTED', 'the peer cancelled'))
    else if (frame.frame === 6) throw new MeshError('ERR_NET_CLOSED', `the peer said bye: ${frame.code} ${frame.message}`)
    else if (frame.frame === 7) void send({ frame: 8, rid: frame.rid }).catch(() => undefined)
    else if (frame.frame === 8) pings.get(frame.rid)?.(true)
    else if (frame.frame === 0) agreement.takeHello(frame)
    else agreement.takeTerms(frame)
  }
  async function read(): Promise<void> {
    let turnBegan: number | undefined
    try {
      while (ended === undefined) {
        // A peer that does not read our answers gets nothing more read from it.
        while (unsentAnswers >= requestsInFlightMax) await new Promise<void>((resolve) => (mayReadOn = resolve))
        take(await nextFrame())
        // Else a chunk of many requests holds everything up, its own answers too, and the peer has nothing to do meanwhile.
        if (turnBegan === undefined) {
          turnBegan = clock.monotonic()
          setImmediate(() => (turnBegan = undefined))
        } else if (clock.monotonic() - turnBegan >= turnMsMax) await nextTurn()
      }
    } catch (error) {
      const reason = toMeshError(error)
      if (reason.code === 'ERR_NET_CLOSED') {
        end(reason)
        await stream.close()
      } else await bye(reason)
    }
  }

  async function request(sealed: Uint8Array, { signal, ttlMs = requestTtlMsDefault }: SignalOption & { readonly ttlMs?: number } = {}): Promise<Answer> {
    if (ended !== undefined) throw ended
    signal?.throwIfAborted()
    const deadline = clock.monotonic() + ttlMs
    const own = new AbortController()
    const stopTimer = clock.after(ttlMs, () => own.abort(new MeshError('ERR_TIMEOUT', `no answer within ${ttlMs} ms`)))
    const onAbort = (): void => own.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    const rid = (nextRid = (nextRid + 1) >>> 0)
    try {
      await credit.take(sealed.length, own.signal)
      if (own.signal.aborted || ended !== undefined) {
        credit.give(sealed.length)
        throw ended ?? (own.signal.reason as Error)
      }
      return await new Promise<Answer>((resolve, reject) => {
        const cancel = (): void => {
          reject(own.signal.reason as Error)
          // The credit comes back with the peer's refusal of the cancelled request.
          send({ frame: 5, rid }).catch(() => undefined)
        }
        own.signal.addEventListener('abort', cancel, { once: true })
        pending.set(rid, {
          settle(result) {
            own.signal.removeEventListener('abort', cancel)
            pending.delete(rid)
            credit.give(sealed.length)
            if (result instanceof MeshError) reject(result)
            else resolve(result)
          },
        })
        send({ frame: 2, rid, ttlMs: Math.max(0, Math.round(deadline - clock.monotonic())), sealed }).catch((error: unknown) =>
          pending.get(rid)?.settle(toMeshError(error)),
        )
      })
    } finally {
      stopTimer()
      signal?.removeEventListener('abort', onAbort)
    }
  }
  async function ping({ signal }: SignalOption = {}): Promise<number> {
    if (ended !== undefined) throw ended
    const rid = (nextRid = (nextRid + 1) >>> 0)
    const start = clock.monotonic()
    const alive = await new Promise<boolean>((resolve) => {
      pings.set(rid, resolve)
      signal?.addEventListener('abort', () => resolve(false), { once: true })
      send({ frame: 7, rid }).catch(() => resolve(false))
    }).finally(() => pings.delete(rid))
    signal?.throwIfAborted()
    if (!alive) throw ended ?? new MeshError('ERR_NET_CLOSED', 'the link ended')
    return clock.monotonic() - start
  }

  return {
    peer: stream.peer,
    route: stream.route,
    get hello() {
      return agreement.hello
    },
    get heardAt() {
      return agreement.heardAt
    },
    get terms() {
      return agreement.terms
    },
    renew: agreement.renew,
    get isIdle() {
      return pending.size === 0 && serving.size === 0 && unsentAnswers === 0
    },
    request,
    ping,
    close: () => bye(new MeshError('ERR_STOPPED', 'closed by this side')),
    closed: read(),
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
