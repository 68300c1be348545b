import type { Audit } from '../audit/index.ts'
import { type Clock, dayMs, type Did, type Logger, MeshError, toMeshError } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Decision } from '../policy/index.ts'
import type { Store } from '../store/index.ts'
import { type Level, TrustLevel } from '../trust/index.ts'
import type { EventHub } from './events.ts'
import { openPending, type Pending, type PendingPeer } from './pending.ts'
import { openPetnames, type Petnames } from './petnames.ts'
import type { Trust } from './trust.ts'

/** How long an approval counts unless it says otherwise. */
export const approvalLifetimeMsDefault = 90 * dayMs

export interface Approval {
  /** VERIFIED unless given. */
  readonly level?: Level | undefined
  /** The scope it was refused in, unless given. */
  readonly scopes?: readonly string[] | undefined
  readonly lifetimeMs?: number | undefined
  /** AUTHORITY is given only when this is true. */
  readonly confirmed?: boolean | undefined
}

/** The operator's own names for peers, and the peers that wait for the operator. */
export interface PeopleDoors {
  readonly names: Omit<Petnames, 'find'>
  readonly pending: Pick<Pending, 'list' | 'reject'> & {
    /** Signs a statement about a peer that waits, and takes it off the list. @throws ERR_NOT_FOUND, ERR_TRUST_INVALID, ERR_POLICY_DENIED */
    approve(did: Did, approval?: Approval): Promise<{ readonly did: Did; readonly id: string; readonly level: Level; readonly scopes: readonly string[] }>
  }
}

export interface People {
  readonly doors: PeopleDoors
  find(text: string): Did | undefined
  nameOf(did: Did): string | undefined
  watch<T>(from: Did, scope: string, decision: Decision<T>): Decision<T>
  stop(): void
}

export interface PeopleParts {
  readonly store: Store
  readonly keyring: Keyring
  readonly audit: Audit
  readonly clock: Clock
  readonly logger: Logger
  readonly events: EventHub
  readonly trust: Trust
}

export async function openPeople({ store, keyring, events, trust, logger, ...parts }: PeopleParts): Promise<People> {
  const self = keyring.identity
  const { subject } = trust.chains
  const names = await openPetnames({ ...parts, store: store.sub('petnames'), self, subject })
  const pending = await openPending({
    ...parts,
    logger,
    store: store.sub('pending'),
    self,
    subject,
    isDistrusted: (did, scope) => trust.level(did, scope) < TrustLevel.UNKNOWN,
    onNew: ({ did, scope }: PendingPeer) => events.emit({ event: 'pending', did, scope }),
  })
  // Whom the operator says something about waits no longer, by whatever door it was said.
  const stop = events.on((event) => {
    if (event.event !== 'attestation' || event.change !== 'issued' || event.issuer !== self) return
    pending.settle(event.subject).catch((error: unknown) => logger.warn('a peer still waits', { code: toMeshError(error).code }))
  })
  async function approve(did: Did, approval: Approval = {}): ReturnType<PeopleDoors['pending']['approve']> {
    const waiting = pending.get(did)
    const { level = TrustLevel.VERIFIED, scopes = [waiting.scope], lifetimeMs = approvalLifetimeMsDefault, confirmed = false } = approval
    if (level < TrustLevel.BASIC) throw new MeshError('ERR_USAGE', 'an approval is basic or more', { hint: '`kindmesh pending reject` turns somebody away' })
    checkAuthority(level, confirmed)
    const { id } = await trust.doors.attest({ subject: waiting.did, level, scopes, lifetimeMs })
    await pending.settle(waiting.did)
    return { did: waiting.did, id, level, scopes }
  }
  return {
    doors: { names, pending: { list: pending.list, reject: pending.reject, approve } },
    find: names.find,
    nameOf: names.nameOf,
    watch: pending.watch,
    stop,
  }
}

/** AUTHORITY names others: nobody gives it away, or takes somebody on at it, by one word. @throws ERR_POLICY_DENIED */
export function checkAuthority(level: number, confirmed: boolean): void {
  if (level < TrustLevel.AUTHORITY || confirmed) return
  throw new MeshError('ERR_POLICY_DENIED', 'AUTHORITY vouches for others in your name', { hint: 'if you mean it, say so: --yes' })
}
