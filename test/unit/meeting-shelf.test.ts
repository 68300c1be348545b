import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did } from '../../src/base/index.ts'
import { type Keyring, signStatement } from '../../src/identity/index.ts'
import { createMeetingShelf, type MeetingShelfOptions, shelfChecksPerPeerMax, type ShelfItem, shelfTtlMs } from '../../src/trust/meeting-shelf.ts'
import { attestationCodec, revocationCodec } from '../../src/trust/statements.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const clock = createVirtualClock()
const random = createSeededRandom(1)
const dayMs = 86_400_000
const victim = keyringOf(1)

function attest(issuer: Keyring, seq = 1, { to = victim.did, level = 2, lifetimeMs = 90 * dayMs } = {}): ShelfItem {
  const payload = attestationCodec.encode({ version: 1, level, scopes: ['/task/run'], depth: 0, evidence: undefined, seq, prev: undefined })
  const fields = { to, type: 'attestation', payload, issuedAt: clock.now(), expiresAt: clock.now() + lifetimeMs }
  return { kind: 'attestation', bytes: signStatement('attestation', fields, { keyring: issuer, random }).bytes }
}
function revoke(issuer: Keyring, seq: number): ShelfItem {
  const payload = revocationCodec.encode({ version: 1, attestation: new Uint8Array(32), kind: 'soft', at: clock.now(), seq, prev: undefined })
  const fields = { to: victim.did, type: 'revocation', payload, issuedAt: clock.now(), expiresAt: clock.now() + 90 * dayMs }
  return { kind: 'revocation', bytes: signStatement('revocation', fields, { keyring: issuer, random }).bytes }
}
const open = (more: Partial<MeetingShelfOptions> = {}) => createMeetingShelf({ clock, subject: (key) => key, isCertified: () => false, ...more })

test('of one issuer about one subject the highest seq stays, a revocation too; what is older is known, what is equal and different proves it', () => {
  const contradictions: (readonly [ShelfItem, ShelfItem])[] = []
  const shelf = open({ onContradiction: (held, offered) => contradictions.push([held, offered]) })
  const anna = keyringOf(2)
  const [first, second, other, end] = [attest(anna, 1), attest(anna, 2), attest(anna, 2, { level: -1 }), revoke(anna, 3)]
  const put = (item: ShelfItem) => shelf.put({ peer: anna.did }, item)
  expect([put(second), put(first), put(second), put(other), put(end), put(second)]).toEqual(['kept', 'known', 'known', 'invalid', 'kept', 'known'])
  expect(shelf.list(victim.did)).toEqual([end])
  expect(contradictions).toEqual([[second, other]])
  expect(shelf.refused).toEqual({ invalid: 1, full: 0, busy: 0 })
})

test('what is forged, expired, garbage or about its own author is not kept', () => {
  const shelf = open()
  const anna = keyringOf(2)
  const good = attest(anna)
  const forged = { kind: good.kind, bytes: good.bytes.with(120, (good.bytes[120] ?? 0) ^ 1) }
  const late = attest(anna, 1, { lifetimeMs: -1 })
  for (const item of [
    forged,
    late,
    { kind: 'revocation' as const, bytes: good.bytes },
    { kind: good.kind, bytes: new Uint8Array(300) },
    attest(anna, 1, { to: anna.did }),
  ]) {
    expect(shelf.put({ peer: anna.did }, item)).toBe('invalid')
  }
  expect(shelf.size).toBe(0)
})

test('two hundred sybils of one place displace neither what the subject left, nor issuers elsewhere, before them or after', () => {
  const shelf = open({ limits: { checks: 1e6 } })
  const honest = Array.from({ length: 8 }, (_, index) => keyringOf(100 + index))
  const chosen = Array.from({ length: 8 }, (_, index) => keyringOf(200 + index))
  const [early, late] = [honest.slice(0, 4), honest.slice(4)]
  const item = new Map([...honest, ...chosen].map((issuer) => [issuer.did, attest(issuer)]))
  const put = (peer: Did, issuer: Keyring, place: string) => shelf.put({ peer, place }, item.get(issuer.did) as ShelfItem)
  for (const issuer of early) put(issuer.did, issuer, issuer.did)
  for (const issuer of chosen.slice(0, 4)) put(victim.did, issuer, 'home')
  for (let index = 0; index < 200; index++) {
    const sybil = keyringOf(1_000 + index)
    shelf.put({ peer: sybil.did, place: '203.0.113' }, attest(sybil, 1, { level: -1 }))
  }
  for (const issuer of late) expect(put(issuer.did, issuer, issuer.did)).toBe('kept')
  for (const issuer of chosen.slice(4)) expect(put(victim.did, issuer, 'home')).toBe('kept')
  const listed = new Set(shelf.list(victim.did).map(({ bytes }) => Buffer.from(bytes).toString('hex')))
  for (const one of item.values()) expect(listed.has(Buffer.from(one.bytes).toString('hex'))).toBe(true)
  expect(shelf.list(victim.did).length).toBeLessThanOrEqual(64)
})

