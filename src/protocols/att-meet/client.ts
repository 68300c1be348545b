import { type Did, MeshError, toMeshError } from '../../base/index.ts'
import type { Host } from '../../net/index.ts'
import { listAnswerCodec, listCodec, meetFrameBytesMax, type MeetItem, type MeetOutcome, meetProtocol, putAnswerCodec, putCodec } from './codec.ts'

interface Signalled {
  readonly signal: AbortSignal
}

/** Leaves statements with a peer; what became of each. @throws ERR_NET_*, ERR_WIRE_*, ERR_PROTOCOL */
export async function putAtMeeting(host: Host, peer: Did, items: readonly MeetItem[], options: Signalled): Promise<readonly MeetOutcome[]> {
  const outcomes = putAnswerCodec.decode(await ask(host, peer, putCodec.encode({ ask: 'put', items }), options))
  if (outcomes.length !== items.length) throw new MeshError('ERR_PROTOCOL', `${outcomes.length} outcomes of ${items.length} statements`)
  return outcomes
}

/** What a peer holds about `subject`, unverified; it may be about somebody else. @throws ERR_NET_*, ERR_WIRE_*, ERR_PROTOCOL */
export async function listAtMeeting(host: Host, peer: Did, subject: Did, options: Signalled): Promise<readonly MeetItem[]> {
  return listAnswerCodec.decode(await ask(host, peer, listCodec.encode({ ask: 'list', subject }), options))
}

async function ask(host: Host, peer: Did, request: Uint8Array, { signal }: Signalled): Promise<Uint8Array> {
  const stream = await host.open(peer, meetProtocol, { frameBytesMax: meetFrameBytesMax, signal })
  const onAbort = (): void => stream.abort(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    await stream.send(request)
    for await (const frame of stream.frames) {
      await stream.close()
      return frame
    }
    throw new MeshError('ERR_NET_CLOSED', 'the peer gave no answer')
  } catch (error) {
    stream.abort(toMeshError(error))
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
