import { type Clock, secondMs } from '../base/index.ts'

/** Whether the credentials of answers that go on are still good is asked this often, and a comment sent on streams of events, so that both sides see when the other is gone. */
export const heartbeatMs = 15 * secondMs

/** What an answer that goes on hears. */
export interface Lease {
  /** Has the credential it was opened with not ended? */
  isStillGood(): boolean
  /** It has: called once. */
  end(): void
  /** It has not, at a beat. */
  beat?(): void
}

/** Answers that go on: streams of events and of lines end with the credential they were opened with. Source: api/v1 [6.3], [6.5]. */
export interface Leases {
  /** From now on. Returns how to give it back. */
  hold(lease: Lease): () => void
  /** Asks all: after a call that may have ended a credential. */
  check(): void
  stop(): void
}

export function createLeases({ clock }: { readonly clock: Clock }): Leases {
  const held = new Set<Lease>()
  function ask(lease: Lease): boolean {
    if (lease.isStillGood()) return true
    // Once: whoever ends may be asked again on the way out.
    if (held.delete(lease)) lease.end()
    return false
  }
  let cancel = (): void => undefined
  const wait = (): void => {
    cancel = clock.after(heartbeatMs, () => {
      for (const lease of held) if (ask(lease)) lease.beat?.()
      wait()
    })
  }
  wait()
  return {
    hold(lease) {
      held.add(lease)
      return () => void held.delete(lease)
    },
    check() {
      for (const lease of held) ask(lease)
    },
    stop: () => cancel(),
  }
}
