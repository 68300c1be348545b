import { expect, test } from 'vitest'
import type { Audit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, type Did, silentLogger } from '../../src/base/index.ts'
import { type Keyring, partiesOf, signStatement } from '../../src/identity/index.ts'
import type { Host } from '../../src/net/index.ts'
import { createTrustMeeting, meetProvidersMax, meetStrangersPerMinuteMax } from '../../src/node/trust-meeting.ts'
import type { TrustItem } from '../../src/trust/index.ts'
import { attestationCodec } from '../../src/trust/statements.ts'
import { encode } from '../../src/wire/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'
import { createStreamPair } from '../helpers/stream-pair.ts'

const [self, subject, known, stranger] = [1, 2, 3, 4].map((seed) => keyringOf(seed)) as [Keyring, Keyring, Keyring, Keyring]
const random = createSeededRandom(1)

/** A meeting over a network that is a few functions. */
function createStage({
  closest = [],
  providers = [],
  certified = [known.did],
}: {
  closest?: readonly Did[]
  providers?: readonly Did[]
  certified?: readonly Did[]
}) {
  const clock = createVirtualClock()
  const say = (issuer: Keyring, seq: number): TrustItem => {
    const payload = attestationCodec.encode({ version: 1, level: 2, scopes: ['/'], depth: 0, evidence: undefined, seq, prev: undefined })
    const fields = { to: subject.did, type: 'attestation', payload, issuedAt: clock.now(), expiresAt: clock.now() + 1_000_000 }
    return { kind: 'attestation', bytes: signStatement('attestation', fields, { keyring: issuer, random }).bytes }
  }
  const [word, noise] = [say(known, 1), say(stranger, 1)]
  const asked: Did[] = []
  const accepted: TrustItem[] = []
  /** Who answers with the word of a certified issuer; the others say what nobody here cares for. */
  const telling = new Set<Did>()
  const host = {
    did: self.did,
    peers: () => [],
    onPeer: () => () => undefined,
    onContradiction: () => () => undefined,
    placeOf: () => undefined,
    handle: () => undefined,
    closest: async () => closest.map((did) => ({ did, addresses: [] })),
    providers: async () => providers.map((did) => ({ did, addresses: [] })),
    dial: () => Promise.reject(new Error('nobody')),
    async open(peer: Did) {
      asked.push(peer)
      const [own, theirs] = createStreamPair(self.did, peer)
      const { kind, bytes } = telling.has(peer) ? word : noise
      await theirs.send(encode([[kind, bytes]]))
      return own
    },
  } as unknown as Host
  const meeting = createTrustMeeting({
    host,
    clock,
    random,
    logger: silentLogger,
    audit: {} as Audit,
    self: self.did,
    reach: { subject: (key) => key },
    isCertified: (did) => certified.includes(did),
    book: {
      parties: ({ kind, bytes }) => (kind === 'warrant' ? undefined : partiesOf(kind, bytes)),
      async acceptAll(items) {
        const all = [...items]
        accepted.push(...all)
        return { kept: all.length, known: 0, refused: [] }
      },
      acceptWarrant: async () => false,
      about: () => [],
      items: () => [],
      settle: async () => undefined,
    },
  })
  return { clock, meeting, asked, accepted, telling, word }
}
const dids = (from: number, count: number): readonly Did[] => Array.from({ length: count }, (_, index) => keyringOf(from + index).did)

test('only what certified issuers say is given to the book; of others not even the signature is looked at', async () => {
  const { meeting, accepted, telling, word } = createStage({ closest: dids(10, 5) })
  for (const did of dids(12, 1)) telling.add(did)
  expect(await meeting.lookup(subject.did)).toBe(1)
  expect(accepted).toEqual([word])
})

test('where those closest say nothing, certified providers are asked, and at most eight others', async () => {
  const [closest, others, certified] = [dids(20, 3), dids(30, 20), dids(60, 2)]
  const { meeting, asked, accepted, telling, word } = createStage({ closest, providers: [...others, ...certified], certified: [known.did, ...certified] })
  telling.add(certified[1] as Did)
  expect(await meeting.lookup(subject.did)).toBe(1)
  expect(accepted).toEqual([word])
  expect(asked).toEqual(expect.arrayContaining([...certified]))
  expect(others.filter((did) => asked.includes(did))).toHaveLength(meetProvidersMax)
  const spared = createStage({ closest, providers: others })
  spared.telling.add(closest[0] as Did)
  await spared.meeting.lookup(subject.did)
  expect(others.filter((did) => spared.asked.includes(did))).toEqual([])
})

test('strangers cause so many lookups a minute and no more; a person is not held up by them; what is enough ends it', async () => {
  const { clock, meeting, asked } = createStage({ closest: dids(10, 1) })
  for (let index = 0; index < meetStrangersPerMinuteMax + 40; index++) await meeting.lookup(keyringOf(1_000 + index).did, { limited: true })
  expect(asked).toHaveLength(meetStrangersPerMinuteMax)
  await meeting.lookup(subject.did)
  expect(asked.length).toBeGreaterThan(meetStrangersPerMinuteMax)
  const before = asked.length
  await clock.advance(60_000)
  await meeting.lookup(subject.did, { limited: true, enough: () => true })
  expect(asked).toHaveLength(before)
  await meeting.lookup(subject.did, { limited: true })
  expect(asked.length).toBeGreaterThan(before)
})
