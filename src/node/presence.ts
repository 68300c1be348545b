import type { Clock, Did } from '../base/index.ts'
import type { Host } from '../net/index.ts'

/** Peers that have gone whose last time is remembered, the newest. */
export const awayPeersMax = 1_024

/** A peer that was connected since this node started and is not now. */
export interface AwayPeer {
  readonly did: Did
  readonly peerId: string
  /** ms since 1970 */
  readonly lastSeen: number
}

/** Who was here, and until when. */
export interface PresenceBook {
  /** Newest first. */
  away(): readonly AwayPeer[]
  stop(): void
}

export function createPresenceBook({ host, clock }: { readonly host: Pick<Host, 'onPeer'>; readonly clock: Pick<Clock, 'now'> }): PresenceBook {
  const gone = new Map<Did, AwayPeer>()
  const stop = host.onPeer(({ event, peer: { did, peerId } }) => {
    // Again at the end: the map keeps the order of the last goodbyes.
    gone.delete(did)
    if (event === 'connected') return
    gone.set(did, { did, peerId, lastSeen: clock.now() })
    const [oldest] = gone.keys()
    if (gone.size > awayPeersMax && oldest !== undefined) gone.delete(oldest)
  })
  return { away: () => [...gone.values()].reverse(), stop }
}
