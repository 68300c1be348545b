import { MeshError, secondMs, type SignalOption } from '../../base/index.ts'

/** Requests that may wait for credit; more are refused here. */
export const requestsQueuedMax = 4_096

/** What one side may have unanswered at a time, in requests and in bytes; the rest waits its turn. Source: klp/v1 section 6. */
export interface Credit {
  /** Resolves once `bytes` are reserved, in the order of the calls. @throws ERR_OVERLOADED, the signal's reason, what `end` was given */
  take(bytes: number, options?: SignalOption & { readonly requests?: number }): Promise<void>
  /** Returns what was taken; those who wait and now fit go on. */
  give(bytes: number, requests?: number): void
  /** Fails everybody who waits. */
  end(reason: MeshError): void
}

interface Waiting {
  readonly bytes: number
  readonly requests: number
  settle(error?: Error): void
}

export function createCredit({ bytesMax, requestsMax }: { readonly bytesMax: number; readonly requestsMax: number }): Credit {
  const queue: Waiting[] = []
  let bytesTaken = 0
  let requestsTaken = 0

  // A request larger than the whole window goes alone.
  const fits = (bytes: number, requests: number): boolean => requestsTaken === 0 || (requestsTaken + requests <= requestsMax && bytesTaken + bytes <= bytesMax)
  function reserve(bytes: number, requests: number): void {
    requestsTaken += requests
    bytesTaken += bytes
  }
  function goOn(): void {
    for (let first = queue[0]; first !== undefined && fits(first.bytes, first.requests); first = queue[0]) {
      queue.shift()
      reserve(first.bytes, first.requests)
      first.settle()
    }
  }
  return {
    take(bytes, { signal, requests = 1 } = {}) {
      if (queue.length === 0 && fits(bytes, requests)) {
        reserve(bytes, requests)
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
          requests,
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
    give(bytes, requests = 1) {
      requestsTaken -= requests
      bytesTaken -= bytes
      goOn()
    },
    end(reason) {
      for (const { settle } of queue.splice(0)) settle(reason)
    },
  }
}
