import { expect, test } from 'vitest'
import { frameBody, keyBody, plainBody, rosterBody } from '../../src/agents/group-bodies.ts'
import { openRosterEntry, rosterPayload, signRosterEntry } from '../../src/agents/roster-entry.ts'
import { openTopicMessage, topicIdOf } from '../../src/agents/topic-message.ts'
import { createSeededRandom, equal, MeshError } from '../../src/base/index.ts'
import { createGroupSender, decodeGroupFrame, openGroupFrame, receivingChain } from '../../src/envelope/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { keyringOf, messagePayload } from '../helpers/raw-peer.ts'

const now = Date.UTC(2026, 0, 1)
const random = createSeededRandom(3)
const anna = keyringOf(1)
const signing = { keyring: anna, random, now }
const [group, epoch] = [random.bytes(32), random.bytes(32)]
const first = signRosterEntry(undefined, { action: 'create', name: 'team', who: [anna.did, keyringOf(2).did], parents: [] }, signing)
const next = signRosterEntry(first.signed.statement.to, { action: 'add', who: [keyringOf(3).did], parents: [first.signed.hash] }, signing)
const context = { group, epoch, sender: anna.did }
const sender = createGroupSender({ context, random })
const key = sender.handover()
const frame = sender.seal(random.bytes(200))
const topic = topicIdOf('news')
const said = signStatement(
  'message',
  { to: topic.audience, type: 'text', payload: messagePayload({ body: 'x' }), issuedAt: now, expiresAt: now + 60_000 },
  signing,
)
const chain = receivingChain(key)

interface Decoder {
  readonly samples: readonly Uint8Array[]
  decode(bytes: Uint8Array): unknown
  encode?(value: never): Uint8Array
}
const bodyOf = <T>(codec: { encode(value: T): Uint8Array; decode(bytes: Uint8Array): T }, value: T): Decoder => ({
  samples: [codec.encode(value)],
  decode: (bytes) => codec.decode(bytes),
  encode: (decoded: never) => codec.encode(decoded),
})

test.each<readonly [string, Decoder]>([
  ['roster entry', { samples: [first.signed.bytes, next.signed.bytes], decode: (bytes) => openRosterEntry(bytes, { now }) }],
  ['roster payload', { ...bodyOf(rosterPayload, { version: 1, action: 'add', name: '', who: [anna.did] }) }],
  ['group frame', { samples: [frame], decode: (bytes) => openGroupFrame(chain, decodeGroupFrame(bytes), context) }],
  ['group roster', bodyOf(rosterBody, { version: 1, group, entries: [first.signed.bytes] })],
  ['group key', bodyOf(keyBody, { version: 1, group, epoch, key })],
  ['group message', bodyOf(frameBody, { version: 1, group, frame })],
  ['group word', bodyOf(plainBody, { version: 1, group })],
  ['topic message', { samples: [said.bytes], decode: (bytes) => openTopicMessage(bytes, { topic, from: anna.did, now }) }],
])('fuzzed input gives a %s or a coded error', (name, { samples, decode, encode }) => {
  const chance = createSeededRandom(2026)
  for (const sample of samples) decode(sample)
  let refused = 0
  // What strangers may send gets the full measure; the rest comes sealed, from members.
  const inputs = /entry|topic/.test(name) ? 100_000 : 30_000
  for (let count = 0; count < inputs; count++) {
    const input = fuzzed(samples, chance)
    try {
      const value = decode(input)
      if (encode !== undefined && !equal(encode(value as never), input)) expect.fail(`${Buffer.from(input).toString('hex')} encodes to other bytes`)
    } catch (error) {
      if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
      refused++
    }
  }
  expect(refused).toBeGreaterThan(inputs / 10)
})
