import { type Clock, type Did, fromHex, hex, MeshError, secondMs, within } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import {
  attSyncProtocol,
  issuerTagBytes,
  type SyncAnswer,
  syncAnswerCodec,
  syncFrameBytesMax,
  type SyncItem,
  type SyncQuestion,
  syncQuestionCodec,
  syncWantsMax,
} from './frames.ts'
import { firstQuestion, inFrames, type Range, readAnswer } from './ranges.ts'
import type { SyncScope } from './scope.ts'
import { lastPlace, type Sequence } from './sequence.ts'
import { syncHeadsMax } from './serve.ts'
import { withStream } from '../with-stream.ts'

/** Round trips of one session. Source: trust/v1 section 5.8. */
export const syncRoundsMax = 12
/** Bytes taken from a holder in one session. */
export const syncTakenBytesMax = 4 << 20
/** Statements taken, and so signatures checked, in one session. */
export const syncStatementsMax = 2_048
/** Time one session may take. */
export const syncAskMsMax = 30 * secondMs
/** Tags of so few issuers are said at once. */
const tagsShortMax = 64

export interface SyncBudget {
  readonly rounds: number
  readonly bytes: number
  readonly statements: number
}
export const syncBudget: SyncBudget = { rounds: syncRoundsMax, bytes: syncTakenBytesMax, statements: syncStatementsMax }

export interface SyncSession {
  readonly clock: Clock
  readonly scope: SyncScope
  /** What the asker has of the scope, without what ended at `liveAt`. */
  readonly own: Sequence
  readonly liveAt: number
  readonly headsAfter?: number | undefined
  readonly budget?: SyncBudget
  /** Names, in hex, of statements that were refused before and are not fetched again. */
  readonly refused?: { has(name: string): boolean }
  /** Takes statements as they come, unverified, with the names asked for. The session ends when it throws. */
  take(items: readonly SyncItem[], names: readonly string[]): Promise<void>
  readonly signal?: AbortSignal | undefined
}

/** How a session went. */
export interface SyncReport {
  readonly rounds: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Statements the holder said to have and the asker lacks. */
  readonly missing: number
  /** Statements that came. */
  readonly taken: number
  /** All that is missing came: the budget was enough. */
  readonly isWhole: boolean
}

/**
 * Fetches from `peer` what it has of the scope and the asker has not. What comes is bounded by the budget, whatever the peer says.
 * @throws ERR_NET_*, ERR_WIRE_*, ERR_PROTOCOL, ERR_TIMEOUT
 */
export async function syncWith(host: Host, peer: Did, session: SyncSession): Promise<SyncReport> {
  const signal = within(session.clock, syncAskMsMax, session.signal, 'comparing statements')
  return await withStream(host, peer, attSyncProtocol, { frameBytesMax: syncFrameBytesMax, signal }, (stream) => reconcile(stream, session))
}

async function reconcile(stream: HostStream, { scope, own, liveAt, headsAfter, budget = syncBudget, refused, take }: SyncSession): Promise<SyncReport> {
  const frames = stream.frames[Symbol.asyncIterator]()
  const plain = { scope: scope.name, tags: undefined, liveAt, headsAfter: undefined, ranges: [], wants: [] } as const satisfies SyncQuestion
  let [rounds, bytesIn, bytesOut, taken] = [0, 0, 0, 0]

  async function next(): Promise<SyncAnswer> {
    const frame: IteratorResult<Uint8Array, void> = await frames.next()
    if (frame.done === true) throw new MeshError('ERR_NET_CLOSED', 'the holder ended the stream')
    bytesIn += frame.value.length
    if (bytesIn > budget.bytes) throw new MeshError('ERR_OVERLOADED', 'the holder says more than one session takes')
    return syncAnswerCodec.decode(frame.value)
  }
  async function send(questions: readonly SyncQuestion[]): Promise<void> {
    for (const question of questions) {
      const frame = syncQuestionCodec.encode(question)
      bytesOut += frame.length
      if (bytesOut > budget.bytes) throw new MeshError('ERR_OVERLOADED', 'one session asks no more')
      await stream.send(frame)
    }
  }
  /** One round trip: all questions go out, then each is answered in turn. */
  async function* round(questions: readonly SyncQuestion[]): AsyncGenerator<{ readonly question: SyncQuestion; readonly answer: SyncAnswer }> {
    rounds++
    const sending = send(questions)
    sending.catch(() => undefined)
    for (const question of questions) {
      const { wants, headsAfter: after } = question
      const names = wants.map((name) => hex(name))
      let [room, answer] = [wants.length + (after === undefined ? 0 : syncHeadsMax), await next()]
      yield { question, answer }
      for (;;) {
        room -= answer.items.length
        if (room < 0) throw new MeshError('ERR_PROTOCOL', 'statements nobody asked for')
        taken += answer.items.length
        if (answer.items.length > 0) await take(answer.items, names)
        if (!answer.more) break
        answer = await next()
        if (answer.items.length === 0 || answer.ranges.length > 0) throw new MeshError('ERR_PROTOCOL', 'an answer that does not go on')
      }
    }
    await sending
  }

  const missing = new Set<string>()
  let isCut = false
  const isShort = scope.tags.length <= tagsShortMax * issuerTagBytes
  let questions: readonly SyncQuestion[] = [{ ...plain, tags: isShort ? scope.tags : undefined, headsAfter, ranges: firstQuestion(own, lastPlace) }]
  // The last round is for what was found.
  while (questions.length > 0) {
    if (rounds >= budget.rounds - 1) {
      isCut = true
      break
    }
    const further: (readonly Range[])[] = []
    let isUnknown = false
    for await (const { question, answer } of round(questions)) {
      if (!answer.known) {
        if (rounds > 1 || isShort) throw new MeshError('ERR_PROTOCOL', 'the holder was told the scope')
        isUnknown = true
        continue
      }
      const read = readAnswer(own, question.ranges, answer.ranges)
      for (const name of read.missing.filter((one) => refused?.has(one) !== true)) {
        if (missing.size < budget.statements) missing.add(name)
        else isCut = true
      }
      further.push(...inFrames(read.next))
    }
    questions = isUnknown ? questions.map((question) => ({ ...question, tags: scope.tags })) : further.map((ranges) => ({ ...plain, ranges }))
  }
  // The newest first: what a budget leaves out is old.
  const wanted = [...missing].reverse()
  const asks = Array.from({ length: Math.ceil(wanted.length / syncWantsMax) }, (_, index) => ({
    ...plain,
    wants: wanted.slice(index * syncWantsMax, (index + 1) * syncWantsMax).map(fromHex),
  }))
  if (asks.length > 0) for await (const _ of round(asks));
  return { rounds, bytesIn, bytesOut, missing: missing.size, taken, isWhole: !isCut }
}
