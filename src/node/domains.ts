import { type Audit, domainBroken, domainPinned, domainUnpinned } from '../audit/index.ts'
import { type Clock, dayMs, type Did, hourMs, type Logger, MeshError, type SignalOption, toMeshError, within } from '../base/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { type Level, TrustLevel } from '../trust/index.ts'
import { codec, did, instant, intWithin, listOf, nullable, oneOf, row, textUpTo } from '../wire/index.ts'
import { type DomainAnswer, type DomainSources, domainTimeoutMs, type DomainWay, parseDomain } from './domain-proof.ts'
import type { EventHub } from './events.ts'
import type { TrustDoors } from './trust.ts'

/** Domains one node keeps an eye on. Source: join/v1 section 11. */
export const domainsMax = 1_000
/** How often a pinned domain is asked again. Source: join/v1 section 11. */
export const domainCheckMs = dayMs
/** How long a statement made from a proof lives; it is renewed while the proof stands. Source: join/v1 section 11. */
export const domainStatementMs = 30 * dayMs

const states = ['good', 'unreachable', 'broken'] as const
const shape = row({
  domain: textUpTo(260),
  did,
  level: intWithin(TrustLevel.UNKNOWN, TrustLevel.VERIFIED),
  scopes: listOf(textUpTo(64), 8),
  statement: nullable(textUpTo(64)),
  since: instant,
  checkedAt: instant,
  renewedAt: instant,
  state: oneOf(states),
})
const stored = codec('domain pin', shape, 2_048)

/** A domain, whom it names, and how that was when last asked. Times in ms since 1970. */
export interface DomainPin {
  readonly domain: string
  readonly did: Did
  /** What this node says about `did` because of it; UNKNOWN says nothing. */
  readonly level: Level
  readonly scopes: readonly string[]
  /** Id of that statement. */
  readonly statement: string | undefined
  readonly since: number
  readonly checkedAt: number
  readonly renewedAt: number
  readonly state: (typeof states)[number]
}

/** What a domain says now, both ways. */
export interface DomainReport {
  readonly domain: string
  readonly ways: Readonly<Record<DomainWay, DomainAnswer>>
  /** Whom every way that answers names. */
  readonly dids: readonly Did[]
}

export interface PinOptions extends SignalOption {
  /** Whom it must name; needed where it names several. */
  readonly did?: Did | undefined
  /** UNKNOWN, BASIC or VERIFIED; BASIC unless given. */
  readonly level?: Level | undefined
  readonly scopes?: readonly string[] | undefined
  /** Takes a domain that names somebody else now. */
  readonly replace?: boolean | undefined
}

/** Domains as evidence of who somebody is. Source: join/v1 section 11. */
export interface Domains {
  /** Asks, and keeps nothing. @throws ERR_USAGE */
  check(domain: string, options?: SignalOption): Promise<DomainReport>
  /** Pins the domain to the identity it names. @throws ERR_USAGE, ERR_DOMAIN_UNPROVED, ERR_DOMAIN_CHANGED, ERR_OVERLOADED */
  pin(domain: string, options?: PinOptions): Promise<DomainPin>
  list(): readonly DomainPin[]
  /** Withdraws what was said because of it. @throws ERR_NOT_FOUND */
  remove(domain: string): Promise<DomainPin>
  /** Asks those again that are due; all of them with `all`. */
  recheck(options?: SignalOption & { readonly all?: boolean }): Promise<readonly DomainPin[]>
}

export interface DomainsOptions {
  readonly store: Store
  readonly clock: Clock
  readonly audit: Audit
  readonly events: EventHub
  readonly logger: Logger
  readonly self: Did
  readonly sources: DomainSources
  readonly trust: Pick<TrustDoors, 'attest' | 'revoke'>
  subject(key: Did): Did
}