test('the word of an issuer who is certified here takes the place of a stranger`s, never the other way', () => {
  const anna = keyringOf(2)
  const shelf = open({ isCertified: (did) => did === anna.did, limits: { ofIssuers: 2 } })
  const strangers = [10, 11, 12].map((seed) => keyringOf(seed))
  expect(strangers.map((one) => shelf.put({ peer: one.did }, attest(one)))).toEqual(['kept', 'kept', 'full'])
  const word = attest(anna)
  expect(shelf.put({ peer: anna.did }, word)).toBe('kept')
  expect(shelf.list(victim.did)[0]).toEqual(word)
  expect(shelf.list(victim.did)).toHaveLength(2)
  for (const one of strangers) shelf.put({ peer: one.did }, attest(one, 2))
  expect(shelf.list(victim.did)[0]).toEqual(word)
})

test('a flood of puts stays within each bound: per issuer, per peer, in all, and in signatures looked at', () => {
  const issuer = keyringOf(2)
  const about = (index: number) => ({ to: keyringOf(3_000 + index).did })
  const perIssuer = open({ limits: { perIssuer: 3 } })
  expect([0, 1, 2, 3].map((index) => perIssuer.put({ peer: issuer.did }, attest(issuer, index + 1, about(index))))).toEqual(['kept', 'kept', 'kept', 'full'])
  const perStorer = open({ limits: { perStorer: 2 } })
  const strangers = [20, 21, 22].map((seed) => keyringOf(seed))
  expect(strangers.map((one) => perStorer.put({ peer: issuer.did }, attest(one)))).toEqual(['kept', 'kept', 'full'])

  // A crowd in one place fills the shelf; it gives way to others, who share what is there.
  const shelf = open({ limits: { all: 20, checks: 1e6 } })
  for (let index = 0; index < 60; index++) {
    const sybil = keyringOf(4_000 + index)
    shelf.put({ peer: sybil.did, place: 'crowd' }, attest(sybil, 1, about(index)))
  }
  expect(shelf.size).toBe(20)
  expect(strangers.map((one) => shelf.put({ peer: one.did }, attest(one, 1, about(99))))).toEqual(['kept', 'kept', 'kept'])
  expect(shelf.size).toBe(20)
  expect(shelf.list(about(99).to)).toHaveLength(3)

  const garbage = open()
  const forged = attest(issuer)
  const outcomes = Array.from({ length: 10_000 }, (_, index) =>
    garbage.put({ peer: issuer.did }, { kind: forged.kind, bytes: forged.bytes.with(20, index & 0xff).with(21, index >> 8) }),
  )
  expect(outcomes.filter((outcome) => outcome === 'invalid').length).toBeLessThanOrEqual(shelfChecksPerPeerMax)
  expect(garbage.refused.busy).toBeGreaterThan(9_000)
  expect(garbage.size).toBe(0)
})

test('what is not left again is forgotten after 48 h, and what is stays; its own end is kept too', async () => {
  const shelf = open()
  const [anna, ben, carl] = [keyringOf(2), keyringOf(3), keyringOf(4)]
  const [left, again, brief] = [attest(anna), attest(ben), attest(carl, 1, { lifetimeMs: dayMs })]
  shelf.put({ peer: anna.did }, left)
  shelf.put({ peer: ben.did }, again)
  shelf.put({ peer: carl.did }, brief)
  await clock.advance(shelfTtlMs / 2)
  expect(shelf.list(victim.did)).toEqual([left, again])
  expect(shelf.put({ peer: ben.did }, again)).toBe('known')
  await clock.advance(shelfTtlMs / 2)
  expect(shelf.list(victim.did)).toEqual([again])
  // Swept away, not hidden only.
  shelf.put({ peer: carl.did }, attest(carl, 2))
  expect(shelf.size).toBe(2)
})

test('what a stranger left moves to the subject`s own side once the subject leaves it, out of reach of others', () => {
  const anna = keyringOf(2)
  const shelf = open({ limits: { ofOthers: 1 } })
  const word = attest(anna)
  const stranger = keyringOf(5)
  expect(shelf.put({ peer: stranger.did }, word)).toBe('kept')
  expect(shelf.put({ peer: stranger.did }, attest(keyringOf(6)))).toBe('full')
  expect(shelf.put({ peer: victim.did }, word)).toBe('known')
  expect(shelf.put({ peer: stranger.did }, attest(keyringOf(6)))).toBe('kept')
  expect(shelf.list(victim.did)).toContainEqual(word)
})
