import { type Audit, peerCompared } from '../audit/index.ts'
import { type Clock, createTally, dayMs, type Did, type Logger, MeshError, minuteMs, type Random, type SignalOption } from '../base/index.ts'
import { taskScope } from '../policy/index.ts'
import type { Host } from '../net/index.ts'
import { compareWith, type Sas, serveSas } from '../protocols/join/index.ts'
import { type Level, TrustLevel } from '../trust/index.ts'
import type { EventHub } from './events.ts'
import { checkAuthority } from './people.ts'
import type { Trust } from './trust.ts'

/** How long two people have to read to each other. Source: join/v1 section 7. */
export const sasOpenMsMax = 10 * minuteMs
/** Comparisons that one peer may begin in that time: each is a guess of somebody in the middle. Source: join/v1 section 7. */
export const sasAttemptsMax = 3
/** Comparisons under way at a time. Source: join/v1 section 7. */
export const sasSessionsMax = 64
/** How long what is signed after a comparison lives, unless it is said. */
export const sasLifetimeMsDefault = 90 * dayMs

export interface Comparison extends Sas {
  readonly did: Did
  /** ms since 1970 */
  readonly expiresAt: number
}

export interface Acceptance {
  /** What the other side reads: its six words, or its six digits. */
  readonly heard: string
  readonly level?: Level | undefined
  readonly scopes?: readonly string[] | undefined
  readonly lifetimeMs?: number | undefined
  readonly confirmed?: boolean | undefined
}

/** Getting the first trust where two people can talk and have nothing to scan. */
export interface CompareDoors {
  /** What to read to each other; the same for both while it is open. @throws ERR_NET_*, ERR_OVERLOADED, ERR_SAS_MISMATCH */
  begin(peer: Did, options?: SignalOption): Promise<Comparison>
  /** Signs a statement about the peer if that is what it reads, else ends the comparison. @throws ERR_SAS_MISMATCH, ERR_NOT_FOUND, ERR_POLICY_DENIED, ERR_TRUST_INVALID */
  accept(peer: Did, acceptance: Acceptance): Promise<{ readonly did: Did; readonly id: string; readonly level: Level; readonly scopes: readonly string[] }>
}

export interface CompareParts {
  readonly host: Host
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly events: EventHub
  readonly trust: Trust
  readonly self: Did
  dial(target: string, options?: SignalOption): Promise<{ readonly did: Did }>
}

interface Session extends Comparison {
  readonly key: Did
  /** Somebody here has seen it: nothing takes its place unasked. */
  isShown: boolean
}

const plain = (text: string): string =>
  text
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part !== '')
    .join(' ')

export function createCompare({ trust, events, audit, dial, self, ...parts }: CompareParts): CompareDoors {
  const { clock } = parts
  const { chains, doors } = trust
  const sessions = new Map<Did, Session>()
  /** Peers that this side is asking right now. */
  const asking = new Set<Did>()
  const attempts = createTally<Did>({ clock, most: sasAttemptsMax, windowMs: sasOpenMsMax })
  const sasParts = { ...parts, self, identityOf: chains.subject }

  function live(did: Did): Session | undefined {
    const session = sessions.get(did)
    if (session === undefined || clock.now() < session.expiresAt) return session
    sessions.delete(did)
    return undefined
  }
  /** Room for one more; what somebody here has seen makes none. */
  function makeRoom(): void {
    for (const each of [...sessions.keys()]) live(each)
    if (sessions.size < sasSessionsMax) return
    const oldest = [...sessions.values()].find(({ isShown }) => !isShown)
    if (oldest === undefined) throw new MeshError('ERR_OVERLOADED', `${sasSessionsMax} comparisons are under way`)
    sessions.delete(oldest.did)
  }
  function keep(key: Did, sas: Sas): Session {
    const did = chains.subject(key)
    const session = { ...sas, did, key, expiresAt: clock.now() + sasOpenMsMax, isShown: false }
    sessions.delete(did)
    makeRoom()
    sessions.set(did, session)
    return session
  }
  function show(session: Session): Comparison {
    session.isShown = true
    const { did, words, digits, expiresAt } = session
    return { did, words, digits, expiresAt }
  }
  serveSas(sasParts, {
    admit(key) {
      chains.check(key)
      const did = chains.subject(key)
      if (live(did)?.isShown === true) throw new MeshError('ERR_OVERLOADED', 'a comparison is under way', { hint: 'end it first' })
      // Of two that ask at once the lower one is answered.
      if (asking.has(did) && self < did) throw new MeshError('ERR_OVERLOADED', 'both asked at once: ask again')
      if (!attempts.count(did)) throw new MeshError('ERR_OVERLOADED', 'too many comparisons; wait 10 minutes')
    },
    onSas(key, sas) {
      const { did } = keep(key, sas)
      events.emit({ event: 'comparison', did })
    },
  })
  return {
    async begin(peer, { signal } = {}) {
      const did = chains.subject(peer)
      if (did === self) throw new MeshError('ERR_USAGE', 'nobody compares with himself')
      const known = live(did)
      if (known !== undefined) return show(known)
      asking.add(did)
      try {
        await dial(did, { signal })
        const key = chains.currentKnown(did)
        const sas = await compareWith(sasParts, key, { signal })
        // What the other side began meanwhile is what it shows.
        return show(live(did) ?? keep(key, sas))
      } catch (error) {
        // The other side asked at the same time, and was answered here.
        const theirs = live(did)
        if (theirs === undefined) throw error
        return show(theirs)
      } finally {
        asking.delete(did)
      }
    },
    async accept(peer, { heard, level = TrustLevel.VERIFIED, scopes = [taskScope], lifetimeMs = sasLifetimeMsDefault, confirmed = false }) {
      const did = chains.subject(peer)
      const session = live(did)
      if (session === undefined || !session.isShown) {
        throw new MeshError('ERR_NOT_FOUND', 'nothing was compared with this peer', { hint: 'begin with `kindmesh verify-peer <peer>` on both sides' })
      }
      if (level < TrustLevel.BASIC) throw new MeshError('ERR_USAGE', 'a comparison gives basic or more')
      checkAuthority(level, confirmed)
      const isSame = [session.words.join(' '), session.digits].includes(plain(heard))
      // One look each: who may try again and again may guess.
      sessions.delete(did)
      await audit.record(peerCompared({ did: self, peer: did, key: session.key, same: isSame }))
      if (!isSame) throw new MeshError('ERR_SAS_MISMATCH', 'the two sides do not read the same')
      chains.check(session.key)
      const { id } = await doors.attest({ subject: did, level, scopes, lifetimeMs })
      return { did, id, level, scopes }
    },
  }
}
