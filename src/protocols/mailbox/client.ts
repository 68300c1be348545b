import { codeFromPeer, type Did, MeshError } from '../../base/index.ts'
import type { Host } from '../../net/index.ts'
import {
  type AnswerOf,
  decodeAnswer,
  encodeRequest,
  type MailboxAnswer,
  mailboxFrameBytesMax,
  mailboxProtocol,
  type MailboxRequest,
  type RequestOf,
} from './codec.ts'
import { pageEntriesMax } from './statements.ts'
import { withStream } from '../with-stream.ts'

/** One stream to a holder; calls one at a time. Each throws the holder's coded refusal, ERR_NET_*, ERR_WIRE_*, ERR_PROTOCOL. */
export interface HolderSession {
  terms(recipient: Did): Promise<{ readonly bits: number }>
  register(registration: Uint8Array): Promise<Uint8Array>
  deposit(request: Omit<RequestOf<'deposit'>, 'ask'>): Promise<Uint8Array>
  /** Items one by one, then the signed page about them. Not pulling slows the holder. */
  collect(after: number): AsyncGenerator<{ readonly seq: number; readonly item: Uint8Array }, Uint8Array, undefined>
  acknowledge(seqs: readonly number[]): Promise<void>
  leave(): Promise<void>
  usage(): Promise<Omit<AnswerOf<'usage'>, 'answer'>>
  introduce(introduction: Omit<RequestOf<'introduce'>, 'ask'>): Promise<void>
}

/** Opens a stream to `holder`, does what `act` says, and closes it. @throws what `act` throws, ERR_NET_*, ERR_PROTOCOL when the peer does not speak mailbox */
export async function withHolder<T>(
  host: Host,
  holder: Did,
  { signal }: { readonly signal: AbortSignal },
  act: (session: HolderSession) => Promise<T>,
): Promise<T> {
  return await withStream(host, holder, mailboxProtocol, { frameBytesMax: mailboxFrameBytesMax, signal }, async (stream) => {
    const frames = stream.frames[Symbol.asyncIterator]()
    async function next(): Promise<Exclude<MailboxAnswer, AnswerOf<'refusal'>>> {
      const frame: IteratorResult<Uint8Array, void> = await frames.next()
      if (frame.done === true) throw new MeshError('ERR_NET_CLOSED', 'the holder ended the stream')
      const answer = decodeAnswer(frame.value)
      if (answer.answer !== 'refusal') return answer
      throw new MeshError(codeFromPeer(answer.code), answer.message, { details: { retryAfterMs: answer.retryAfterMs } })
    }
    async function call<A extends MailboxAnswer['answer']>(request: MailboxRequest, kind: A): Promise<AnswerOf<A>> {
      await stream.send(encodeRequest(request))
      return expectKind(await next(), kind)
    }
    const session: HolderSession = {
      terms: (recipient) => call({ ask: 'terms', recipient }, 'terms'),
      register: async (registration) => (await call({ ask: 'register', registration }, 'acceptance')).acceptance,
      deposit: async (request) => (await call({ ask: 'deposit', ...request }, 'receipt')).receipt,
      async *collect(after) {
        await stream.send(encodeRequest({ ask: 'collect', after }))
        for (let count = 0; count <= pageEntriesMax; count++) {
          const answer = await next()
          if (answer.answer === 'page') return answer.page
          const { seq, item } = expectKind(answer, 'item')
          yield { seq, item }
        }
        throw new MeshError('ERR_PROTOCOL', 'a page of a mailbox does not end')
      },
      acknowledge: async (seqs) => void (await call({ ask: 'acknowledge', seqs }, 'done')),
      leave: async () => void (await call({ ask: 'leave' }, 'done')),
      usage: () => call({ ask: 'usage' }, 'usage'),
      introduce: async (introduction) => void (await call({ ask: 'introduce', ...introduction }, 'done')),
    }
    return await act(session)
  })
}

function expectKind<A extends MailboxAnswer['answer']>(answer: MailboxAnswer, kind: A): AnswerOf<A> {
  if (answer.answer !== kind) throw new MeshError('ERR_PROTOCOL', `the holder answers ${answer.answer} where ${kind} was due`)
  return answer as AnswerOf<A>
}
