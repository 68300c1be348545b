import { expect, test } from 'vitest'
import { concat, createSeededRandom, createVirtualClock, type Did, equal, keyFromDid, silentLogger, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { type Keyring, signStatement } from '../../src/identity/index.ts'
import { createSimulator, type Host, type RecordRule } from '../../src/net/index.ts'
import { recordRules } from '../../src/node/index.ts'
import { createHeads } from '../../src/node/trust-heads.ts'
import { headNamespace } from '../../src/node/trust-reach.ts'
import { serveStatements } from '../../src/protocols/att/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { headRecordKey, type SignedItem } from '../../src/trust/index.ts'
import { encode } from '../../src/wire/index.ts'
import { keysNear } from '../helpers/keys-near.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const honestCount = 20
const sybilCount = 100
const minute = 60_000

/** Holds what it was given first, whatever it is, or nothing at all. */
const stubborn: RecordRule = { check: () => ({ seq: 1, expiresAt: Number.MAX_SAFE_INTEGER }) }
const silent: RecordRule = {
  check() {
    throw new Error('nothing')
  },
}

/** Twenty honest hosts, and a hundred closer to the victim's head than any of them. `placeOf` says which network a sybil sits in. */
async function createCrowd(placeOf: (index: number) => string | undefined) {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed: 9, clock })
  const random = createSeededRandom(2)
  const victim = keyringOf(1)
  const headOf = (seq: number, signer: Keyring = victim): Uint8Array => {
    const payload = encode([1, seq, seq, new Uint8Array(32).fill(seq)])
    const fields = { to: signer.did, type: 'head', payload, issuedAt: clock.now(), expiresAt: clock.now() + 40 * minute }
    return signStatement('head', fields, { keyring: signer, random }).bytes
  }
  const rules = recordRules(clock)
  const host = async (did: Did, more: object = {}): Promise<Host> => await simulator.host(did, { store: createMemoryStore(), rules, ...more })
  const honest: Host[] = []
  for (let index = 0; index < honestCount; index++) honest.push(await host(index === 0 ? victim.did : keyringOf(index + 1).did))
  const hub = honest[1] as Host
  for (const one of honest) if (one !== hub) await clock.run(one.dial({ addresses: hub.addresses() }))
  const key = headRecordKey(victim.did)
  const target = sha256(concat(utf8(`/${headNamespace}/`), key))
  const sybils: Host[] = []
  for (const [index, did] of keysNear(target, sybilCount, 3).entries()) {
    const rule = index % 4 === 0 ? silent : stubborn
    const sybil = await host(did, { rules: { [headNamespace]: rule }, place: placeOf(index) })
    await clock.run(sybil.dial({ addresses: hub.addresses() }))
    sybils.push(sybil)
  }
  const reach = Math.max(...sybils.slice(0, 20).map(({ did }) => distanceOf(target, did)))
  expect(honest.filter(({ did }) => distanceOf(target, did) < reach)).toEqual([])
  return { clock, victim, headOf, honest, sybils, key }
}
const distanceOf = (target: Uint8Array, did: Did): number => {
  const id = sha256(keyFromDid(did))
  return new DataView(id.map((byte, index) => byte ^ (target[index] ?? 0)).buffer).getUint32(0)
}

/** Has the sybils hold garbage, a head of somebody else, a forged one, or the victim's first, and give it to each other. */
async function poison({ clock, headOf, sybils, key }: Awaited<ReturnType<typeof createCrowd>>, old: Uint8Array): Promise<void> {
  const forged = old.with(100, (old[100] ?? 0) ^ 1)
  const poisons = [undefined, utf8('garbage'), forged, old, headOf(99, keyringOf(77))]
  for (const [index, sybil] of sybils.entries()) {
    const value = poisons[index % poisons.length]
    if (value !== undefined && index % 4 !== 0) await clock.run(sybil.publish(headNamespace, key, value).catch(() => undefined))
  }
}

test('of lookups amid a hundred sybils around a head at least 99 % give the newest, and none a forged or rolled-back one', async () => {
  // Three networks: what one who rents machines gets without effort.
  const crowd = await createCrowd((index) => `203.0.${index % 3}`)
  const { clock, headOf, honest, key } = crowd
  const first = headOf(1)
  await poison(crowd, first)
  const [publisher, ...readers] = honest as [Host, ...Host[]]
  const genuine = [first]
  const seen = new Map<Did, number>()
  const counts = { lookups: 0, newest: 0, forged: 0, rolledBack: 0 }
  for (let seq = 2; seq <= 6; seq++) {
    await clock.advance(minute)
    genuine.push(headOf(seq))
    const newest = genuine.at(-1) ?? first
    await clock.run(publisher.publish(headNamespace, key, newest))
    for (const reader of readers) {
      const got = await clock.run(reader.lookup(headNamespace, key))
      counts.lookups++
      if (got === undefined) continue
      const at = genuine.findIndex((head) => equal(head, got))
      if (at < 0) counts.forged++
      if (at < (seen.get(reader.did) ?? 0)) counts.rolledBack++
      if (equal(got, newest)) counts.newest++
      seen.set(reader.did, at)
    }
  }
  expect(counts).toMatchObject({ lookups: 5 * (honestCount - 1), forged: 0, rolledBack: 0 })
  expect(counts.newest / counts.lookups).toBeGreaterThanOrEqual(0.99)
})

test('where the crowd sits in a hundred networks the DHT is theirs, and two certified contacts still tell the newest head', async () => {
  const crowd = await createCrowd(() => undefined)
  const { clock, victim, headOf, honest, key } = crowd
  const first = headOf(1)
  await poison(crowd, first)
  await clock.advance(minute)
  const newest = headOf(2)
  const [publisher, , , reader, ...others] = honest as [Host, Host, Host, Host, ...Host[]]
  await clock.run(publisher.publish(headNamespace, key, newest))
  const fromDht = await clock.run(reader.lookup(headNamespace, key))
  expect(fromDht === undefined || equal(fromDht, first)).toBe(true)
  const contacts = others.slice(0, 2)
  const held: readonly SignedItem[] = [{ kind: 'head', bytes: newest }]
  for (const contact of contacts) {
    serveStatements({
      host: contact,
      logger: silentLogger,
      async *list() {
        yield* held
      },
    })
    await clock.run(reader.dial({ addresses: contact.addresses() }))
  }
  const taken: Uint8Array[] = []
  const heads = createHeads({
    host: reader,
    clock,
    logger: silentLogger,
    reach: { subject: (did) => did, currentKnown: (did) => did, current: async (did) => did },
    isCertified: (did) => contacts.some((contact) => contact.did === did),
    book: {
      parties: () => ({ from: victim.did, to: victim.did }),
      async accept({ bytes }) {
        taken.push(bytes)
        return true
      },
    },
  })
  await clock.run(heads.newest(victim.did, {}))
  expect(taken.filter((bytes) => equal(bytes, newest))).toHaveLength(2)
})
