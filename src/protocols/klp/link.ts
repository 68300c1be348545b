import { type Clock, type Did, MeshError, secondMs, type SignalOption, toMeshError, codeFromPeer } from '../../base/index.ts'
import type { CarriedKind } from '../../envelope/index.ts'
import { batchStatementsMax, type Composed } from '../../identity/index.ts'
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

/** Bytes of statements sealed together, unless one alone is larger. */
export const batchBytesMax = 64 * 1024

/** A statement that goes back for one that came. */
export type Carried = Composed & { readonly kind: CarriedKind }

export interface Ask extends SignalOption {
  readonly ttlMs?: number
}

/** Where the answer to one statement stands: `index` of `count` in a sealed content. */
export interface Answer {
  readonly sealed: Uint8Array
  readonly index: number
  readonly count: number
}

export interface LinkOptions {
  readonly stream: HostStream
  readonly clock: Clock
  /** What we say of ourselves, when the link opens and whenever it is said again. */
  hello(): Promise<Hello>
  /** Answers the peer's wants; throwing ends the link with the error's code. */
  judge(hello: Hello): Promise<Terms>
  /**
   * Handles one sealed content said to hold as many statements as there are signals; gives as many promises of answers. Throwing a MeshError, or one of
   * the promises doing so, refuses with that code. A signal aborts on cancel, deadline or loss of the link.
   */
  onRequest(sealed: Uint8Array, signals: readonly AbortSignal[]): Promise<readonly Promise<Carried>[]>
  /** Seals answers that are ready at the same time. */
  sealAnswers(answers: readonly Carried[]): Promise<Uint8Array>
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
  /**
   * Sends one sealed content with as many statements as there are asks, each answered on its own.
   * Rejections: the coded refusal of the peer, ERR_TIMEOUT, ERR_NET_CLOSED, ERR_OVERLOADED.
   */
  post(sealed: Uint8Array, asks: readonly Ask[]): readonly Promise<Answer>[]
  /** Round trip on this stream, ms. */
  ping(options?: SignalOption): Promise<number>
  close(): Promise<void>
  /** Settles when the link has ended, whoever ended it. */
  readonly closed: Promise<void>
}

interface Pending {
  settle(answer: Answer | MeshError): void
}

/** The part of `bytes` that one of `count` answers gives back. */
const shareOf = (bytes: number, index: number, count: number): number => Math.floor(bytes / count) + (index === 0 ? bytes % count : 0)

/**
 * Speaks KLP on a fresh stream: both sides say hello at once, each answers the other's wants, then requests flow.
 * An answer gives the credit of its request back: unanswered requests stay within the peer's window. Source: klp/v1 section 6.
 * @throws ERR_TIMEOUT, ERR_PROTOCOL, ERR_CAPABILITY_DENIED, ERR_NET_CLOSED; the stream is then closed
 */
