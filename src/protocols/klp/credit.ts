import { MeshError, secondMs } from '../../base/index.ts'

/** Requests that may wait for credit; more are refused here. */
export const requestsQueuedMax = 4_096

/** What one side may have unanswered at a time, in requests and in bytes; the rest waits its turn. Source: klp/v1 section 6. */
export interface Credit {
  /** Resolves once `bytes` are reserved, in the order of the calls. @throws ERR_OVERLOADED, the signal's reason, what `end` was given */
  take(bytes: number, signal?: AbortSignal): Promise<void>
  /** Returns what was taken; those who wait and now fit go on. */
  give(bytes: number): void
  /** Fails everybody who waits. */
  end(reason: MeshError): void
}

interface Waiting {
  readonly bytes: number
  settle(error?: Error): void
}

export function createCredit({ bytesMax, requestsMax }: { readonly bytesMax: number; readonly requestsMax: number }): Credit {
  const queue: Waiting[] = []
  let bytesTaken = 0
  let requestsTaken = 0

  // A request larger than the whole window goes alone.
  const fits = (bytes: number): boolean => requestsTaken === 0 || (requestsTaken < requestsMax && bytesTaken + bytes <= bytesMax)
  function reserve(bytes: number): void {
    requestsTaken++
    bytesTaken += bytes
  }
  function goOn(): void {
    for (let first = queue[0]; first !== undefined && fits(first.bytes); first = queue[0]) {
      queue.shift()
      reserve(first.bytes)
      first.settle()
    }
  }
  return {
    take(bytes, signal) {
      if (queue.length === 0 && fits(bytes)) {
        reserve(bytes)
        return Promise.resolve()
      }
      if (queue.length >= requestsQueuedMax) {
        return Promise.reject(new MeshError('ERR_OVERLOADED', `${requestsQueuedMax} requests wait for this peer`, { details: { retryAfterMs: secondMs } }))
      }
      return new Promise((resolve, reject) => {
        const giveUp = (): void => {
          queue.splice(queue.indexOf(waiting), 1)
          reject(signal?.reason as Error)
          goOn()
        }
        const waiting: Waiting = {
          bytes,
          settle(error) {
            signal?.removeEventListener('abort', giveUp)
            if (error === undefined) resolve()
            else reject(error)
          },
        }
        queue.push(waiting)
        signal?.addEventListener('abort', giveUp, { once: true })
      })
    },
    give(bytes) {
      requestsTaken--
      bytesTaken -= bytes
      goOn()
    },
    end(reason) {
      for (const { settle } of queue.splice(0)) settle(reason)
    },
  }
}
