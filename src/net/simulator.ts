import type { Did, VirtualClock } from '../base/index.ts'
import type { Host } from './host.ts'
import { didFromSeed } from './peer-key.ts'
import { SimulatedHost, type SimulatedHostOptions } from './simulated-host.ts'
import { defaultLink, type LinkSettings, SimulatedNetwork } from './simulated-network.ts'

export type { LinkSettings, SimulatedHostOptions }

export interface SimulatorOptions extends Partial<LinkSettings> {
  /** All chance of the network comes from here. */
  readonly seed: number
  readonly clock: VirtualClock
}

/**
 * A network in memory on a virtual clock: same hosts, same calls and same seed give the same events, bit for bit, as long as
 * nothing in between waits for the real world (a disk, WebCrypto). The model is described at `LinkSettings`.
 */
export interface Simulator {
  /** A new host, by its Ed25519 seed or its DID. One that has stopped or crashed may come back. */
  host(identity: Uint8Array | Did, options: SimulatedHostOptions): Promise<Host>
  hosts(): readonly Host[]
  /** Splits the network: connections between groups die (both ends see ERR_NET_CLOSED after `detectMs`), dials find nobody. Hosts in no group form one. */
  partition(groups: readonly (readonly Did[])[]): void
  /** Cuts one pair. */
  cut(a: Did, b: Did): void
  /** Ends all partitions and cuts. Connections that died stay dead until somebody dials. */
  heal(): void
  /** Changes how links behave from now on. */
  set(settings: Partial<LinkSettings>): void
  /** Takes a host away without a word, as kill -9 or a power cut does. */
  crash(did: Did): void
  /** Hash over the time, kind, ends and size of everything that arrived, and how many that were. */
  readonly trace: { readonly hash: string; readonly events: number }
  stop(): Promise<void>
}

export function createSimulator({ seed, clock, ...settings }: SimulatorOptions): Simulator {
  const network = new SimulatedNetwork(seed, clock, { ...defaultLink, ...settings })
  return {
    host: (identity, options) => SimulatedHost.create(network, typeof identity === 'string' ? identity : didFromSeed(identity), options),
    hosts: () => [...network.hosts.values()],
    partition: (groups) => network.partition(groups),
    cut: (a, b) => network.cut(a, b),
    heal: () => network.heal(),
    set: (changed) => network.set(changed),
    crash: (did) => network.hosts.get(did)?.crash(),
    get trace() {
      return network.trace
    },
    async stop() {
      await Promise.all([...network.hosts.values()].map((host) => host.stop()))
    },
  }
}
