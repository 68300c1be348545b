import { expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, dayMs, type Did, hex, hourMs, silentLogger } from '../../src/base/index.ts'
import { endedInvitesMax, type Invites, inviteUsesMax, openInvites, openInvitesMax, wrongProofsMax } from '../../src/node/invites.ts'
import { inviteKeys, type InviteTerms, joinProof } from '../../src/protocols/join/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const [anna, ben, cleo] = [keyringOf(1), keyringOf(2).did, keyringOf(3).did]
const clock = createVirtualClock()
const termsOf = (change: Partial<InviteTerms> = {}): InviteTerms => ({
  level: 2,
  scopes: ['/task/run'],
  expiresAt: clock.now() + dayMs,
  lifetimeMs: 90 * dayMs,
  ...change,
})

/** Seqs that were signed for a joiner: what the trust book would hold, and keep. */
type Signed = Map<Did, number>

async function open(store: MemoryStore, signed: Signed = new Map()): Promise<Invites> {
  const random = createSeededRandom(clock.now() % 1_000)
  const audit = await createAudit({ store, sign: anna.sign, did: anna.did, keys: [anna.did], clock, logger: silentLogger })
  return await openInvites({ store: store.sub('invites'), keyring: anna, clock, random, audit, signedSince: (joiner) => signed.get(joiner) })
}

interface Attempt {
  readonly secret: Uint8Array
  readonly joiner?: Did
  readonly terms: InviteTerms
}
const request = ({ secret, joiner = ben, terms }: Attempt) => {
  const keys = inviteKeys(secret)
  const parties = { inviter: { identity: anna.did, key: anna.did }, joiner: { identity: joiner, key: joiner } }
  return { id: keys.id, ...parties, proof: joinProof(keys, 'joiner', { id: keys.id, ...parties, terms }) }
}
/** Joins; what is signed goes into the book. */
async function claim(invites: Invites, attempt: Attempt, signed: Signed, fault?: () => void): Promise<number> {
  const { seq } = await invites.claim(request(attempt), {
    check: () => undefined,
    async sign({ claim: { joiner } }) {
      fault?.()
      signed.set(joiner, (signed.get(joiner) ?? 0) + 1)
      return signed.get(joiner) ?? 0
    },
  })
  return seq
}

test('an invite is used up on disk before anything is signed: after a power cut at that instant nobody else gets in, and the same joiner goes on', async () => {
  const store = createMemoryStore()
  const signed: Signed = new Map()
  const before = await open(store, signed)
  const terms = termsOf()
  const { secret } = await before.create(terms, 1)
  const cut = claim(before, { secret, terms }, signed, () => {
    throw new Error('the power went')
  })
  await expect(cut).rejects.toThrow('the power went')
  store.crash()
  const after = await open(store, signed)
  expect(after.list()).toMatchObject([{ status: 'used', joined: [{ did: ben }] }])
  expect(await codeOf(claim(after, { secret, terms, joiner: cleo }, signed))).toBe('ERR_INVITE_USED')
  expect(signed.size).toBe(0)
  expect(await claim(after, { secret, terms }, signed)).toBe(1)
  expect(await claim(after, { secret, terms }, signed)).toBe(1)
  expect(signed.get(ben)).toBe(1)
})

test('whatever write fails or is lost, one invite never gives two signatures, and never lets two in', async () => {
  for (let failing = 1; failing <= 12; failing++) {
    const signed: Signed = new Map()
    let armed = false
    let writes = 0
    const store = createMemoryStore({ fault: () => (armed && ++writes === failing ? 'fail' : undefined) })
    const terms = termsOf()
    let invites = await open(store, signed)
    const { secret } = await invites.create(terms, 1)
    armed = true
    await claim(invites, { secret, terms }, signed).catch(() => undefined)
    armed = false
    store.crash()
    invites = await open(store, signed)
    const outcomes = [await codeOf(claim(invites, { secret, terms }, signed)), await codeOf(claim(invites, { secret, terms, joiner: cleo }, signed))]
    expect(outcomes).toEqual(['ok', 'ERR_INVITE_USED'])
    expect([...signed]).toEqual([[ben, 1]])
  }
})

test('once it is used, only the key that used it goes on, and only with the proof of then', async () => {
  const signed: Signed = new Map()
  const invites = await open(createMemoryStore(), signed)
  const terms = termsOf()
  const { secret } = await invites.create(terms, 1)
  await claim(invites, { secret, terms }, signed)
  const sound = request({ secret, terms })
  const ok = { check: () => undefined, sign: async () => 9 }
  expect(await codeOf(invites.claim({ ...sound, proof: new Uint8Array(32) }, ok))).toBe('ERR_INVITE_PROOF')
  expect(await codeOf(invites.claim({ ...sound, joiner: { identity: ben, key: cleo } }, ok))).toBe('ERR_INVITE_USED')
  expect((await invites.claim(sound, ok)).seq).toBe(1)
})

