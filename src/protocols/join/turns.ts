import { type Clock, MeshError, secondMs, type SignalOption } from '../../base/index.ts'
import type { HostStream } from '../../net/index.ts'

/** Time one side waits for the other's next frame. Source: join/v1 section 4. */
export const joinAnswerMsMax = 20 * secondMs

/** Reads one frame after the other, each within its time. */
export interface Turns {
  /** @throws ERR_TIMEOUT, ERR_NET_CLOSED when the other side ended the stream */
  next(what: string): Promise<Uint8Array>
}

export function turnsOf(stream: HostStream, clock: Clock): Turns {
  const frames = stream.frames[Symbol.asyncIterator]()
  return {
    async next(what) {
      const late = new MeshError('ERR_TIMEOUT', `no ${what} in time`)
      let isLate = false
      const stop = clock.after(joinAnswerMsMax, () => {
        isLate = true
        stream.abort(late)
      })
      try {
        const result: IteratorResult<Uint8Array, void> = await frames.next()
        if (result.done === true) throw isLate ? late : new MeshError('ERR_NET_CLOSED', `the other side ended the stream before its ${what}`)
        return result.value
      } catch (error) {
        throw isLate ? late : error
      } finally {
        stop()
      }
    },
  }
}

/** Runs a conversation and drops the stream when it fails or the caller has had enough. */
export async function conversing<T>(stream: HostStream, { signal }: SignalOption, converse: () => Promise<T>): Promise<T> {
  const onAbort = (): void => stream.abort(signal?.reason as Error)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted === true) onAbort()
  try {
    const result = await converse()
    await stream.close()
    return result
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error(String(error)))
    signal?.throwIfAborted()
    throw error
  } finally {
    signal?.removeEventListener('abort', onAbort)
  }
}
