import { type Did, MeshError } from '../../src/base/index.ts'
import type { HostStream } from '../../src/net/index.ts'

export interface PairedStream extends HostStream {
  /** Frames written so far. */
  readonly sent: Uint8Array[]
  /** While true, `send` does not resolve: the other side does not read. */
  stuck: boolean
}

/** Two ends of a stream in memory; what one sends the other reads, in order. */
export function createStreamPair(left: Did, right: Did): readonly [PairedStream, PairedStream] {
  const ends: [PairedStream, PairedStream] = [end(right, () => ends[1]), end(left, () => ends[0])]
  return ends
}

interface Inner extends PairedStream {
  take(frame: Uint8Array): void
  finish(error?: MeshError): void
}

function end(peer: Did, other: () => PairedStream): Inner {
  const waiting: Uint8Array[] = []
  let wake: (() => void) | undefined
  let over: { readonly error: MeshError | undefined } | undefined
  const stream: Inner = {
    peer,
    protocol: '/test/1',
    route: 'direct',
    sent: [],
    stuck: false,
    async send(frame) {
      if (over !== undefined) throw over.error ?? new MeshError('ERR_NET_CLOSED', 'closed')
      stream.sent.push(frame)
      ;(other() as Inner).take(frame)
      if (stream.stuck) await new Promise(() => undefined)
    },
    frames: {
      async *[Symbol.asyncIterator]() {
        for (;;) {
          const frame = waiting.shift()
          if (frame !== undefined) yield frame
          else if (over !== undefined) {
            if (over.error !== undefined) throw over.error
            return
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve
            })
          }
        }
      },
    },
    async close() {
      stream.finish()
      ;(other() as Inner).finish()
    },
    abort(reason) {
      stream.finish(new MeshError('ERR_NET_CLOSED', reason.message))
      ;(other() as Inner).finish(new MeshError('ERR_NET_CLOSED', 'reset'))
    },
    take(frame) {
      waiting.push(frame)
      wake?.()
    },
    finish(error) {
      over ??= { error }
      wake?.()
    },
  }
  return stream
}
