/** Holds sessions that peers opened and nobody speaks on. */
import { realClock, realRandom, utf8 } from '../../../src/base/index.ts'
import { messageCodec, plainMessage } from '../../../src/agents/message.ts'
import { openPrekeys, openSessions, type Sessions } from '../../../src/envelope/index.ts'
import { composeStatement, createKeyring } from '../../../src/identity/index.ts'
import { createMemoryStore, type Store } from '../../../src/store/index.ts'
import { answerParent } from '../harness.ts'

const [clock, random] = [realClock, realRandom]
const payload = messageCodec.encode(plainMessage({ encoding: 'text', body: utf8('hello') }))
const newKeyring = () => createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)

/** Keeps nothing: what is on a disk is not in memory. */
const forgetful = (): Store => {
  const memory = createMemoryStore()
  const store: Store = { ...memory, batch: async () => undefined, durable: async () => undefined, sub: () => store }
  return store
}

const keyring = newKeyring()
const prekeys = await openPrekeys({ store: createMemoryStore(), keyring, clock, random })
const sessions: Sessions = await openSessions({ store: forgetful(), keyring, prekeys, clock, random })
const { bundle } = await prekeys.current()
let recordBytes = 0

async function openOne(): Promise<void> {
  const sender = newKeyring()
  const outgoing = await openSessions({ store: forgetful(), keyring: sender, prekeys: { find: () => undefined }, clock, random })
  const issuedAt = clock.now()
  const fields = { from: sender.did, to: keyring.did, type: 'text', payload, issuedAt, expiresAt: issuedAt + 60_000 }
  const { bytes } = outgoing.seal(keyring.did, [{ ...composeStatement('message', fields, random), kind: 'message' }], { bundle })
  const { ops } = sessions.open(bytes, { lifetimeMsMax: 60_000 })
  recordBytes = ops.reduce((sum, op) => sum + (op.type === 'put' ? op.key.length + op.value.length : 0), 0)
}

function usedBytes(): number {
  for (let round = 0; round < 4; round++) globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

answerParent({
  /** Bytes of memory one more session takes, of `count`, and of its record. */
  async bytesEach(count: number) {
    for (let index = 0; index < 64; index++) await openOne()
    const [before, held] = [usedBytes(), sessions.count]
    for (let index = 0; index < count; index++) await openOne()
    return { memory: (usedBytes() - before) / (sessions.count - held), record: recordBytes }
  },
})
