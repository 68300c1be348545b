import { createSeededRandom, MeshError, silentLogger } from '../../src/base/index.ts'
import { openBundle, openPrekeys, openSessions, type PrekeyBundle, type PrekeyRing, sealBox } from '../../src/envelope/index.ts'
import type { Keyring, Signed } from '../../src/identity/index.ts'
import type { Host } from '../../src/net/index.ts'
import { recordRules } from '../../src/node/index.ts'
import { createLink, createPlane, type Hello, klpFrameBytesMax, klpProtocol, type Link, type Plane } from '../../src/protocols/klp/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import type { TestMesh } from '../../src/testing/index.ts'
import { answering, type Answering } from './answering.ts'
import { contentOf, keyringOf, plainHello } from './raw-peer.ts'

export interface LinkWishes {
  /** What this peer says in its hello instead of the truth. */
  readonly hello?: Partial<Hello>
  readonly onRequest?: Answering
}

/** Somebody on the simulated network who holds its own keys and keeps to no rule but those the test gives it. */
export interface SimulatedPeer {
  readonly keyring: Keyring
  readonly host: Host
  readonly prekeys: PrekeyRing
  /** A fresh KLP link to a node of the mesh. */
  link(node: number, wishes?: LinkWishes): Promise<Link>
  /** The node's own message plane, over this peer's host. */
  plane(onRequest?: LinkWishes['onRequest']): Plane
  bundleOf(link: Link): PrekeyBundle
  seal(signed: Pick<Signed, 'bytes'>, to: PrekeyBundle): Uint8Array
  /** Opens what a node sent here; `bytes` is the sealed thing itself. */
  open(sealed: Uint8Array): Signed
}

const refuseAll: Answering = () => Promise.reject(new Error('nobody asks here'))

export async function createSimulatedPeer(mesh: TestMesh, seed: number): Promise<SimulatedPeer> {
  const { clock, simulator } = mesh
  const keyring = keyringOf(seed)
  const random = createSeededRandom(seed)
  const store = createMemoryStore()
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
  const sessions = await openSessions({ store: store.sub('sessions'), keyring, prekeys, clock, random })
  const host = await simulator.host(keyring.did, { store: store.sub('dht'), rules: recordRules(clock) })
  const hello = (): Promise<Hello> => plainHello(prekeys)
  const grantAll = async ({ wants }: Hello) => ({
    answers: wants.map(({ name }) => ({ name, answer: 'granted', reason: '', alternative: '', limits: [] }) as const),
    validUntil: clock.now() + 60_000,
  })
  return {
    keyring,
    host,
    prekeys,
    async link(node, { hello: changed = {}, onRequest = refuseAll } = {}) {
      const { did } = await host.dial({ addresses: mesh.node(node).addresses() })
      const stream = await host.open(did, klpProtocol, { frameBytesMax: klpFrameBytesMax })
      return await createLink({ stream, clock, ...answering(onRequest), hello: async () => ({ ...(await hello()), ...changed }), judge: grantAll })
    },
    plane: (onRequest = refuseAll) =>
      createPlane({
        host,
        clock,
        logger: silentLogger,
        hello,
        judge: (_peer, theirs) => grantAll(theirs),
        onRequest: (_peer, sealed, signals) => answering(onRequest).onRequest(sealed, signals),
        sealAnswers: (_peer, answers) => answering(onRequest).sealAnswers(answers),
        onLink: () => undefined,
      }),
    bundleOf: (link) => openBundle(link.hello.bundle, clock.now()),
    seal: ({ bytes }, bundle) => sealBox(contentOf(bytes), { bundle, now: clock.now(), random }),
    open(sealed) {
      const [item] = sessions.open(sealed, { lifetimeMsMax: 7 * 86_400_000 }).items
      if (item === undefined || item instanceof MeshError) throw item ?? new Error('nothing was in it')
      return { ...item, bytes: sealed }
    },
  }
}
