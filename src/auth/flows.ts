import { base64url, type Clock, minuteMs, type Random } from '../base/index.ts'
import { elapsedMs, moment, type Moment } from './elapsed.ts'

/** Ceremonies begun and not ended, over all; who began first makes room. Source: auth/v1 section 3. */
export const flowsMax = 256
/** Ceremonies of one session or one link at a time. */
export const flowsPerOwnerMax = 4
/** How long a ceremony may take. Source: auth/v1 section 3. */
export const flowLifeMs = 5 * minuteMs
const flowIdBytes = 24
const flowIdCharsMax = 64

/** Ceremonies that wait for an authenticator. Each is taken once: whoever comes second finds nothing. */
export interface Flows<T> {
  /** `owner` names the session or link it belongs to; nobody's when undefined. */
  open(value: T, owner?: string): string
  /** Takes it out, for good. */
  take(id: string): { readonly value: T; readonly isLate: boolean } | undefined
  /** Takes out all of an owner's. */
  drop(owner: string): void
}

export function createFlows<T>({ clock, random }: { readonly clock: Clock; readonly random: Random }): Flows<T> {
  const flows = new Map<string, { readonly value: T; readonly owner: string | undefined; readonly since: Moment }>()
  function makeRoom(owner: string | undefined): void {
    for (const [id, { since }] of flows) if (elapsedMs(clock, since) > 2 * flowLifeMs) flows.delete(id)
    const own = owner === undefined ? [] : [...flows].filter(([, flow]) => flow.owner === owner)
    for (const [id] of own.slice(0, Math.max(0, own.length - flowsPerOwnerMax + 1))) flows.delete(id)
    while (flows.size >= flowsMax) {
      // A crowd of strangers who begin to log in pushes out its own first.
      const oldest = [...flows].find(([, flow]) => flow.owner === undefined) ?? [...flows][0]
      if (oldest !== undefined) flows.delete(oldest[0])
    }
  }
  return {
    open(value, owner) {
      makeRoom(owner)
      const id = base64url(random.bytes(flowIdBytes))
      flows.set(id, { value, owner, since: moment(clock) })
      return id
    },
    take(id) {
      const flow = id.length <= flowIdCharsMax ? flows.get(id) : undefined
      if (flow === undefined) return undefined
      flows.delete(id)
      return { value: flow.value, isLate: elapsedMs(clock, flow.since) > flowLifeMs }
    },
    drop(owner) {
      for (const [id, flow] of flows) if (flow.owner === owner) flows.delete(id)
    },
  }
}
