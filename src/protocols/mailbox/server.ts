import { type Clock, type Did, type Logger, MeshError, minuteMs, secondMs, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import {
  type AnswerOf,
  decodeRequest,
  encodeAnswer,
  type MailboxAnswer,
  mailboxFrameBytesMax,
  mailboxProtocol,
  type MailboxRequest,
  type RequestOf,
  retryAfterMsMax,
} from './codec.ts'

/** Mailbox streams one peer may hold open. Source: mailbox/v1 section 1. */
export const mailboxStreamsPerPeerMax = 8
/** A stream on which nothing is asked is closed. */
export const mailboxIdleMs = minuteMs
/** A peer that does not take an answer is cut off. */
export const mailboxAnswerTimeoutMs = 15 * secondMs

/** What the protocol asks of a node. Every call may throw a MeshError: the refusal. `peer` is authenticated. */
export interface MailboxHandlers {
  terms(peer: Did, recipient: Did): { readonly bits: number }
  /** The signed acceptance. */
  register(peer: Did, registration: Uint8Array): Promise<Uint8Array>
  /** The signed storage receipt, once the item is on disk. */
  deposit(peer: Did, request: Omit<RequestOf<'deposit'>, 'ask'>): Promise<Uint8Array>
  /** Items of the peer's own mailbox, then the signed page about them. */
  collect(peer: Did, after: number): AsyncIterable<{ readonly seq: number; readonly item: Uint8Array } | { readonly page: Uint8Array }>
  /** Forgets what the peer has; durable when it resolves. */
  acknowledge(peer: Did, seqs: readonly number[]): Promise<void>
  leave(peer: Did): Promise<void>
  usage(peer: Did): Omit<AnswerOf<'usage'>, 'answer'>
  introduce(peer: Did, introduction: Omit<RequestOf<'introduce'>, 'ask'>): Promise<void>
}

export interface MailboxServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  readonly handlers: MailboxHandlers
}

/** Serves `/kindmesh/mailbox/1.0.0`: one request after the other, each answered before the next is read. */
export function serveMailbox({ host, clock, logger, handlers }: MailboxServerOptions): void {
  host.handle(mailboxProtocol, { frameBytesMax: mailboxFrameBytesMax, inboundStreamsMax: mailboxStreamsPerPeerMax }, async (stream) => {
    try {
      await serve(stream, clock, handlers)
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('mailbox stream ended', { peer: stream.peer, code: reason.code })
      stream.abort(reason)
    }
  })
}

async function serve(stream: HostStream, clock: Clock, handlers: MailboxHandlers): Promise<void> {
  const limited = async <T>(ms: number, what: string, act: Promise<T>): Promise<T> => {
    const stop = clock.after(ms, () => stream.abort(new MeshError('ERR_TIMEOUT', what)))
    return await act.finally(stop)
  }
  const send = (answer: MailboxAnswer): Promise<void> =>
    limited(mailboxAnswerTimeoutMs, 'the peer does not read its answers', stream.send(encodeAnswer(answer)))
  const frames = stream.frames[Symbol.asyncIterator]()
  for (;;) {
    const next = await limited(mailboxIdleMs, 'nothing was asked', frames.next())
    if (next.done === true) return
    let request: MailboxRequest
    try {
      request = decodeRequest(next.value)
    } catch (error) {
      // Said, then closed: a reset would overtake it.
      await send(refusalOf(error))
      return
    }
    try {
      for await (const answer of answersTo(stream.peer, request, handlers)) await send(answer)
    } catch (error) {
      await send(refusalOf(error))
    }
  }
}

async function* answersTo(peer: Did, request: MailboxRequest, handlers: MailboxHandlers): AsyncGenerator<MailboxAnswer> {
  switch (request.ask) {
    case 'terms':
      yield { answer: 'terms', ...handlers.terms(peer, request.recipient) }
      return
    case 'register':
      yield { answer: 'acceptance', acceptance: await handlers.register(peer, request.registration) }
      return
    case 'deposit':
      yield { answer: 'receipt', receipt: await handlers.deposit(peer, request) }
      return
    case 'collect':
      for await (const part of handlers.collect(peer, request.after)) yield 'page' in part ? { answer: 'page', ...part } : { answer: 'item', ...part }
      return
    case 'acknowledge':
      await handlers.acknowledge(peer, request.seqs)
      break
    case 'leave':
      await handlers.leave(peer)
      break
    case 'usage':
      yield { answer: 'usage', ...handlers.usage(peer) }
      return
    case 'introduce':
      await handlers.introduce(peer, request)
      break
  }
  yield { answer: 'done' }
}

function refusalOf(error: unknown): AnswerOf<'refusal'> {
  const { code, message, details } = toMeshError(error)
  const wait = Number(details?.['retryAfterMs'] ?? 0)
  return {
    answer: 'refusal',
    code,
    message: code === 'ERR_INTERNAL' ? 'internal error' : message.slice(0, 256),
    retryAfterMs: Number.isFinite(wait) ? Math.min(Math.max(0, Math.round(wait)), retryAfterMsMax) : 0,
  }
}
