import { type Did, didFromKey } from '../../src/base/index.ts'
import type { Host, HostStream, StreamHandler } from '../../src/net/index.ts'
import { serveAttSync } from '../../src/protocols/att-sync/index.ts'
import { createStreamPair } from './stream-pair.ts'

/** What the protocol makes of one stream, without a network. */
export function served(options: Omit<Parameters<typeof serveAttSync>[0], 'host'>): StreamHandler {
  let handler: StreamHandler | undefined
  const host: Pick<Host, 'handle'> = { handle: (_protocol, _options, handle) => (handler = handle) }
  serveAttSync({ ...options, host: host as Host })
  if (handler === undefined) throw new Error('nothing was registered')
  return handler
}

const [left, right]: readonly [Did, Did] = [didFromKey(new Uint8Array(32).fill(1)), didFromKey(new Uint8Array(32).fill(2))]

/** A host whose every stream leads to `serve`. */
export const hostTo = (serve: StreamHandler): Host =>
  ({
    open: async (): Promise<HostStream> => {
      const [mine, theirs] = createStreamPair(left, right)
      // As on a host, which resets the stream.
      void (async () => await serve(theirs))().catch(() => undefined)
      return mine
    },
  }) as unknown as Host