test('two at once share no use; one for several lets in so many and no more', async () => {
  const signed: Signed = new Map()
  const invites = await open(createMemoryStore(), signed)
  const terms = termsOf()
  const one = await invites.create(terms, 1)
  const codes = await Promise.all([ben, cleo].map((joiner) => codeOf(claim(invites, { secret: one.secret, terms, joiner }, signed))))
  expect(codes).toEqual(['ok', 'ERR_INVITE_USED'])
  const many = await invites.create(terms, inviteUsesMax)
  const crowd = Array.from({ length: inviteUsesMax + 1 }, (_, index) => keyringOf(100 + index).did)
  const all = await Promise.all(crowd.map((joiner) => codeOf(claim(invites, { secret: many.secret, terms, joiner }, signed))))
  expect(all.filter((code) => code === 'ok')).toHaveLength(inviteUsesMax)
  expect(all.at(-1)).toBe('ERR_INVITE_USED')
})

test('wrong proofs burn an invite, also for who holds the ticket; they are counted across restarts', async () => {
  const store = createMemoryStore()
  const terms = termsOf()
  let invites = await open(store)
  const { secret } = await invites.create(terms, 1)
  for (let count = 0; count < wrongProofsMax; count++) {
    expect(await codeOf(claim(invites, { secret, terms: { ...terms, level: 3 } }, new Map()))).toBe('ERR_INVITE_PROOF')
    store.crash()
    invites = await open(store)
  }
  expect(invites.list()).toMatchObject([{ status: 'burnt', joined: [] }])
  expect(await codeOf(claim(invites, { secret, terms }, new Map()))).toBe('ERR_INVITE_UNKNOWN')
})

test('the proof is of level, scopes, expiry, lifetime, both identities and both keys, and of its side', async () => {
  const invites = await open(createMemoryStore())
  const terms = termsOf()
  const { secret } = await invites.create(terms, 1)
  const sound = request({ secret, terms })
  const keys = inviteKeys(secret)
  const facts = { id: sound.id, inviter: sound.inviter, joiner: sound.joiner, terms }
  const altered = [
    { ...facts, terms: { ...terms, level: 1 } },
    { ...facts, terms: { ...terms, scopes: ['/task'] } },
    { ...facts, terms: { ...terms, scopes: ['/task/run', '/message'] } },
    { ...facts, terms: { ...terms, expiresAt: terms.expiresAt + 1 } },
    { ...facts, terms: { ...terms, lifetimeMs: terms.lifetimeMs + 1 } },
    { ...facts, inviter: { identity: cleo, key: anna.did } },
    { ...facts, inviter: { identity: anna.did, key: cleo } },
    { ...facts, joiner: { identity: cleo, key: ben } },
    { ...facts, joiner: { identity: ben, key: cleo } },
  ]
  const proofs = [joinProof(keys, 'inviter', facts), ...altered.map((each) => joinProof(keys, 'joiner', each))]
  expect(new Set([...proofs, sound.proof].map(hex)).size).toBe(proofs.length + 1)
  const ok = { check: () => undefined, sign: async () => 1 }
  for (const proof of proofs.slice(0, wrongProofsMax - 1)) {
    expect(await codeOf(invites.claim({ ...sound, proof }, ok))).toBe('ERR_INVITE_PROOF')
  }
  expect(await codeOf(invites.claim(sound, ok))).toBe('ok')
})

test('an expired or revoked invite lets nobody in, whatever the ticket says', async () => {
  const invites = await open(createMemoryStore())
  const terms = termsOf({ expiresAt: clock.now() + hourMs })
  const first = await invites.create(terms, 1)
  const second = await invites.create(termsOf(), 1)
  await invites.revoke(second.view.name)
  expect(await codeOf(claim(invites, { secret: second.secret, terms: termsOf() }, new Map()))).toBe('ERR_INVITE_UNKNOWN')
  await clock.advance(hourMs)
  expect(await codeOf(claim(invites, { secret: first.secret, terms }, new Map()))).toBe('ERR_INVITE_EXPIRED')
  expect(await codeOf(claim(invites, { secret: first.secret, terms: { ...terms, expiresAt: clock.now() + dayMs } }, new Map()))).toBe('ERR_INVITE_EXPIRED')
  expect(invites.list().map(({ status }) => status)).toEqual(['expired', 'revoked'])
  expect(await codeOf(invites.revoke('nothing'))).toBe('ERR_NOT_FOUND')
})

test('so many are open and no more; ended ones are forgotten, the oldest first', async () => {
  const invites = await open(createMemoryStore())
  for (let count = 0; count < openInvitesMax; count++) await invites.create(termsOf(), 1)
  expect(await codeOf(invites.create(termsOf(), 1))).toBe('ERR_OVERLOADED')
  for (const { name } of invites.list()) await invites.revoke(name)
  for (let count = 0; count < endedInvitesMax; count++) await invites.revoke((await invites.create(termsOf(), 1)).view.name)
  expect(invites.list().length).toBeLessThanOrEqual(endedInvitesMax + 1)
})

test('the secret is on no disk in clear, nor what it becomes, and gone once it is used', async () => {
  const store = createMemoryStore()
  const signed: Signed = new Map()
  const invites = await open(store, signed)
  const terms = termsOf()
  const { secret } = await invites.create(terms, 1)
  await claim(invites, { secret, terms }, signed)
  const keys = inviteKeys(secret)
  for await (const [key, value] of store.range({})) {
    for (const hidden of [secret, keys.id, keys.joiner, keys.inviter]) {
      expect(Buffer.from(value).includes(Buffer.from(hidden)), key).toBe(false)
      expect(key).not.toContain(hex(hidden))
    }
  }
})
