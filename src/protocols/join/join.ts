import { type Clock, type Did, type Logger, type SignalOption, toMeshError } from '../../base/index.ts'
import type { Host } from '../../net/index.ts'
import { refusalOf } from '../channel.ts'
import {
  askCodec,
  doneCodec,
  type Handed,
  type JoinAsk,
  joinFrameBytesMax,
  joinProtocol,
  readAnswer,
  refusalCodec,
  returnCodec,
  type Welcome,
  welcomeCodec,
} from './codec.ts'
import { conversing, turnsOf } from './turns.ts'

/** Streams one peer may hold open to join. Source: join/v1 section 4. */
export const joinStreamsPerPeerMax = 2

export interface JoinServerOptions {
  readonly host: Host
  readonly clock: Clock
  readonly logger: Logger
  /** Judges what `peer` (the key of the stream) asks; a coded error refuses it. `take` gets what the joiner signed in return. */
  admit(peer: Did, ask: JoinAsk): Promise<Welcome & { take(handed: Handed): Promise<void> }>
}

/** Serves `/kindmesh/join/1.0.0` at the inviter. */
export function serveJoins({ host, clock, logger, admit }: JoinServerOptions): void {
  host.handle(joinProtocol, { frameBytesMax: joinFrameBytesMax, inboundStreamsMax: joinStreamsPerPeerMax }, async (stream) => {
    const turns = turnsOf(stream, clock)
    try {
      const ask = askCodec.decode(await turns.next('request'))
      const { take, ...welcome } = await admit(stream.peer, ask)
      await stream.send(welcomeCodec.encode({ frame: 2, ...welcome }))
      await take(returnCodec.decode(await turns.next('statement')))
      await stream.send(doneCodec.encode({ frame: 4 }))
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('join refused or broken off', { peer: stream.peer, code: reason.code })
      try {
        await stream.send(refusalCodec.encode({ frame: 0, ...refusalOf(reason) }))
        await stream.close()
      } catch {
        stream.abort(reason)
      }
    }
  })
}

export interface JoinOptions extends SignalOption {
  readonly clock: Clock
  readonly ask: JoinAsk
  /** Judges the inviter's proof and statement, then signs in return. */
  judge(welcome: Welcome): Promise<Handed>
}

/** Joins at the inviter, reached under this key; both hold each other's statement when it resolves. @throws the inviter's coded refusal, what `judge` throws, ERR_NET_*, ERR_WIRE_*, ERR_TIMEOUT */
export async function joinAt(host: Host, inviter: Did, { clock, ask, judge, signal }: JoinOptions): Promise<void> {
  const stream = await host.open(inviter, joinProtocol, { frameBytesMax: joinFrameBytesMax, signal })
  await conversing(stream, { signal }, async () => {
    const turns = turnsOf(stream, clock)
    await stream.send(askCodec.encode({ frame: 1, ...ask }))
    const { frame: _, ...welcome } = readAnswer(await turns.next('answer'), welcomeCodec)
    await stream.send(returnCodec.encode({ frame: 3, ...(await judge(welcome)) }))
    readAnswer(await turns.next('last word'), doneCodec)
  })
}
