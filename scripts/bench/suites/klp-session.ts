import { createCipheriv, createDecipheriv, createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { messageCodec, plainMessage } from '../../../src/agents/message.ts'
import { minuteMs, realClock, realRandom } from '../../../src/base/index.ts'
import { openPrekeys, openSessions, type Sessions } from '../../../src/envelope/index.ts'
import { padmeLength } from '../../../src/envelope/padding.ts'
import { type Composed, composeStatement, createKeyring, type Keyring } from '../../../src/identity/index.ts'
import { createMemoryStore } from '../../../src/store/index.ts'
import { alternate, type Bench, cpuUsPerCall, type Row, row } from '../harness.ts'
import { createPrimitives } from '../primitives.ts'

const bodyBytes = 1_024
const batch = 32
const primitivesGoal = 0.85
const batchGoal = 3.5
const headerBytes = 60
/** Calls before the first that counts, in samples: until the compiler has done its work. */
const warmUps = 20

interface End {
  readonly keyring: Keyring
  readonly sessions: Sessions
}

async function createEnd(): Promise<End & { readonly bundle: Awaited<ReturnType<Awaited<ReturnType<typeof openPrekeys>>['current']>>['bundle'] }> {
  const [clock, random] = [realClock, realRandom]
  const keyring = createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
  const prekeys = await openPrekeys({ store: createMemoryStore(), keyring, clock, random })
  const sessions = await openSessions({ store: createMemoryStore(), keyring, prekeys, clock, random })
  return { keyring, sessions, bundle: (await prekeys.current()).bundle }
}

/** A statement with a message of 1 KiB. */
function compose(from: End, to: End): Composed & { readonly kind: 'message' } {
  const issuedAt = realClock.now()
  const payload = messageCodec.encode(content)
  const fields = { from: from.keyring.did, to: to.keyring.did, type: 'ask', payload, issuedAt, expiresAt: issuedAt + minuteMs }
  return { ...composeStatement('message', fields, realRandom), kind: 'message' }
}
const content: Parameters<typeof messageCodec.encode>[0] = {
  ...plainMessage({ encoding: 'text', body: new Uint8Array(bodyBytes).fill(120) }),
  agent: 'echo',
  expectsReply: true,
  traceId: randomBytes(16),
}

/** What, in CPU time, a session adds to the primitives a message is made of, and what one signature for many saves. No disk, no network. */
export async function* klpSession(bench: Bench): AsyncIterable<Row> {
  const [anna, ben] = await Promise.all([createEnd(), createEnd()])
  // A box opens the session, its answer confirms it.
  ben.sessions.open(anna.sessions.seal(ben.keyring.did, [compose(anna, ben)], { bundle: ben.bundle }).bytes, { lifetimeMsMax: minuteMs })
  anna.sessions.open(ben.sessions.seal(anna.keyring.did, [compose(ben, anna)], {}).bytes, { lifetimeMsMax: minuteMs })

  function send(count: number): void {
    const items = Array.from({ length: count }, () => compose(anna, ben))
    // The bundle is at hand for when the session heals.
    const { bytes, mode } = anna.sessions.seal(ben.keyring.did, items, { bundle: ben.bundle })
    if (mode !== 'session') throw new Error('the message went in a box')
    for (const item of ben.sessions.open(bytes, { lifetimeMsMax: minuteMs }).items) {
      if (item instanceof Error) throw item
      messageCodec.decode(item.statement.payload)
    }
  }
  const { body } = compose(anna, ben)
  const bare = createPrimitives(body.length)
  const symmetric = createSymmetric(body.length)
  function primitives(): void {
    bare.hash()
    bare.sign()
    symmetric()
    bare.hash()
    bare.verify()
  }
  /** Not measured: who never hears back goes on in boxes once a session is due to heal. */
  function answer(): void {
    const { bytes, mode } = ben.sessions.seal(anna.keyring.did, [compose(ben, anna)], { bundle: anna.bundle })
    anna.sessions.open(bytes, { lifetimeMsMax: minuteMs })
    if (mode !== 'session') throw new Error('the answer went in a box')
  }
  const perSecond = (messages: number, act: () => unknown): (() => number) => {
    const sample = (): number => {
      answer()
      return (1e6 * messages) / cpuUsPerCall(Math.ceil(bench.calls / messages), act)
    }
    for (let count = 0; count < warmUps; count++) sample()
    return sample
  }
  const figures = await alternate(bench.rounds(60), {
    each: perSecond(1, () => send(1)),
    batch: perSecond(batch, () => send(batch)),
    primitives: perSecond(1, primitives),
  })
  const what = 'send and receive in a session, 1 KiB, by CPU time'
  const unit = 'messages/s'
  const against = 'its primitives called bare: two hashes, sign, verify, two chain steps, AEAD both ways'
  yield row({ id: 'klp-session', what: `${what}, each signed`, unit, figures: figures.each, against, others: figures.primitives, goal: primitivesGoal })
  yield row({
    id: 'klp-batch',
    what: `${what}, ${batch} under one signature`,
    unit,
    figures: figures.batch,
    against: 'each signed',
    others: figures.each,
    goal: batchGoal,
  })
}

/** On both sides: message key and next chain key (two HMACs), and the AEAD under a key used once. */
function createSymmetric(statementBytes: number): () => void {
  const plaintext = randomBytes(padmeLength(4 + 80 + statementBytes))
  const [aad, nonce, chain] = [randomBytes(headerBytes), new Uint8Array(12), randomBytes(32)]
  const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)]
  const step = (): Buffer => {
    createHmac('sha256', createSecretKey(chain)).update(two).digest()
    return createHmac('sha256', createSecretKey(chain)).update(one).digest()
  }
  return () => {
    const cipher = createCipheriv('aes-256-gcm', createSecretKey(step()), nonce)
    cipher.setAAD(aad)
    const sealed = cipher.update(plaintext)
    cipher.final()
    const decipher = createDecipheriv('aes-256-gcm', createSecretKey(step()), nonce)
    decipher.setAuthTag(cipher.getAuthTag())
    decipher.setAAD(aad)
    decipher.update(sealed)
    decipher.final()
  }
}