export async function createLink({ stream, clock, hello: helloNow, judge, onRequest, sealAnswers }: LinkOptions): Promise<Link> {
  const pending = new Map<number, Pending>()
  const pings = new Map<number, (ok: boolean) => void>()
  const serving = new Map<number, { readonly controller: AbortController; readonly bytes: number; stopTimer(): void }>()
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
    for (const { controller } of serving.values()) controller.abort(reason)
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

  async function serve({ rid: firstRid, ttlsMs, sealed }: Extract<Frame, { readonly frame: 2 }>): Promise<void> {
    const count = ttlsMs.length
    const rids = ttlsMs.map((_, index) => (firstRid + index) >>> 0)
    if (count === 0) throw new MeshError('ERR_PROTOCOL', 'a request for nothing')
    if (rids.some((rid) => serving.has(rid))) throw new MeshError('ERR_PROTOCOL', `request ${firstRid} was used twice`)
    // A single request larger than the whole window goes alone.
    if (serving.size > 0 && (serving.size + count > requestsInFlightMax || servingBytes + sealed.length > creditBytes)) {
      throw new MeshError('ERR_PROTOCOL', 'the peer sent more than its credit')
    }
    servingBytes += sealed.length
    const signals = ttlsMs.map((ttlMs, index) => {
      const controller = new AbortController()
      const stopTimer = clock.after(ttlMs, () => controller.abort(new MeshError('ERR_TIMEOUT', 'the deadline of the request passed')))
      serving.set(rids[index] ?? 0, { controller, stopTimer, bytes: shareOf(sealed.length, index, count) })
      return controller.signal
    })
    let answers: readonly Promise<Carried>[]
    try {
      answers = await onRequest(sealed, signals)
      if (answers.length !== count) throw new MeshError('ERR_PROTOCOL', `${count} statements were announced`)
    } catch (error) {
      answers = rids.map(() => Promise.reject(error as Error))
    }
    answers.forEach((answer, index) => {
      const rid = rids[index] ?? 0
      answer.then(
        (statement) => ready(rid, statement),
        (error: unknown) => {
          unsentAnswers++
          void dispatch([rid], refusalOf(rid, error)).catch(fail)
        },
      )
    })
  }
  const fail = (error: unknown): void => void bye(toMeshError(error))

  /** Answers ready within one turn of the loop leave under one seal. */
  let waiting: { readonly rid: number; readonly statement: Carried }[] = []
  function ready(rid: number, statement: Carried): void {
    unsentAnswers++
    waiting.push({ rid, statement })
    if (waiting.length === 1) setImmediate(() => void sendReady().catch(fail))
  }
  async function sendReady(): Promise<void> {
    const all = waiting
    waiting = []
    for (const group of groupsOf(all, ({ statement }) => statement.body.length)) {
      const rids = group.map(({ rid }) => rid)
      const sealed = await sealAnswers(group.map(({ statement }) => statement)).catch(toMeshError)
      if (sealed instanceof MeshError) for (const rid of rids) void dispatch([rid], refusalOf(rid, sealed)).catch(fail)
      else void dispatch(rids, { frame: 3, rids, sealed }).catch(fail)
    }
  }
  async function dispatch(rids: readonly number[], answer: Frame): Promise<void> {
    for (const rid of rids) serving.get(rid)?.stopTimer()
    const frame = encodeFrame(answer)
    await room.take(frame.length)
    // The peer may use its credit again once it reads the answer, which can be before our send resolves.
    for (const rid of rids) {
      servingBytes -= serving.get(rid)?.bytes ?? 0
      serving.delete(rid)
    }
    await stream.send(frame).finally(() => {
      room.give(frame.length)
      unsentAnswers -= rids.length
      mayReadOn?.()
    })
  }
  function take(frame: Frame): void {
    if (frame.frame === 2) serve(frame).catch((error: unknown) => void bye(toMeshError(error)))
    else if (frame.frame === 3) frame.rids.forEach((rid, index) => pending.get(rid)?.settle({ sealed: frame.sealed, index, count: frame.rids.length }))
    else if (frame.frame === 4) {
      const details = frame.retryAfterMs > 0 ? { details: { retryAfterMs: frame.retryAfterMs } } : {}
      pending.get(frame.rid)?.settle(new MeshError(codeFromPeer(frame.code), frame.message, details))
    } else if (frame.frame === 5) serving.get(frame.rid)?.controller.abort(new MeshError('ERR_ABORTED', 'the peer cancelled'))
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

  function post(sealed: Uint8Array, asks: readonly Ask[]): readonly Promise<Answer>[] {
    const count = asks.length
    if (count === 0 || count > batchStatementsMax) throw new MeshError('ERR_INTERNAL', `a content of ${count} statements`)
    if (ended !== undefined) {
      const reason = ended
      return asks.map(() => Promise.reject(reason))
    }
    const firstRid = nextRid
    nextRid = (nextRid + count) >>> 0
    const began = clock.monotonic()
    let isSent = false
    let open = count
    const everybodyLeft = new AbortController()
    const answers = asks.map(({ ttlMs = requestTtlMsDefault, signal }, index) => {
      const rid = (firstRid + index) >>> 0
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      const giveUp = (reason: Error): void => {
        reject(reason)
        if (--open === 0) everybodyLeft.abort(reason)
        // The credit comes back with the peer's refusal of the cancelled request.
        if (isSent) send({ frame: 5, rid }).catch(() => undefined)
      }
      const stopTimer = clock.after(ttlMs, () => giveUp(new MeshError('ERR_TIMEOUT', `no answer within ${ttlMs} ms`)))
      const onAbort = (): void => giveUp(signal?.reason as Error)
      const leave = (): void => {
        stopTimer()
        signal?.removeEventListener('abort', onAbort)
      }
      promise.then(leave, leave)
      pending.set(rid, {
        settle(result) {
          pending.delete(rid)
          if (isSent) credit.give(shareOf(sealed.length, index, count))
          if (result instanceof MeshError) reject(result)
          else resolve(result)
        },
      })
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
      return promise
    })
    const failAll = (error: unknown): void => asks.forEach((_, index) => pending.get((firstRid + index) >>> 0)?.settle(toMeshError(error)))
    credit.take(sealed.length, { signal: everybodyLeft.signal, requests: count }).then(() => {
      if (open === 0 || ended !== undefined) {
        credit.give(sealed.length, count)
        failAll(ended ?? new MeshError('ERR_ABORTED', 'nobody waits for it any more'))
        return
      }
      isSent = true
      const passed = clock.monotonic() - began
      const ttlsMs = asks.map(({ ttlMs = requestTtlMsDefault }) => Math.max(0, Math.round(ttlMs - passed)))
      send({ frame: 2, rid: firstRid, ttlsMs, sealed }).catch(failAll)
    }, failAll)
    return answers
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
    post,
    ping,
    close: () => bye(new MeshError('ERR_STOPPED', 'closed by this side')),
    closed: read(),
  }
}

function refusalOf(rid: number, error: unknown): Frame {
  const { code, message, details } = toMeshError(error)
  const wait = Math.round(Number(details?.['retryAfterMs'] ?? 0))
  const retryAfterMs = wait >= 0 && wait <= ttlMsMax ? wait : 0
  // What went wrong inside is for our log, not for a stranger.
  return { frame: 4, rid, code, message: code === 'ERR_INTERNAL' ? 'internal error' : shorten(message), retryAfterMs }
}

/** Runs of items that fit into one seal together. */
export function groupsOf<T>(items: readonly T[], bytesOf: (item: T) => number): readonly (readonly T[])[] {
  const groups: T[][] = []
  let bytes = 0
  for (const item of items) {
    const last = groups.at(-1)
    if (last === undefined || last.length === batchStatementsMax || bytes + bytesOf(item) > batchBytesMax) {
      groups.push([item])
      bytes = 0
    } else last.push(item)
    bytes += bytesOf(item)
  }
  return groups
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
