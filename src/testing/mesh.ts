import { createAudit } from '../audit/index.ts'
import { createSeededRandom, createVirtualClock, MeshError, silentLogger, type VirtualClock } from '../base/index.ts'
import { createKeyring } from '../identity/index.ts'
import { createSimulator, type LinkSettings, type Simulator } from '../net/index.ts'
import { assemble, type MeshRooms, type Policy, recordRules } from '../node/index.ts'
import type { Sandboxes } from '../sandbox/index.ts'
import { createMemoryStore, type MemoryStore } from '../store/index.ts'

export interface TestMeshOptions extends Partial<LinkSettings> {
  readonly nodes: number
  /** All chance comes from here: keys, network, timing. */
  readonly seed: number
  /** Every node knows the first and comes back to it; true unless said otherwise. */
  readonly connected?: boolean
  /** Runs tasks; without it every isolation level is refused. */
  readonly sandboxes?: Sandboxes
  readonly policy?: Policy
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
  /** Takes a node away as a power cut does: what was not durable is gone. */
  crash(index: number): void
  /** Starts a crashed node again from its disk. */
  restart(index: number): Promise<TestNode>
}

/** Refuses every level. */
const noSandboxes: Sandboxes = {
  available: () => [],
  get: (level) => {
    throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `no ${level} in a simulated mesh`)
  },
  stop: async () => undefined,
}

export async function createTestMesh({
  nodes: count,
  seed,
  connected = true,
  sandboxes = noSandboxes,
  policy,
  store: storeOf = () => createMemoryStore(),
  ...link
}: TestMeshOptions): Promise<TestMesh> {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed, clock, ...link })
  const nodes: TestNode[] = []
  const stops: (() => Promise<void>)[] = []

  async function start(index: number, store: MemoryStore): Promise<TestNode> {
    const keyring = createKeyring(
      { seed: createSeededRandom(seed * 1_000 + index).bytes(32), rootKey: createSeededRandom(seed * 1_000 + index + 500).bytes(32) },
      createSeededRandom(index),
    )
    const random = createSeededRandom(seed + 7_919 * index + clock.monotonic())
    const audit = await createAudit({ store, sign: keyring.sign, did: keyring.did, clock, logger: silentLogger })
    const bootstrap = connected && index > 0 ? at(0).addresses() : []
    const host = await simulator.host(keyring.did, { store, rules: recordRules(clock), bootstrap })
    const { node, stop } = await assemble({
      store,
      keyring,
      sandboxes,
      audit,
      host,
      clock,
      random,
      logger: silentLogger,
      ...(policy === undefined ? {} : { policy }),
    })
    stops[index] = stop
    const made = { ...node, store }
    nodes[index] = made
    return made
  }
  const at = (index: number): TestNode => {
    const node = nodes[index]
    if (node === undefined) throw new RangeError(`no node ${index}`)
    return node
  }
  for (let index = 0; index < count; index++) await start(index, storeOf(index))
  if (connected) await clock.run(Promise.all(nodes.slice(1).map((node) => node.dial(at(0).addresses()[0] ?? ''))))
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
    crash(index) {
      simulator.crash(at(index).did)
      at(index).store.crash()
    },
    restart: (index) => start(index, at(index).store),
    [Symbol.asyncDispose]: () => clock.run(Promise.all(stops.map((stop) => stop())).then(() => simulator.stop())),
  }
}
