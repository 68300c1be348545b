import { minuteMs, realClock, realRandom } from '../../../src/base/index.ts'
import { messageCodec } from '../../../src/agents/message.ts'
import { openBox, openPrekeys, sealBox } from '../../../src/envelope/index.ts'
import { createKeyring, openStatement, type Signed, signStatement } from '../../../src/identity/index.ts'
import { decodeFrame, encodeFrame } from '../../../src/protocols/klp/frames.ts'
import { createMemoryStore } from '../../../src/store/index.ts'
import { decode, encode, type Plain } from '../../../src/wire/index.ts'
import { alternate, type Bench, row, type Row, usPerCall } from '../harness.ts'
import { createPrimitives } from '../primitives.ts'

const contentBytes = 1_024
const bytesMax = 1 << 16
/** The most that copying, padding, encoding and checks may add. */
const sealGoal = 1.25
const openGoal = 1.15
/** The most of a message that encoding and decoding may take. */
const codecShareGoal = 0.1
/** Calls before the first that counts, in samples: until the compiler has done its work. */
const warmUps = 20

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

  const message = {
    version: 1,
    agent: 'echo',
    expectsReply: true,
    priority: 5,
    traceId: random.bytes(16),
    replyTo: undefined,
    order: undefined,
    hints: [],
    token: undefined,
    encoding: 'text',
    body: new Uint8Array(contentBytes).fill(120),
  } as const
  const frameOf = (box: Uint8Array): Uint8Array => encodeFrame({ frame: 2, rid: 1, ttlsMs: [minuteMs], sealed: box })
  function sendOne(): void {
    const frame = decodeFrame(frameOf(seal(sign(messageCodec.encode(message)).bytes)))
    if (frame.frame === 2) messageCodec.decode(open(openBox(frame.sealed, prekeys)).statement.payload)
  }
  const [, layer] = decode(statement.bytes, bytesMax) as readonly [Uint8Array, Readonly<Record<string, Uint8Array>>]
  const layers = [messageCodec.encode(message), layer['klp/message@1'] ?? content, statement.bytes, sealed, frameOf(sealed)]
  const items = layers.map((bytes) => decode(bytes, bytesMax) as Plain)
  function encodeAndDecode(): void {
    for (const item of items) encode(item)
    for (const bytes of layers) decode(bytes, bytesMax)
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

  const us = (act: () => unknown): (() => number) => {
    usPerCall(warmUps * bench.calls, act)
    return () => usPerCall(bench.calls, act)
  }
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
    codec: us(encodeAndDecode),
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
  const whole = 'the whole message, primitives included'
  yield row({
    id: 'message-codec',
    what: 'encode and decode payload, statement, envelope, box and frame of one message of 1 KiB',
    unit: 'us',
    figures: figures.codec,
    against: whole,
    others: figures.message,
    goal: codecShareGoal,
  })
  yield row({
    id: 'message-overhead',
    what: 'all that is no primitive in making and reading that message: codec, copies, padding, checks',
    unit: 'us',
    figures: figures.message.map((us, round) => us - (figures.bareMessage[round] ?? 0)),
    against: whole,
    others: figures.message,
  })
}
