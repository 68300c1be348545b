import { type Clock, type Did, hex, hourMs, MeshError, type Random, randomInt } from '../base/index.ts'

/** How long somebody is remembered to provide something. net/v1 section 9. */
export const providerTtlMs = 4 * hourMs
/** Keys whose providers are remembered for others. net/v1 section 9. */
export const providerKeysMax = 4_096
/** Providers remembered for one key; a new one takes the place of one by lot. net/v1 section 9. */
export const providersPerKeyMax = 64
/** Providers of one key from one place (/24, /48) of the public network. net/v1 section 9. */
export const providersPerPlaceMax = 16
/** Keys one peer is remembered to provide. net/v1 section 9. */
export const keysPerProviderMax = 256

const keyBytes = 32

/** @throws ERR_USAGE */
export function checkProviderKey(key: Uint8Array): void {
  if (key.length !== keyBytes) throw new MeshError('ERR_USAGE', `a key of ${key.length} bytes where ${keyBytes} are due`)
}

interface Entry {
  readonly until: number
  readonly place: string | undefined
}

/** Who says to provide what, for the DHT: in memory, bounded in every direction, forgotten unless said again. */
export class ProviderBook {
  readonly #clock: Clock
  readonly #random: Random
  readonly #keys = new Map<string, Map<Did, Entry>>()
  readonly #counts = new Map<Did, number>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** False when there is no place for it. `place` names where the provider sits; those in no public place are not counted by it. */
  add(key: Uint8Array, provider: Did, place?: string): boolean {
    const name = hex(key)
    const held = this.#keys.get(name)
    if (held !== undefined) this.#sweep(name, held)
    const entry = { until: this.#clock.monotonic() + providerTtlMs, place }
    const entries = this.#keys.get(name)
    if (entries?.has(provider) === true) {
      entries.set(provider, entry)
      return true
    }
    if ((this.#counts.get(provider) ?? 0) >= keysPerProviderMax) return false
    if (entries === undefined) return this.#open(name, provider, entry)
    if (place !== undefined) {
      const near = [...entries].filter(([, other]) => other.place === place).map(([did]) => did)
      // A crowd in one place plays for its own places only.
      if (near.length >= providersPerPlaceMax) return this.#replace(name, entries, near, provider, entry)
    }
    if (entries.size >= providersPerKeyMax) return this.#replace(name, entries, [...entries.keys()], provider, entry)
    entries.set(provider, entry)
    this.#count(provider, 1)
    return true
  }

  list(key: Uint8Array): readonly Did[] {
    const name = hex(key)
    const entries = this.#keys.get(name)
    if (entries === undefined) return []
    this.#sweep(name, entries)
    return [...entries.keys()]
  }

  #open(name: string, provider: Did, entry: Entry): boolean {
    if (this.#keys.size >= providerKeysMax) for (const [other, entries] of [...this.#keys]) this.#sweep(other, entries)
    if (this.#keys.size >= providerKeysMax) return false
    this.#keys.set(name, new Map([[provider, entry]]))
    this.#count(provider, 1)
    return true
  }

  #replace(name: string, entries: Map<Did, Entry>, among: readonly Did[], provider: Did, entry: Entry): boolean {
    const loser = among[randomInt(this.#random, among.length)]
    if (loser !== undefined) this.#drop(name, entries, loser)
    this.#keys.set(name, entries)
    entries.set(provider, entry)
    this.#count(provider, 1)
    return true
  }

  #sweep(name: string, entries: Map<Did, Entry>): void {
    const now = this.#clock.monotonic()
    for (const [did, { until }] of entries) if (until <= now) this.#drop(name, entries, did)
  }

  #drop(name: string, entries: Map<Did, Entry>, did: Did): void {
    entries.delete(did)
    this.#count(did, -1)
    if (entries.size === 0) this.#keys.delete(name)
  }

  #count(did: Did, by: number): void {
    const count = (this.#counts.get(did) ?? 0) + by
    if (count > 0) this.#counts.set(did, count)
    else this.#counts.delete(did)
  }
}
