import type { Connection, StreamMessageEvent } from '@libp2p/interface'
import { type Clock, concat, equal, MeshError, type Random } from '../base/index.ts'
import { plain } from './frames.ts'
import { closedError } from './libp2p-stream.ts'
import { orAborted } from './promises.ts'

const pingProtocol = '/ipfs/ping/1.0.0'
const pingBytes = 32

/** Round trip of 32 bytes on this very connection, ms. Source: libp2p ping 1.0.0. @throws ERR_PROTOCOL, ERR_NET_CLOSED */
export async function pingOn(
  connection: Connection,
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  signal: AbortSignal,
): Promise<number> {
  const stream = await connection.newStream([pingProtocol], { signal, runOnLimitedConnection: true })
  const sent = random.bytes(pingBytes)
  const back = Promise.withResolvers<void>()
  let got: Uint8Array = new Uint8Array()
  stream.addEventListener('message', ({ data }: StreamMessageEvent) => {
    got = concat(got, plain(data.subarray()))
    if (got.length < pingBytes) return
    if (equal(got, sent)) back.resolve()
    else back.reject(new MeshError('ERR_PROTOCOL', 'the ping came back as something else'))
  })
  stream.addEventListener('close', () => back.reject(closedError(pingProtocol)))
  const start = clock.monotonic()
  try {
    stream.send(sent)
    await orAborted(back.promise, signal)
    return clock.monotonic() - start
  } finally {
    stream.close().catch(() => undefined)
  }
}
