import { type Clock, type Did, hourMs, type Logger, minuteMs, secondMs, type SignalOption, toMeshError, within } from '../base/index.ts'
import type { Host, PeerInfo } from '../net/index.ts'
import type { Manifest, Plane, Presence, TermsAnswer } from '../protocols/klp/index.ts'
import { type Capabilities, capabilityKey, checkCapability } from './capabilities.ts'

/** Peers `find` gives when nothing else is said, and at most. */
export const findLimitDefault = 20
export const findLimitMax = 100
/** Candidates asked at a time, and in one search. */
export const candidatesAtOnceMax = 16
export const candidatesMax = 200
/** Connected peers without a link that one search opens one to. */
export const unlinkedMax = 32
/** Time one search takes at most, and one candidate of it. */
export const findTimeoutMs = 12 * secondMs
export const candidateTimeoutMs = 4 * secondMs
/** What is provided is told again this often: well before it is forgotten. */
export const provideAgainMs = hourMs
/** The first time again: by then more of the mesh is known. */
export const provideSoonMs = minuteMs
/** The first time again while this node has no address yet, as behind a relay that has not answered; then twice as late each time. */
export const provideWithoutAddressMs = 5 * secondMs
/** Capabilities announced at a time. */
const providesAtOnce = 4
/** Changes that come together are announced together. */
const changePauseMs = secondMs

/** A peer that says of itself, here and now, that it offers what was looked for. */
export interface FoundPeer extends Pick<PeerInfo, 'did' | 'peerId' | 'route'> {
  readonly capabilities: readonly string[]
  readonly roles: readonly string[]
  readonly presence: Presence
}

/** What a peer on a link says of itself while that may be relied on, and what it answered to what we want. */
export interface Description extends Partial<Pick<FoundPeer, 'capabilities' | 'roles' | 'presence'>> {
  readonly terms?: readonly TermsAnswer[]
}

export interface FindOptions extends SignalOption {
  readonly limit?: number
}

export interface Finder {
  /** Peers that offer `capability`; a bare name also finds the agent of that name. @throws ERR_USAGE */
  find(capability: string, options?: FindOptions): Promise<readonly FoundPeer[]>
  /** What is known of a connected peer; empty before it has said hello. */
  describe(peer: Did): Description
  /** Tells the DHT what this node offers. */
  announce(): Promise<void>
  stop(): void
}

export interface FinderOptions {
  readonly host: Host
  readonly plane: () => Plane
  readonly clock: Clock
  readonly logger: Logger
  readonly capabilities: Capabilities
}

/**
 * Looks for peers by what they do. The DHT gives candidates, and anybody may call himself one:
 * only the manifest of a hello, said by the peer itself on an authenticated stream, makes a peer found. Source: net/v1 section 9, klp/v1 section 7.
 */
export function createFinder({ host, plane, clock, logger, capabilities }: FinderOptions): Finder {
  let cancelNext = (): void => undefined
  let isStopped = false
  let isAnnounced = false

  const manifestOf = (peer: Did): Manifest | undefined => {
    const link = plane().find(peer)
    return link === undefined || clock.monotonic() - link.heardAt > link.hello.manifest.ttlMs ? undefined : link.hello.manifest
  }
  async function ask(did: Did, addresses: readonly string[], signal: AbortSignal): Promise<Manifest | undefined> {
    const isConnected = host.peers().some((peer) => peer.did === did)
    // Addresses are only a stranger's word: they are tried, never remembered.
    if (!isConnected && addresses.length > 0) await host.dial({ addresses }, { signal }).catch(() => undefined)
    await plane().link(did, { signal })
    return manifestOf(did)
  }
  async function find(capability: string, { limit = findLimitDefault, signal }: FindOptions = {}): Promise<readonly FoundPeer[]> {
    checkCapability(capability)
    signal?.throwIfAborted()
    const names = capability.includes(':') ? [capability] : [capability, `agent:${capability}`]
    const most = Math.min(limit, findLimitMax)
    const deadline = within(clock, findTimeoutMs, signal, 'finding peers')
    const found = new Map<Did, FoundPeer>()
    const seen = new Set<Did>([host.did])

    async function askAll(candidates: readonly { readonly did: Did; readonly addresses: readonly string[] }[]): Promise<void> {
      const left = candidates.filter(({ did }) => !seen.has(did)).slice(0, Math.max(0, candidatesMax - seen.size))
      for (const { did } of left) seen.add(did)
      const worker = async (): Promise<void> => {
        for (let next = left.shift(); next !== undefined; next = left.shift()) {
          if (deadline.aborted || found.size >= most) return
          const { did, addresses } = next
          try {
            const manifest = await ask(did, addresses, within(clock, candidateTimeoutMs, deadline, 'asking a candidate'))
            if (manifest === undefined || !names.some((name) => manifest.capabilities.includes(name))) continue
            const peer = host.peers().find((one) => one.did === did)
            if (peer === undefined || found.size >= most) continue
            const { peerId, route } = peer
            found.set(did, { did, peerId, route, capabilities: manifest.capabilities, roles: manifest.roles, presence: manifest.presence })
          } catch (error) {
            logger.debug('a candidate gave no answer', { peer: did, code: toMeshError(error).code })
          }
        }
      }
      await Promise.all(Array.from({ length: candidatesAtOnceMax }, worker))
    }
    const lookups = Promise.all(names.map((name) => host.providers(capabilityKey(name), { signal: deadline }).catch(() => [])))
    // Who is connected needs no search; a search meanwhile costs no time. Many strangers that are connected must not use it all up.
    const connected = host.peers().map(({ did }) => ({ did, addresses: [] }))
    const linked = connected.filter(({ did }) => manifestOf(did) !== undefined)
    await askAll(linked.concat(connected.filter((peer) => !linked.includes(peer)).slice(0, unlinkedMax)))
    if (found.size < most) await askAll((await lookups).flat())
    signal?.throwIfAborted()
    return [...found.values()]
  }

  async function announce(): Promise<void> {
    isAnnounced = true
    const left = [...capabilities.list()]
    const worker = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined && !isStopped; name = left.shift()) {
        await host.provide(capabilityKey(name)).catch((error: unknown) => logger.debug('capability not announced', { name, code: toMeshError(error).code }))
      }
    }
    await Promise.all(Array.from({ length: providesAtOnce }, worker))
  }
  function after(ms: number, then: number): void {
    cancelNext()
    cancelNext = clock.after(ms, () => {
      const isReachable = host.addresses().length > 0
      void announce().finally(() => {
        if (!isStopped) after(isReachable ? then : Math.min(2 * ms, then), provideAgainMs)
      })
    })
  }
  const stopWatching = capabilities.onChange(() => {
    if (isStopped) return
    plane().renew()
    if (isAnnounced) after(changePauseMs, provideSoonMs)
  })
  return {
    find,
    describe(peer) {
      const [manifest, terms] = [manifestOf(peer), plane().find(peer)?.terms.answers]
      const about = manifest === undefined ? {} : { capabilities: manifest.capabilities, roles: manifest.roles, presence: manifest.presence }
      return terms === undefined ? about : { ...about, terms }
    },
    async announce() {
      after(host.addresses().length > 0 ? provideSoonMs : provideWithoutAddressMs, provideAgainMs)
      await announce()
    },
    stop() {
      isStopped = true
      stopWatching()
      cancelNext()
    },
  }
}
