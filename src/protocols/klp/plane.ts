import { type Did, type Logger, MeshError, secondMs, type SignalOption, toMeshError } from '../../base/index.ts'
import type { Host, HostStream } from '../../net/index.ts'
import { type Hello, klpFrameBytesMax, klpProtocol, type Terms } from './frames.ts'
import { type Carried, createLink, type Link, type LinkOptions } from './link.ts'

/** Message streams one peer may hold towards us: one, and one more while two opens cross. */
export const klpInboundStreamsMax = 4
/** A quiet link is pinged this often. */
export const heartbeatMs = 30 * secondMs
/** A link whose ping is not answered by then is dropped. */
export const heartbeatTimeoutMs = 15 * secondMs

export interface PlaneOptions extends Pick<LinkOptions, 'clock'> {
  readonly host: Host
  readonly logger: Logger
  hello(): Promise<Hello>
  judge(peer: Did, hello: Hello): Promise<Terms>
  onRequest(peer: Did, sealed: Uint8Array, signals: readonly AbortSignal[]): ReturnType<LinkOptions['onRequest']>
  sealAnswers(peer: Did, answers: readonly Carried[]): Promise<Uint8Array>
  /** A peer agreed with us: its hello and what it grants. */
  onLink(link: Link): void
}

/** The message plane: at most one link a peer in use, opened when first needed. */
export interface Plane {
  /** The open link, or a new one. @throws ERR_NET_*, ERR_CAPABILITY_DENIED, ERR_PROTOCOL */
  link(peer: Did, options?: SignalOption): Promise<Link>
  find(peer: Did): Link | undefined
  has(peer: Did): boolean
  /** Tells every peer on a link what has changed in our hello. */
  renew(): void
  stop(): Promise<void>
}

export function createPlane({ host, clock, logger, hello, judge, onRequest, sealAnswers, onLink }: PlaneOptions): Plane {
  const links = new Map<Did, Link>()
  const opening = new Map<Did, Promise<Link>>()
  const every = new Set<Link>()
  let stopped = false

  async function adopt(stream: HostStream): Promise<Link> {
    const { peer } = stream
    const link = await createLink({
      stream,
      clock,
      hello,
      judge: (peerHello) => judge(peer, peerHello),
      onRequest: (sealed, signals) => onRequest(peer, sealed, signals),
      sealAnswers: (answers) => sealAnswers(peer, answers),
    })
    every.add(link)
    // Of two crossing opens each side keeps using the one it has; both stay served until they end. A direct one is worth a move.
    const known = links.get(peer)
    if (known === undefined || isBetter(link, known)) links.set(peer, link)
    if (known !== undefined && isBetter(link, known)) retire(known)
    const stopHeart = beat(link)
    void link.closed.then(() => {
      stopHeart()
      every.delete(link)
      if (links.get(peer) === link) links.delete(peer)
    })
    if (stopped) await link.close()
    else onLink(link)
    return link
  }
  /** Ends a link that is no longer used once nobody waits on it. */
  function retire(link: Link): void {
    const cancel = clock.after(heartbeatMs, () => {
      if (link.isIdle) void link.close()
      else retire(link)
    })
    void link.closed.then(cancel)
  }
  function beat(link: Link): () => void {
    let cancel: () => void
    const next = (): void => {
      cancel = clock.after(heartbeatMs, () => {
        link.ping({ signal: clock.timeout(heartbeatTimeoutMs, 'the heartbeat') }).then(next, (error: unknown) => {
          logger.info('link lost its heartbeat', { peer: link.peer, reason: toMeshError(error).code })
          void link.close()
        })
      })
    }
    next()
    return () => cancel()
  }
  async function open(peer: Did, signal: AbortSignal | undefined): Promise<Link> {
    const stream = await host.open(peer, klpProtocol, { frameBytesMax: klpFrameBytesMax, ...(signal === undefined ? {} : { signal }) })
    return await adopt(stream)
  }

  host.handle(klpProtocol, { frameBytesMax: klpFrameBytesMax, inboundStreamsMax: klpInboundStreamsMax }, async (stream) => {
    if (stopped) {
      stream.abort(new MeshError('ERR_STOPPED', 'stopping'))
      return
    }
    try {
      await (
        await adopt(stream)
      ).closed
    } catch (error) {
      const { code, message } = toMeshError(error)
      logger.info('link refused', { peer: stream.peer, code, message })
    }
  })

  const stopWatching = host.onUpgrade(({ did }) => {
    if (stopped || links.get(did)?.route !== 'relayed') return
    open(did, clock.timeout(30 * secondMs, 'opening a link')).catch((error: unknown) => {
      logger.info('link stays on the relay', { peer: did, reason: toMeshError(error).code })
    })
  })

  return {
    find: (peer) => links.get(peer),
    has: (peer) => links.has(peer),
    async link(peer, { signal } = {}) {
      if (stopped) throw new MeshError('ERR_STOPPED', 'stopping')
      if (peer === host.did) throw new MeshError('ERR_USAGE', 'that is this node itself', { hint: 'name another peer' })
      const known = links.get(peer)
      if (known !== undefined) return known
      signal?.throwIfAborted()
      // One open at a time; a caller that gives up leaves the open to the others.
      const shared =
        opening.get(peer) ??
        open(peer, clock.timeout(30 * secondMs, 'opening a link')).finally(() => {
          opening.delete(peer)
        })
      opening.set(peer, shared)
      return await untilAborted(shared, signal)
    },
    renew() {
      for (const link of every) link.renew()
    },
    async stop() {
      stopped = true
      stopWatching()
      await Promise.allSettled([...every].map((link) => link.close()))
    },
  }
}

const isBetter = (link: Link, known: Link): boolean => link.route === 'direct' && known.route === 'relayed'

/** The promise, or the signal's reason, whichever is first. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise
  return await new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
