import { type Clock, createTally, type Did, MeshError, minuteMs } from '../base/index.ts'

/** Signatures that one peer may make this node check in vain, per minute. Source: trust/v1 section 6. */
export const failuresPerPeerMax = 32

/** Who hands over forgeries is not listened to for a while. */
export interface VerifyBudget {
  /** @throws ERR_OVERLOADED when the peer has used up its budget */
  check(peer: Did | undefined): void
  isSpent(peer: Did | undefined): boolean
  failed(peer: Did | undefined): void
}

export function createVerifyBudget(clock: Pick<Clock, 'monotonic'>): VerifyBudget {
  const tally = createTally<Did>({ clock, most: failuresPerPeerMax - 1, windowMs: minuteMs })
  const spent = new Map<Did, number>()
  const isSpent = (peer: Did | undefined): boolean => {
    const until = peer === undefined ? undefined : spent.get(peer)
    if (peer === undefined || until === undefined) return false
    if (clock.monotonic() < until) return true
    spent.delete(peer)
    return false
  }
  return {
    isSpent,
    check(peer) {
      if (isSpent(peer)) throw new MeshError('ERR_OVERLOADED', `${failuresPerPeerMax} signatures that this peer handed over did not match`)
    },
    failed(peer) {
      if (peer !== undefined && !tally.count(peer)) spent.set(peer, clock.monotonic() + minuteMs)
    },
  }
}
