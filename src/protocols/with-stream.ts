import { type Did, toMeshError } from '../base/index.ts'
import type { Host, HostStream } from '../net/index.ts'

export interface WithStreamOptions {
  readonly frameBytesMax: number
  readonly signal: AbortSignal
}

/**
 * Opens a stream to `peer`, does what `act` says and closes it; resets it when `act` throws or `signal` aborts.
 * @throws what `act` throws, the signal's reason once it aborted, ERR_NET_*, ERR_PROTOCOL when the peer does not speak it
 */
export async function withStream<T>(
  host: Host,
  peer: Did,
  protocol: string,
  { frameBytesMax, signal }: WithStreamOptions,
  act: (stream: HostStream) => Promise<T>,
): Promise<T> {
  const stream = await host.open(peer, protocol, { frameBytesMax, signal })
  const onAbort = (): void => stream.abort(toMeshError(signal.reason))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    const result = await act(stream)
    await stream.close()
    return result
  } catch (error) {
    stream.abort(toMeshError(error))
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
