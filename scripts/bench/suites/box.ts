import { minuteMs, realClock, realRandom } from '../../../src/base/index.ts'
import { messageCodec } from '../../../src/agents/message.ts'
import { openBox, openPrekeys, sealBox } from '../../../src/envelope/index.ts'
import { createKeyring, openStatement, type Signed, signStatement } from '../../../src/identity/index.ts'
import { decodeFrame, encodeFrame } from '../../../src/protocols/klp/frames.ts'
import { createMemoryStore } from '../../../src/store/index.ts'
import { alternate, type Bench, row, type Row, usPerCall } from '../harness.ts'
import { createPrimitives } from '../primitives.ts'

const contentBytes = 1_024
/** The most that copying, padding, encoding and checks may add. Source: klp/v1, cost. */
const sealGoal = 1.25
const openGoal = 1.15
const codecShareGoal = 0.1

/** What sealing, signing and encoding one message add to the primitives they are made of. No disk, no network. */
export async function* box(bench: Bench): AsyncIterable<Row> {
  const random = realRandom
  const keyring = createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
  const prekeys = await openPrekeys({ store: createMemoryStore(), keyring, clock: realClock, random })
  const { bundle } = await prekeys.current()
  const now = realClock.now()
  const content = random.bytes(contentBytes)
  const seal = (bytes: Uint8Array): Uint8Array => sealBox(bytes, { bundle, now, random })
  const sealed = seal(content)
  const sign = (payload: Uint8Array): Signed =>
    signStatement('message', { to: keyring.did, type: 'ask', payload, issuedAt: now, expiresAt: now + minuteMs }, { keyring, random })
  const open = (bytes: Uint8Array): Signed => openStatement('message', bytes, { now, lifetimeMsMax: minuteMs })
  const statement = sign(content)

  const body = 'x'.repeat(contentBytes)
  const traceId = random.bytes(16)
  function sendOne(): void {
    const payload = messageCodec.encode({ version: 1, agent: 'echo', expectsReply: true, priority: 5, traceId, encoding: 'text', body })
    const frame = decodeFrame(encodeFrame({ frame: 2, rid: 1, ttlMs: minuteMs, sealed: seal(sign(payload).bytes) }))
    if (frame.frame === 2) messageCodec.decode(open(openBox(frame.sealed, prekeys)).statement.payload)
  }
  const bare = createPrimitives(contentBytes)
  const bareMessage = createPrimitives(statement.bytes.length)
  function bareOne(): void {
    bareMessage.hash()
    bareMessage.sign()
    bareMessage.seal()
    bareMessage.open()
    bareMessage.hash()
    bareMessage.verify()
  }

  const us = (act: () => unknown) => () => usPerCall(bench.calls, act)
  const figures = await alternate(bench.rounds(60), {
    seal: us(() => seal(content)),
    bareSeal: us(() => bare.seal()),
    open: us(() => openBox(sealed, prekeys)),
    bareOpen: us(() => bare.open()),
    statement: us(() => open(sign(content).bytes)),
    bareSignVerify: us(() => {
      bare.sign()
      bare.verify()
    }),
    message: us(sendOne),
    bareMessage: us(bareOne),
  })
  const primitives = 'its primitives called bare'
  yield row({ id: 'box-seal', what: 'seal a box of 1 KiB', unit: 'us', figures: figures.seal, against: primitives, others: figures.bareSeal, goal: sealGoal })
  yield row({ id: 'box-open', what: 'open a box of 1 KiB', unit: 'us', figures: figures.open, against: primitives, others: figures.bareOpen, goal: openGoal })
  yield row({
    id: 'statement',
    what: 'sign, encode, decode and verify a statement of 1 KiB',
    unit: 'us',
    figures: figures.statement,
    against: 'bare Ed25519 sign and verify',
    others: figures.bareSignVerify,
  })
  yield row({
    id: 'message-codec',
    what: 'codec, padding, header and checks of one sealed message of 1 KiB, made and read',
    unit: 'us',
    figures: figures.message.map((message, index) => message - (figures.bareMessage[index] ?? 0)),
    against: 'the whole message, primitives included',
    others: figures.message,
    goal: codecShareGoal,
  })
}
