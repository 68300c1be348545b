import { MeshError, type ErrorCode } from '../base/index.ts'

/** libp2p's error names that mean one of our codes; the first that is found in the error, its parts or its causes wins. */
const codes: readonly (readonly [name: string, code: ErrorCode])[] = [
  ['UnsupportedProtocolError', 'ERR_PROTOCOL'],
  ['TooManyOutboundProtocolStreamsError', 'ERR_NET_LIMIT'],
  ['DialDeniedError', 'ERR_NET_LIMIT'],
  ['InvalidMultiaddrError', 'ERR_NET_ADDRESS'],
  ['UnsupportedListenAddressesError', 'ERR_NET_ADDRESS'],
]

const depthMax = 5
const identityCode = ['UnexpectedPeerError', 'ERR_NET_IDENTITY'] as const
/** The upgrader wraps what noise and tls throw and keeps only its words. */
const isWrongIdentity = ({ name, message }: Error): boolean =>
  name === identityCode[0] || /does not match expected remote identity|unexpected peer/i.test(message)

function* within(error: unknown, depth = 0): Generator<Error> {
  if (!(error instanceof Error) || depth > depthMax) return
  yield error
  if (error instanceof AggregateError) for (const part of error.errors) yield* within(part, depth + 1)
  yield* within(error.cause, depth + 1)
}

/** Turns what libp2p threw into a MeshError. An abort by the caller's own signal gives its reason; our deadline is one way not to reach a peer. */
export function netError(error: unknown, fallback: ErrorCode, what: string, signal?: AbortSignal): MeshError {
  if (error instanceof MeshError) return error
  if (signal?.aborted === true) {
    return signal.reason instanceof MeshError ? signal.reason : new MeshError('ERR_ABORTED', `${what}: cancelled`, { cause: signal.reason })
  }
  const parts = [...within(error)]
  const ours = parts.find((part) => part instanceof MeshError && part.code !== 'ERR_TIMEOUT')
  if (ours instanceof MeshError) return ours
  const found = parts.some(isWrongIdentity) ? identityCode : codes.find(([name]) => parts.some((part) => part.name === name))
  const message = error instanceof Error ? error.message : String(error)
  return new MeshError(found?.[1] ?? fallback, `${what}: ${message}`, { cause: error })
}
