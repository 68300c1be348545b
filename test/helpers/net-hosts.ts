import { createVirtualClock, fromUtf8, MeshError, realClock, realRandom, silentLogger, utf8, type VirtualClock } from '../../src/base/index.ts'
import { createSigner } from '../../src/crypto/index.ts'
import { createLibp2pHost, createSimulator, type Host, type Libp2pHostOptions, type RecordRule, type SimulatorOptions } from '../../src/net/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'

/** The seed of the `index`th host of a test, the same in every run. */
export const seedOf = (index: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? index & 0xff : at === 1 ? index >> 8 : 7))

/** A record of tests: `<seq> <expiresAt> <body>`; anything else is forged. */
export const testRecord = (seq: number, body = '', expiresAt = Date.UTC(2100, 0, 1)): Uint8Array => utf8(`${seq} ${expiresAt} ${body}`)

export const testRule: RecordRule = {
  check(_key, value) {
    const [, seq, expiresAt] = /^(\d+) (\d+) /.exec(fromUtf8(value)) ?? []
    if (seq === undefined || expiresAt === undefined) throw new MeshError('ERR_RECORD_INVALID', 'forged')
    return { seq: Number(seq), expiresAt: Number(expiresAt) }
  },
  // Whoever says `said one` must not say `said two`.
  order: (held, offered) => ([held, offered].every((value) => fromUtf8(value).includes(' said ')) ? 'contradiction' : 'next'),
}

export const testRules = { 'test-rec': testRule }

/** Options of a quiet libp2p host on loopback. */
export const libp2pOptions = (index: number, more: Partial<Libp2pHostOptions> = {}): Libp2pHostOptions => ({
  signer: createSigner(seedOf(index)),
  listen: ['/ip4/127.0.0.1/tcp/0'],
  bootstrap: [],
  store: createMemoryStore(),
  clock: realClock,
  random: realRandom,
  logger: silentLogger,
  rules: testRules,
  ...more,
})

/** Where a host stands: in the open, carrying others, with relays in front of it, or `hidden`: nobody gets to it but through them. */
export interface Place {
  readonly relayServer?: boolean
  readonly relays?: readonly string[]
  readonly hidden?: boolean
  /** The public network it is in, where that is simulated. */
  readonly place?: string
}

/** Hosts of one kind in one world; `run` lets the world's time pass until the promise settles. */
export interface World extends AsyncDisposable {
  host(index: number, place?: Place): Promise<Host>
  run<T>(promise: Promise<T>): Promise<T>
  /** Lets the world's time pass until `check` holds. */
  until(check: () => boolean | Promise<boolean>): Promise<void>
}

export function createLibp2pWorld(more: Partial<Libp2pHostOptions> = {}): World {
  const hosts: Host[] = []
  return {
    async host(index, { relayServer = false, relays = [], hidden = false } = {}) {
      const listen = [...(hidden ? [] : ['/ip4/127.0.0.1/tcp/0']), ...relays.map((relay) => `${relay}/p2p-circuit`)]
      const host = await createLibp2pHost(libp2pOptions(index, { ...more, relayServer, ...(hidden || relays.length > 0 ? { listen } : {}) }))
      hosts.push(host)
      return host
    },
    run: (promise) => promise,
    async until(check) {
      while (!(await check())) await realClock.sleep(10, {})
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(hosts.map((host) => host.stop()))
    },
  }
}

/** Turns the virtual clock until the promise settles. */
export const runOn = <T>(clock: VirtualClock, promise: Promise<T>): Promise<T> => clock.run(promise)

export function createSimulatedWorld(more: Partial<SimulatorOptions> = {}): World {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed: 7, clock, ...more })
  return {
    host: (index, place = {}) => simulator.host(seedOf(index), { rules: testRules, store: createMemoryStore(), ...place }),
    run: (promise) => runOn(clock, promise),
    async until(check) {
      while (!(await check())) await clock.advance(10)
    },
    [Symbol.asyncDispose]: () => runOn(clock, simulator.stop()),
  }
}

/** `count` libp2p hosts on loopback, each connected to each; stops with its scope. */
export async function createConnectedHosts(
  count: number,
  more: Partial<Libp2pHostOptions> = {},
): Promise<{ readonly hosts: readonly Host[] } & AsyncDisposable> {
  const world = createLibp2pWorld(more)
  const hosts = await Promise.all(Array.from({ length: count }, (_, index) => world.host(index)))
  await Promise.all(hosts.flatMap((host, index) => hosts.slice(index + 1).map((other) => host.dial({ addresses: other.addresses() }))))
  return { hosts, [Symbol.asyncDispose]: () => world[Symbol.asyncDispose]() }
}

/** All frames of a stream until its end. */
export async function allFrames(frames: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const frame of frames) all.push(frame)
  return all
}
