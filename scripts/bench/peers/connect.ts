/** The least of ours that connects and says hello, so that it can do so again and again: a host and a message plane. */
import { type Did, realClock, realRandom, silentLogger } from '../../../src/base/index.ts'
import { openBundle, openPrekeys } from '../../../src/envelope/index.ts'
import { createKeyring } from '../../../src/identity/index.ts'
import { createLibp2pHost } from '../../../src/net/index.ts'
import { createPlane, creditBytes, klpVersion } from '../../../src/protocols/klp/index.ts'
import { createMemoryStore } from '../../../src/store/index.ts'
import { answerParent } from '../harness.ts'

const clock = realClock
const random = realRandom
const logger = silentLogger
const store = createMemoryStore()
const keyring = createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
const host = await createLibp2pHost({
  signer: keyring,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  bootstrap: [],
  store: store.sub('dht'),
  clock,
  random,
  logger,
  rules: {},
})
const plane = createPlane({
  host,
  clock,
  logger,
  hello: async () => ({
    versions: [klpVersion],
    wants: [{ name: 'message', need: 'required' }],
    manifest: { capabilities: ['message'], roles: ['peer'], ttlMs: 3_600_000, presence: 'online' },
    credit: creditBytes,
    bundle: (await prekeys.current()).bundle.bytes,
    evidence: [],
  }),
  async judge(_peer, hello) {
    openBundle(hello.bundle, clock.now())
    return { answers: hello.wants.map(({ name }) => ({ name, answer: 'granted', reason: '', alternative: '', limits: [] })), validUntil: clock.now() + 60_000 }
  },
  onRequest: () => Promise.reject(new Error('asks only')),
  sealAnswers: () => Promise.reject(new Error('nobody is answered here')),
  onLink: () => undefined,
})

async function connectOnce(address: string): Promise<Did> {
  const { did } = await host.dial({ addresses: [address] })
  await plane.link(did)
  return did
}

answerParent({
  /** Milliseconds from nothing to terms agreed. */
  async connectMs(address: string) {
    const start = performance.now()
    const did = await connectOnce(address)
    const ms = performance.now() - start
    const link = plane.find(did)
    await host.disconnect(did)
    await link?.closed
    return ms
  },
})
