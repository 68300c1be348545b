import { MeshError } from '../base/index.ts'
import { put, type Store, type StoreOp } from '../store/index.ts'
import { codec, did, instant, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { agentNameCharsMax, bodyBytesMax, encodings, type Message } from './message.ts'

/** Messages kept for the operator; more are refused, none is dropped. */
export const inboxMessagesMax = 100_000
export const inboxPageMax = 1_000

const storedCodec = codec(
  'stored message',
  row({
    id: textUpTo(32),
    from: did,
    type: textUpTo(64),
    agent: textUpTo(agentNameCharsMax),
    encoding: oneOf(encodings),
    body: textUpTo(2 * bodyBytesMax),
    receivedAt: instant,
    priority: uintUpTo(9),
    traceId: nullable(textUpTo(32)),
    replyTo: nullable(textUpTo(32)),
    group: nullable(textUpTo(64)),
    token: nullable(textUpTo(2_048)),
  }),
  256 * 1024,
)

/** Messages without an agent of their own, in order of arrival. */
export interface Inbox {
  /** The writes, under their full keys, that keep a message; they belong into the batch of its replay mark. Call `release` if that batch fails. @throws ERR_OVERLOADED */
  keep(message: Message): { readonly ops: readonly StoreOp[]; release(): void }
  /** The place behind the last message. */
  end(): string
  /** Messages in order of arrival, from this place on, each with the place behind it. */
  from(place: string): AsyncIterable<readonly [next: string, message: Message]>
  /** The last messages, of one group or of all, oldest first. */
  list(page: { readonly limit: number; readonly group?: string | undefined }): Promise<readonly Message[]>
}

export async function openInbox(store: Store): Promise<Inbox> {
  let count = 0
  let next = 0
  for await (const [key] of store.range({})) {
    count++
    next = Number(key) + 1
  }
  return {
    keep(message) {
      if (count >= inboxMessagesMax) {
        throw new MeshError('ERR_OVERLOADED', `the inbox holds ${inboxMessagesMax} messages`, { details: { retryAfterMs: 60_000 } })
      }
      const value = storedCodec.encode({ group: undefined, traceId: undefined, replyTo: undefined, token: undefined, ...message })
      count++
      return { ops: store.qualify([put(placeOf(next++), value)]), release: () => void count-- }
    },
    end: () => placeOf(next),
    async *from(place) {
      for await (const [key, value] of store.range({ gte: place })) yield [placeOf(Number(key) + 1), storedCodec.decode(value)]
    },
    async list({ limit, group }) {
      const messages: Message[] = []
      const most = Math.min(limit, inboxPageMax)
      for await (const [, value] of store.range({ reverse: true, ...(group === undefined ? { limit: most } : {}) })) {
        const message = storedCodec.decode(value)
        if (group === undefined || message.group === group) messages.push(message)
        if (messages.length === most) break
      }
      return messages.reverse()
    },
  }
}

const placeOf = (number: number): string => String(number).padStart(16, '0')
