import { type Did, MeshError } from '../../base/index.ts'
import type { Host } from '../../net/index.ts'
import { listAnswerCodec, listCodec, meetFrameBytesMax, type MeetItem, type MeetOutcome, meetProtocol, putAnswerCodec, putCodec } from './codec.ts'
import { withStream } from '../with-stream.ts'

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
  return await withStream(host, peer, meetProtocol, { frameBytesMax: meetFrameBytesMax, signal }, async (stream) => {
    await stream.send(request)
    for await (const frame of stream.frames) return frame
    throw new MeshError('ERR_NET_CLOSED', 'the peer gave no answer')
  })
}
