import { type Clock, createTally, type Did, hex, type Logger, MeshError, minuteMs, secondMs, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import {
  attSyncProtocol,
  type SyncAnswer,
  syncAnswerCodec,
  syncFrameBytesMax,
  type SyncItem,
  syncItemsMax,
  type SyncQuestion,
  syncQuestionCodec,
} from './frames.ts'
import { answerRanges } from './ranges.ts'
import { readScope, type SyncScope } from './scope.ts'
import { createSequence, type Sequence } from './sequence.ts'

/** Sessions one peer may open here in a minute. Source: trust/v1 section 5.8. */
export const syncSessionsPerMinuteMax = 20
/** Sessions opened here in a minute by all peers together. */
export const syncSessionsOfAllMax = 120
/** Sessions served at a time, to all. */
export const syncSessionsServedMax = 8
/** Bytes one session is answered with. */
export const syncServedBytesMax = 8 << 20
/** Time one session may take. */
export const syncServedMsMax = 60 * secondMs
/** Ids hashed in one session for each one held. */
export const syncHashesPerIdMax = 64
/** Scopes remembered, so that they need not be said again. */
export const syncScopesKeptMax = 32
/** Heads given in one session. */
export const syncHeadsMax = 512

/** A statement that is kept, and when it was signed and ends, ms since 1970. */
export interface SyncEntry extends SyncItem {
  readonly id: Uint8Array
  readonly issuedAt: number
  readonly expiresAt: number
}

export interface SyncServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  /** Statements of these issuers, no heads, in order of (issuedAt, id). */
  entries(isAsked: (issuer: Did) => boolean): readonly SyncEntry[]
  /** Heads of these issuers signed after an instant. */
  heads(isAsked: (issuer: Did) => boolean, after: number): Promise<readonly SyncItem[]>
}

interface Snapshot {
  readonly scope: SyncScope
  readonly liveAt: number
  readonly entries: readonly SyncEntry[]
  readonly sequence: Sequence
  byName: ReadonlyMap<string, SyncEntry> | undefined
}

/** Serves `/kindmesh/att-sync/1.0.0` to anybody: statements are public, what a session may cost is bounded. Source: trust/v1 section 5.8. */
export function serveAttSync({ host, clock, logger, entries, heads }: SyncServerOptions): void {
  const sessions = createTally<Did>({ clock, most: syncSessionsPerMinuteMax, windowMs: minuteMs })
  const ofAll = createTally<'all'>({ clock, most: syncSessionsOfAllMax, windowMs: minuteMs })
  const scopes = new Map<string, SyncScope>()
  let serving = 0

  function scopeOf({ scope: name, tags }: SyncQuestion): SyncScope | undefined {
    const key = hex(name)
    const scope = tags === undefined ? scopes.get(key) : readScope(name, tags)
    if (scope === undefined) return undefined
    scopes.delete(key)
    scopes.set(key, scope)
    const [oldest] = scopes.keys()
    if (scopes.size > syncScopesKeptMax && oldest !== undefined) scopes.delete(oldest)
    return scope
  }
  function snapshotOf(scope: SyncScope, liveAt: number): Snapshot {
    const live = entries(scope.has).filter(({ expiresAt }) => expiresAt > liveAt)
    return { scope, liveAt, entries: live, sequence: createSequence(live), byName: undefined }
  }
  async function serve(stream: HostStream): Promise<void> {
    let snapshot: Snapshot | undefined
    let [bytes, hashes] = [0, 0]
    async function send(answer: SyncAnswer): Promise<void> {
      const frame = syncAnswerCodec.encode(answer)
      bytes += frame.length
      if (bytes > syncServedBytesMax) throw new MeshError('ERR_OVERLOADED', 'one session was answered enough')
      await stream.send(frame)
    }
    for await (const frame of stream.frames) {
      const question = syncQuestionCodec.decode(frame)
      if (snapshot === undefined || hex(snapshot.scope.name) !== hex(question.scope) || snapshot.liveAt !== question.liveAt) {
        const scope = snapshot === undefined ? scopeOf(question) : undefined
        if (snapshot !== undefined) throw new MeshError('ERR_PROTOCOL', 'a session is about one scope at one time')
        if (scope === undefined) {
          await send({ known: false, more: false, ranges: [], items: [] })
          continue
        }
        snapshot = snapshotOf(scope, question.liveAt)
      }
      const { sequence, scope } = snapshot
      const ranges = answerRanges(sequence, question.ranges, (count) => {
        hashes += count
        if (hashes > syncHashesPerIdMax * (sequence.size + syncItemsMax)) throw new MeshError('ERR_OVERLOADED', 'one session was compared enough')
      })
      if (question.wants.length > 0) snapshot.byName ??= new Map(snapshot.entries.map((entry, index) => [hex(sequence.nameAt(index)), entry]))
      const wanted = question.wants.flatMap((name) => snapshot?.byName?.get(hex(name)) ?? [])
      const newer = question.headsAfter === undefined ? [] : (await heads(scope.has, question.headsAfter)).slice(0, syncHeadsMax)
      const frames = inFrames([...newer, ...wanted])
      await send({ known: true, more: frames.length > 0, ranges, items: [] })
      for (const [index, items] of frames.entries()) await send({ known: true, more: index < frames.length - 1, ranges: [], items })
    }
    await stream.close()
  }
  host.handle(attSyncProtocol, { frameBytesMax: syncFrameBytesMax, inboundStreamsMax: 2 }, async (stream) => {
    let cancel = (): void => undefined
    try {
      if (!sessions.count(stream.peer) || !ofAll.count('all') || serving >= syncSessionsServedMax) {
        throw new MeshError('ERR_OVERLOADED', 'no more statements are compared now')
      }
      serving++
      cancel = clock.after(syncServedMsMax, () => stream.abort(new MeshError('ERR_TIMEOUT', `a session takes at most ${syncServedMsMax} ms`)))
      await serve(stream).finally(() => serving--)
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('sync stream ended', { peer: stream.peer, code: reason.code })
      stream.abort(reason)
    } finally {
      cancel()
    }
  })
}

const itemOverheadBytes = 32

/** Statements in as few frames as hold them. */
function inFrames(items: readonly SyncItem[]): readonly (readonly SyncItem[])[] {
  const frames: SyncItem[][] = []
  let room = 0
  for (const { kind, bytes } of items) {
    const size = bytes.length + itemOverheadBytes
    const frame = frames.at(-1)
    if (frame === undefined || size > room || frame.length === syncItemsMax) {
      frames.push([{ kind, bytes }])
      room = syncFrameBytesMax - 1_024 - size
    } else {
      frame.push({ kind, bytes })
      room -= size
    }
  }
  return frames
}
