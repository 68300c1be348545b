import { createAudit } from '../audit/index.ts'
import { type Clock, clockFrom, createSeededRandom, createVirtualClock, MeshError, secondMs, silentLogger, type VirtualClock } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import { createSimulator, type Host, type LinkSettings, type SimulatedHostOptions, type Simulator } from '../net/index.ts'
import { assemble, type DomainSources, type MeshRooms, type Policy, recordRules } from '../node/index.ts'
import type { Sandboxes } from '../sandbox/index.ts'
import { createKeyMaker } from './keys.ts'
import { createMemoryStore, type MemoryStore, type Store } from '../store/index.ts'

export interface TestMeshOptions extends Partial<LinkSettings> {
  readonly nodes: number
  /** All chance comes from here: keys, network, timing. */
  readonly seed: number
  /** Every node knows the first and comes back to it; true unless said otherwise. */
  readonly connected?: boolean
  /** Runs tasks; without it every isolation level is refused. */
  readonly sandboxes?: Sandboxes
  readonly policy?: Policy
  /** What domains say when a node asks. */
  readonly domainSources?: DomainSources
  /** Nodes that hold mail for others, by index. */
  readonly holders?: readonly number[]
  /** Nodes that only the first reaches: it relays for them. */
  readonly hidden?: readonly number[]
  /** The disk of each node, to inject faults. */
  readonly store?: (index: number) => MemoryStore
}

export interface TestNode extends MeshRooms {
  readonly store: MemoryStore
}

/** Whole nodes on a simulated network and a virtual clock, in memory, repeatable from a seed. */
export interface TestMesh extends AsyncDisposable {
  readonly clock: VirtualClock
  readonly simulator: Simulator
  readonly nodes: readonly TestNode[]
  node(index: number): TestNode
  /** Lets virtual time pass until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T>
  /** Lets virtual time pass in steps until `holds`; throws after `withinMs`. */
  until(holds: () => boolean | Promise<boolean>, withinMs?: number): Promise<void>
  /** Splits the mesh into groups of nodes that do not reach each other; nodes in no group form one. */
  partition(...groups: readonly (readonly number[])[]): void
  /** Ends all partitions. Nodes come back to each other as they do in life: when somebody dials. */
  heal(): void
  /** Takes a node away as a power cut does: what was not durable is gone. */
  crash(index: number): void
  /** Sets the wall clock of one node so many ms ahead of the others', or behind. */
  skew(index: number, ms: number): void
  /** Starts a crashed node again from its disk. */
  restart(index: number): Promise<TestNode>
  /** Gives a node its next key and starts it again under it, as `id rotate` does. */
  rotate(index: number): Promise<TestNode>
  /** The keyring a node lives under, to do what only a thief of its keys can. */
  keyring(index: number): Keyring
}

const joinAttemptsMax = 10

/** Refuses every level. */
const noLevel = (level: string): never => {
  throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `no ${level} in a simulated mesh`)
}
const noSandboxes: Sandboxes = {
  available: () => [],
  probe: async () => [],
  ready: async (level) => noLevel(level),
  get: noLevel,
  stop: async () => undefined,
}

