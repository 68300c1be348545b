import { concat, type Did, hex, hourMs, keyFromDid, type SignalOption, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { type Candidate, pickClosest } from './closest.ts'
import type { Contradiction, Provider } from './host.ts'
import { providersFoundMax, recordTimeoutMs } from './limits.ts'
import { orAborted } from './promises.ts'
import { checkProviderKey, ProviderBook } from './provider-book.ts'
import type { RecordGuard } from './record-guard.ts'
import type { SimulatedHost } from './simulated-host.ts'
import type { SimulatedNetwork } from './simulated-network.ts'

/** How long a holder serves a record: kad-dht's fixed validity. */
const servedMs = 48 * hourMs
const answerTimeoutMs = recordTimeoutMs / 4

interface Served {
  readonly value: Uint8Array
  readonly until: number
}

/** A DHT among the hosts reachable over connections: the k closest hold a record; each question and answer may be lost. */
export class SimulatedRecords {
  readonly #network: SimulatedNetwork
  readonly #host: SimulatedHost
  readonly #guard: RecordGuard
  readonly #served = new Map<string, Served>()
  readonly #providers: ProviderBook
  #id: Uint8Array | undefined

  constructor(network: SimulatedNetwork, host: SimulatedHost, guard: RecordGuard) {
    this.#network = network
    this.#host = host
    this.#guard = guard
    this.#providers = new ProviderBook(network.clock, network.chance(host.did, host.did))
  }

  async publish(namespace: string, key: Uint8Array, value: Uint8Array, { signal }: SignalOption = {}): Promise<{ readonly stored: number }> {
    signal?.throwIfAborted()
    await this.#guard.admit(namespace, key, value, { own: true })
    const copy = value.slice()
    this.#serve(namespace, key, copy)
    const answers = this.#holders(concat(utf8(`/${namespace}/`), key)).map((host) =>
      this.#ask(host, 'put', copy.length, async () => {
        await host.records.#store(namespace, key, copy)
        return true
      }),
    )
    const stored = await orAborted(Promise.all(answers), signal)
    return { stored: stored.filter((answer) => answer === true).length }
  }

  async lookup(namespace: string, key: Uint8Array, { signal }: SignalOption = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    const answers = this.#holders(concat(utf8(`/${namespace}/`), key)).map((host) =>
      this.#ask(host, 'get', key.length, async () => host.records.#find(namespace, key)),
    )
    for (const value of await orAborted(Promise.all(answers), signal)) {
      // An answer that is forged, expired or older than one seen is no answer.
      if (value !== undefined) await this.#guard.admit(namespace, key, value, { own: true }).catch(() => undefined)
    }
    return (await this.#guard.held(namespace, key))?.value
  }

  async provide(key: Uint8Array, { signal }: SignalOption = {}): Promise<{ readonly stored: number }> {
    signal?.throwIfAborted()
    checkProviderKey(key)
    const { did } = this.#host
    const told = this.#closest(key).map((host) => this.#ask(host, 'provide', key.length, async () => host.records.#providers.add(key, did)))
    return { stored: (await orAborted(Promise.all(told), signal)).filter((answer) => answer !== undefined).length }
  }

  async providers(key: Uint8Array, { signal }: SignalOption = {}): Promise<readonly Provider[]> {
    signal?.throwIfAborted()
    checkProviderKey(key)
    const answers = this.#closest(key).map((host) => this.#ask(host, 'providers', key.length, async () => host.records.#providers.list(key)))
    const found = new Set<Did>(this.#providers.list(key))
    for (const dids of await orAborted(Promise.all(answers), signal)) for (const did of dids ?? []) found.add(did)
    found.delete(this.#host.did)
    return [...found].slice(0, providersFoundMax).map((did) => ({ did, addresses: this.#network.hosts.get(did)?.addresses() ?? [] }))
  }

  /** What a stranger wants stored goes past the same guard as on libp2p. */
  async #store(namespace: string, key: Uint8Array, value: Uint8Array): Promise<void> {
    await this.#guard.admit(namespace, key, value)
    this.#serve(namespace, key, value)
  }

  #serve(namespace: string, key: Uint8Array, value: Uint8Array): void {
    this.#served.set(nameOf(namespace, key), { value, until: this.#network.clock.monotonic() + servedMs })
  }

  #find(namespace: string, key: Uint8Array): Uint8Array | undefined {
    const served = this.#served.get(nameOf(namespace, key))
    return served === undefined || served.until < this.#network.clock.monotonic() ? undefined : served.value
  }

  async closest(key: Uint8Array, { signal }: SignalOption = {}): Promise<readonly Provider[]> {
    signal?.throwIfAborted()
    // A walk takes a few questions one after the other.
    const steps = Promise.all(pickClosest(sha256(key), this.#candidates()).map((host) => this.#ask(host, 'closest', key.length, async () => host)))
    const there = (await orAborted(steps, signal)).filter((host) => host !== undefined)
    return there.map((host) => ({ did: host.did, addresses: host.addresses() }))
  }

  onContradiction(listener: (pair: Contradiction) => void): () => void {
    return this.#guard.onContradiction(listener)
  }

  #candidates(): readonly Candidate<SimulatedHost>[] {
    return this.#network.known(this.#host.did).map((host) => ({ item: host, id: (host.records.#id ??= sha256(keyFromDid(host.did))), place: host.place }))
  }

  /** Those closest to a key whatever their place, as kad-dht takes them. */
  #closest(full: Uint8Array): readonly SimulatedHost[] {
    return pickClosest(
      sha256(full),
      this.#candidates().map((candidate) => ({ ...candidate, place: undefined })),
    )
  }

  /** As on libp2p: also those closest with not too many of one place. */
  #holders(full: Uint8Array): readonly SimulatedHost[] {
    return [...new Set([...this.#closest(full), ...pickClosest(sha256(full), this.#candidates())])]
  }

  /** One question there and one answer back; undefined when either is lost, late, or the peer refuses. */
  #ask<T>(host: SimulatedHost, what: string, bytes: number, act: () => Promise<T>): Promise<T | undefined> {
    const network = this.#network
    const [here, there] = [this.#host.did, host.did]
    const { loss } = network.settings
    const answer = Promise.withResolvers<T | undefined>()
    const cancel = network.clock.after(answerTimeoutMs, () => answer.resolve(undefined))
    const isCut = (): boolean => !network.reachable(here, there) || !host.running || !this.#host.running
    const back = (result: T | undefined): void => {
      if (network.happens(there, here, loss)) return
      network.deliver(network.latency(there, here), `${what}-answer`, there, here, 0, () => {
        if (isCut()) return
        cancel()
        answer.resolve(result)
      })
    }
    if (!network.happens(here, there, loss)) {
      network.deliver(network.latency(here, there), what, here, there, bytes, () => {
        if (isCut()) return
        act().then(back, () => back(undefined))
      })
    }
    return answer.promise
  }
}

const nameOf = (namespace: string, key: Uint8Array): string => `${namespace}/${hex(key)}`