export async function openDomains({ store, clock, audit, events, logger, self, sources, trust, subject }: DomainsOptions): Promise<Domains & { stop(): void }> {
  const pins = new Map<string, DomainPin>()
  for await (const [, bytes] of store.range({})) {
    const { level, ...rest } = stored.decode(bytes)
    pins.set(rest.domain, { ...rest, level: level as Level })
  }
  const opOf = (pin: DomainPin) => store.qualify([put(pin.domain, stored.encode({ ...pin, scopes: [...pin.scopes] }))])

  async function check(given: string, { signal }: SignalOption = {}): Promise<DomainReport> {
    const domain = parseDomain(given)
    const deadline = within(clock, domainTimeoutMs, signal, `asking ${domain}`)
    const [document, dns] = await Promise.all([sources['did.json'](domain, { signal: deadline }), sources.dns(domain, { signal: deadline })])
    signal?.throwIfAborted()
    const named = [document, dns].flatMap((answer) => ('dids' in answer ? [answer.dids.map(subject)] : []))
    const [first = [], ...others] = named
    return { domain, ways: { 'did.json': document, dns }, dids: [...new Set(first)].filter((one) => others.every((dids) => dids.includes(one))) }
  }
  async function renew(pin: DomainPin): Promise<DomainPin> {
    if (pin.level === TrustLevel.UNKNOWN) return pin
    const { id } = await trust.attest({ subject: pin.did, level: pin.level, scopes: pin.scopes, depth: 0, lifetimeMs: domainStatementMs })
    return { ...pin, statement: id, renewedAt: clock.now() }
  }
  async function withdraw({ statement }: DomainPin): Promise<void> {
    if (statement === undefined) return
    await trust.revoke(statement, 'soft').catch((error: unknown) => {
      if (toMeshError(error).code !== 'ERR_NOT_FOUND') throw error
    })
  }
  async function pin(
    given: string,
    { did: wanted, level = TrustLevel.BASIC, scopes = ['/task/run'], replace = false, signal }: PinOptions = {},
  ): Promise<DomainPin> {
    if (level < TrustLevel.UNKNOWN || level > TrustLevel.VERIFIED) {
      throw new MeshError('ERR_USAGE', 'a domain proves who somebody is, not what he is like: unknown, basic or verified', {
        hint: '`kindmesh attest` says more',
      })
    }
    const report = await check(given, { signal })
    const { domain } = report
    const named = wanted === undefined ? (report.dids.length === 1 ? report.dids[0] : undefined) : report.dids.find((one) => one === subject(wanted))
    if (named === undefined) throw unproved(report, wanted)
    if (named === self) throw new MeshError('ERR_USAGE', `${domain} is this node's own`)
    const before = pins.get(domain)
    if (before !== undefined && before.did !== named && !replace) {
      throw new MeshError('ERR_DOMAIN_CHANGED', `${domain} named ${before.did} since ${day(before.since)} and names ${named} now`)
    }
    if (before === undefined && pins.size >= domainsMax) throw new MeshError('ERR_OVERLOADED', `${domainsMax} domains are pinned`, { hint: 'remove one' })
    const now = clock.now()
    if (before !== undefined) await withdraw(before)
    const fresh: DomainPin = await renew({ domain, did: named, level, scopes, statement: undefined, since: now, checkedAt: now, renewedAt: now, state: 'good' })
    await audit.record(domainPinned({ did: self, domain, subject: named, level }), opOf(fresh))
    pins.set(domain, fresh)
    return fresh
  }
  /** A domain that names somebody else takes back what it gave; one that is silent lets it run out. */
  async function again(known: DomainPin, signal: AbortSignal | undefined): Promise<DomainPin> {
    const { domain, did: named } = known
    const report = await check(domain, { signal })
    const answers = Object.values(report.ways)
    const isNamed = report.dids.includes(subject(named))
    const isSilent = answers.every((answer) => !('dids' in answer)) && answers.some((answer) => 'failed' in answer)
    const seen = { ...known, checkedAt: clock.now() }
    if (isNamed) {
      const isDue = known.state === 'broken' || clock.now() - known.renewedAt >= domainStatementMs / 2
      return { ...(isDue ? await renew(seen) : seen), state: 'good' }
    }
    if (isSilent) return { ...seen, state: known.state === 'broken' ? 'broken' : 'unreachable' }
    if (known.state === 'broken') return seen
    const detail = `${domain} no longer names ${named}`
    await withdraw(known)
    await audit.record(domainBroken({ did: self, domain, subject: named, now: report.dids[0] }))
    events.emit({ event: 'security', agentId: self, kind: 'domain', detail })
    logger.warn('a domain proof broke', { domain, did: named })
    return { ...seen, statement: undefined, state: 'broken' }
  }
  async function recheck({ signal, all = false }: SignalOption & { readonly all?: boolean } = {}): Promise<readonly DomainPin[]> {
    for (const known of [...pins.values()].filter(({ checkedAt }) => all || clock.now() - checkedAt >= domainCheckMs)) {
      const next = await again(known, signal)
      // Removed while it was asked.
      if (pins.get(known.domain) !== known) continue
      await store.batch([put(next.domain, stored.encode({ ...next, scopes: [...next.scopes] }))])
      pins.set(next.domain, next)
    }
    return list()
  }
  const list = (): readonly DomainPin[] => [...pins.values()].toSorted((a, b) => (a.domain < b.domain ? -1 : 1))

  let cancel: () => void = () => undefined
  const later = (afterMs: number): void => {
    cancel = clock.after(afterMs, () => {
      recheck()
        .catch((error: unknown) => logger.warn('domains were not asked', { code: toMeshError(error).code }))
        .finally(() => later(hourMs))
    })
  }
  later(hourMs)

  return {
    check,
    pin,
    list,
    recheck,
    async remove(given) {
      const known = pins.get(parseDomain(given))
      if (known === undefined) throw new MeshError('ERR_NOT_FOUND', `${given} is not pinned`, { hint: '`kindmesh domain list` names those that are' })
      await withdraw(known)
      await audit.record(domainUnpinned({ did: self, domain: known.domain, subject: known.did }), store.qualify([del(known.domain)]))
      pins.delete(known.domain)
      return known
    },
    stop: () => cancel(),
  }
}

const day = (at: number): string => new Date(at).toISOString().slice(0, 10)

function unproved({ domain, ways, dids }: DomainReport, wanted: Did | undefined): MeshError {
  const said = Object.entries(ways).map(
    ([way, answer]) => `${way}: ${'dids' in answer ? answer.dids.join(' ') : 'failed' in answer ? answer.failed : 'nothing'}`,
  )
  if (wanted === undefined && dids.length > 1) {
    return new MeshError('ERR_USAGE', `${domain} names ${dids.length} identities`, { hint: `say which one with --did: ${dids.slice(0, 4).join(', ')}` })
  }
  return new MeshError('ERR_DOMAIN_UNPROVED', `${domain} does not name ${wanted ?? 'an identity'} (${said.join('; ')})`, {
    hint: 'its owner publishes what `kindmesh domain document <domain>` prints',
  })
}