export async function createTestMesh({
  nodes: count,
  seed,
  connected = true,
  sandboxes = noSandboxes,
  policy,
  domainSources,
  hidden = [],
  holders = [],
  store: storeOf = () => createMemoryStore(),
  ...link
}: TestMeshOptions): Promise<TestMesh> {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed, clock, ...link })
  const nodes: TestNode[] = []
  const stops: (() => Promise<void>)[] = []
  const hosts: Host[] = []
  const lives: Life[] = []
  const skews: number[] = []
  const clockOf = (index: number): Clock => clockFrom({ ...clock, now: () => clock.now() + (skews[index] ?? 0) })
  const keys = createKeyMaker({ seed, clock })

  async function start(index: number, disk: MemoryStore): Promise<TestNode> {
    const ownClock = clockOf(index)
    const life = lifeOn(disk)
    const { store } = life
    const keyring = keys.current(index)
    const random = createSeededRandom(seed + 7_919 * index + clock.monotonic())
    const audit = await createAudit({ store, sign: keyring.sign, did: keyring.identity, keys: keyring.keys, clock, logger: silentLogger })
    const bootstrap = connected && index > 0 ? at(0).addresses() : []
    const host = await simulator.host(keyring.did, { store, rules: recordRules(ownClock), bootstrap, ...place(index) })
    const { node, stop, announceKey } = await assemble({
      store,
      keyring,
      sandboxes,
      audit,
      host,
      clock: ownClock,
      random,
      logger: silentLogger,
      // Work is real time, which does not pass here: a stranger does little of it.
      serveMailbox: holders.includes(index) ? { workBits: 4 } : false,
      ...(policy === undefined ? {} : { policy }),
      ...(domainSources === undefined ? {} : { domainSources }),
    })
    stops[index] = stop
    hosts[index] = host
    lives[index] = life
    const made = { ...node, store: disk }
    nodes[index] = made
    void announceKey()
    return made
  }
  const place = (index: number): Pick<SimulatedHostOptions, 'relayServer' | 'relays' | 'hidden'> => {
    if (index === 0) return { relayServer: hidden.length > 0 }
    return hidden.includes(index) ? { relays: at(0).addresses(), hidden: true } : {}
  }
  const at = (index: number): TestNode => {
    const node = nodes[index]
    if (node === undefined) throw new RangeError(`no node ${index}`)
    return node
  }
  /** On a bad network the first dial may fail. */
  async function join(node: TestNode): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await node.dial(at(0).addresses()[0] ?? '')
        return
      } catch (error) {
        if (attempt === joinAttemptsMax) throw error
        await clock.sleep(secondMs)
      }
    }
  }

  for (let index = 0; index < count; index++) await start(index, storeOf(index))
  if (connected) await clock.run(Promise.all(nodes.slice(1).map(join)))
  return {
    clock,
    simulator,
    nodes,
    node: at,
    run: clock.run,
    async until(holds, withinMs = 600_000) {
      const end = clock.monotonic() + withinMs
      while (!(await holds())) {
        if (clock.monotonic() > end) throw new MeshError('ERR_TIMEOUT', `it does not hold after ${withinMs} ms of virtual time`)
        await clock.advance(20)
      }
    },
    partition: (...groups) => simulator.partition(groups.map((group) => group.map((index) => keys.current(index).did))),
    heal: simulator.heal,
    crash(index) {
      lives[index]?.end()
      simulator.crash(keys.current(index).did)
      at(index).store.crash()
    },
    skew(index, ms) {
      skews[index] = ms
    },
    restart: (index) => start(index, at(index).store),
    async rotate(index) {
      await stops[index]?.()
      await hosts[index]?.stop()
      keys.rotate(index)
      return await start(index, at(index).store)
    },
    keyring: (index) => keys.current(index),
    [Symbol.asyncDispose]: () => clock.run(Promise.all(stops.map((stop) => stop())).then(() => simulator.stop())),
  }
}

interface Life {
  readonly store: Store
  end(): void
}

/** A disk as one life of a node sees it: what still runs of a node after its power was cut reads and writes nothing. */
function lifeOn(disk: Store): Life {
  let isOver = false
  const alive = (): void => {
    if (isOver) throw new MeshError('ERR_STORE_CLOSED', 'the power was cut')
  }
  const view = (store: Store): Store => ({
    ...store,
    async get(key) {
      alive()
      return await store.get(key)
    },
    async has(key) {
      alive()
      return await store.has(key)
    },
    async *range(range) {
      alive()
      yield* store.range(range)
    },
    async batch(ops) {
      alive()
      await store.batch(ops)
    },
    async durable(ops) {
      alive()
      await store.durable(ops)
    },
    sub: (prefix) => view(store.sub(prefix)),
  })
  return {
    store: view(disk),
    end() {
      isOver = true
    },
  }
}
