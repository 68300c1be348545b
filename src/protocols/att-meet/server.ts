import { type Clock, createTally, type Did, type Logger, MeshError, minuteMs, secondMs, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { decodeMeetRequest, listAnswerCodec, meetFrameBytesMax, type MeetItem, type MeetOutcome, meetProtocol, putAnswerCodec } from './codec.ts'

/** Streams of one peer. trust/v1 section 5. */
export const meetStreamsPerPeerMax = 4
/** Requests of one peer in a minute. trust/v1 section 5. */
export const meetRequestsPerMinuteMax = 240
/** A stream on which nothing is asked, or whose answer is not taken, ends. */
export const meetIdleMs = 15 * secondMs

export interface MeetServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  put(peer: Did, items: readonly MeetItem[]): readonly MeetOutcome[]
  /** What is held about a subject, the most useful first. */
  list(peer: Did, subject: Did): readonly MeetItem[]
}

/** Serves `/kindmesh/att-meet/1.0.0`: statements about a subject are left here and asked for, one request after the other. Source: trust/v1 section 5. */
export function serveMeeting({ host, clock, logger, put, list }: MeetServerOptions): void {
  const tally = createTally<Did>({ clock, most: meetRequestsPerMinuteMax, windowMs: minuteMs })
  host.handle(meetProtocol, { frameBytesMax: meetFrameBytesMax, inboundStreamsMax: meetStreamsPerPeerMax }, async (stream) => {
    try {
      const frames = stream.frames[Symbol.asyncIterator]()
      for (;;) {
        const next = await limited(clock, stream, frames.next())
        if (next.done === true) break
        if (!tally.count(stream.peer)) throw new MeshError('ERR_OVERLOADED', 'too many requests', { details: { retryAfterMs: minuteMs } })
        const request = decodeMeetRequest(next.value)
        const answer =
          request.ask === 'put' ? putAnswerCodec.encode(put(stream.peer, request.items)) : listAnswerCodec.encode(list(stream.peer, request.subject))
        await limited(clock, stream, stream.send(answer))
      }
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('rendezvous stream ended', { peer: stream.peer, code: reason.code })
      stream.abort(reason)
    }
  })
}

async function limited<T>(clock: Clock, stream: HostStream, act: Promise<T>): Promise<T> {
  const stop = clock.after(meetIdleMs, () => stream.abort(new MeshError('ERR_TIMEOUT', 'nothing was asked or taken')))
  return await act.finally(stop)
}
