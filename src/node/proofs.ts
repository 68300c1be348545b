import type { Inbox, Taker } from '../agents/index.ts'
import type { Audit } from '../audit/index.ts'
import { type Clock, type Did, type Logger } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import { messageScope, taskScope } from '../policy/index.ts'
import type { Store } from '../store/index.ts'
import { TrustLevel } from '../trust/index.ts'
import { type Authorities, openAuthorities } from './authorities.ts'
import type { DomainSources } from './domain-proof.ts'
import { type Domains, openDomains } from './domains.ts'
import type { EventHub } from './events.ts'
import { introduce, type Introduced, type IntroduceOptions, type IntroduceParts, introductionTaker, introductionType } from './introduce.ts'
import type { Trust } from './trust.ts'

/** Trust that others help to begin: a domain, a list that several sign, somebody who knows both. Source: join/v1 sections 11 to 13. */
export interface ProofDoors {
  readonly domains: Domains
  readonly authorities: Authorities
  /** Vouches for each of two to the other and tells both. @throws ERR_USAGE */
  introduce(pair: readonly [Did, Did], options?: IntroduceOptions): Promise<readonly Introduced[]>
}

export interface ProofParts {
  readonly store: Store
  readonly keyring: Keyring
  readonly host: Host
  readonly clock: Clock
  readonly audit: Audit
  readonly logger: Logger
  readonly events: EventHub
  readonly inbox: Pick<Inbox, 'keep'>
  readonly trust: Trust
  readonly sources: DomainSources
  send: IntroduceParts['send']
}

export async function openProofs(parts: ProofParts): Promise<{ readonly doors: ProofDoors; readonly taker: Taker; stop(): void }> {
  const { store, keyring, host, clock, events, trust, inbox } = parts
  const { chains, book } = trust
  const self = keyring.identity
  const domains = await openDomains({ ...parts, store: store.sub('domains'), self, trust: trust.doors, subject: chains.subject })
  const authorities = await openAuthorities({ ...parts, store: store.sub('authority-lists'), book: chains, derive: book.setDerived })
  const taker = introductionTaker({
    isKnown: (from) => [taskScope, messageScope].some((scope) => trust.level(from, scope) >= TrustLevel.BASIC),
    learn: (key, addresses) => host.learn(key, addresses),
    keep: inbox.keep,
    onIntroduced({ id, from, did }) {
      const by = chains.subject(from)
      events.emit({ event: 'message', id, from: by, type: introductionType })
      if (did !== undefined) events.emit({ event: 'introduced', did: chains.subject(did), by })
    },
  })
  const introduceParts: IntroduceParts = {
    clock,
    self,
    trust: trust.doors,
    subject: chains.subject,
    placeOf(did) {
      const key = chains.currentKnown(did)
      return { key, addresses: host.peers().find((peer) => chains.subject(peer.did) === did)?.addresses ?? [] }
    },
    send: parts.send,
  }
  return { doors: { domains, authorities, introduce: (pair, options) => introduce(introduceParts, pair, options) }, taker, stop: () => domains.stop() }
}
