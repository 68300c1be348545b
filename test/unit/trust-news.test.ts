import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, dayMs, type Did, silentLogger } from '../../src/base/index.ts'
import { createKeyring, type Keyring, signStatement } from '../../src/identity/index.ts'
import { createSimulator, type Host, type Simulator } from '../../src/net/index.ts'
import { createNews, isNews, type News, newsAgainMs, newsHeldMax, newsTopic } from '../../src/node/trust-news.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import type { TrustItem } from '../../src/trust/index.ts'
import { attestationCodec } from '../../src/trust/statements.ts'
import { encode } from '../../src/wire/index.ts'
import { fuzzed } from '../helpers/fuzz.ts'

const clock = createVirtualClock()
const keyringOf = (seed: number): Keyring => {
  const random = createSeededRandom(seed)
  return createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
}
const [anna, ben, cleo] = [keyringOf(1), keyringOf(2), keyringOf(3)]

function said(by: Keyring, about: Did, level: number, seq = 1): TrustItem {
  const payload = attestationCodec.encode({ version: 1, level, scopes: ['/task/run'], depth: 0, evidence: undefined, seq, prev: undefined })
  const issuedAt = clock.now()
  const fields = { to: about, type: 'attestation', payload, issuedAt, expiresAt: issuedAt + dayMs }
  return { kind: 'attestation', bytes: signStatement('attestation', fields, { keyring: by, random: createSeededRandom(seq) }).bytes }
}

interface Stage {
  readonly simulator: Simulator
  readonly hosts: readonly Host[]
  readonly news: readonly News[]
  /** What the books were given. */
  readonly taken: TrustItem[]
}
/** Two hosts that follow anna, not yet connected. */
async function createStage(seed: number, topics = 2): Promise<Stage> {
  const simulator = createSimulator({ seed, clock })
  const hosts = await Promise.all([ben, cleo].map(({ did }) => simulator.host(did, { store: createMemoryStore(), rules: {} })))
  const taken: TrustItem[] = []
  const news = hosts.slice(0, topics).map((host) => newsOn(host, taken))
  return { simulator, hosts, news, taken }
}
function newsOn(host: Host, taken: TrustItem[]): News {
  const book = {
    async accept(item: TrustItem) {
      taken.push(item)
      return true
    },
    knows: () => false,
  }
  const isFollowed = (did: Did): boolean => did === anna.did
  return createNews({
    host,
    clock,
    random: createSeededRandom(7),
    logger: silentLogger,
    book,
    self: host.did,
    subject: (did) => did,
    isFollowed,
    onHead: () => undefined,
  })
}
const meet = ({ hosts: [first, second] }: Stage): Promise<unknown> => clock.run((first as Host).dial({ addresses: second?.addresses() ?? [] }))

test('what nobody hears is held, and told when the first neighbour listens, also when that is long after they connected', async () => {
  const stage = await createStage(1)
  stage.news[0]?.tell(said(anna, cleo.did, -1))
  await clock.advance(60_000)
  expect(stage.news[0]?.held).toBe(1)
  await meet(stage)
  await clock.advance(3_000)
  expect([stage.news[0]?.held, stage.taken.length]).toEqual([0, 1])

  const late = await createStage(2, 1)
  await meet(late)
  late.news[0]?.tell(said(anna, cleo.did, -1))
  await clock.advance(300_000)
  expect(late.news[0]?.held).toBe(1)
  newsOn(late.hosts[1] as Host, late.taken)
  await clock.advance(60_000)
  expect([late.news[0]?.held, late.taken.length]).toEqual([0, 1])
})

test('a node tells its own bad news again, and keeps no more than it may', async () => {
  const stage = await createStage(3, 1)
  await meet(stage)
  let heard = 0
  stage.hosts[1]?.subscribe(newsTopic, () => {
    heard++
    return 'ignore'
  })
  stage.news[0]?.tell(said(ben, cleo.did, -1), { isOwn: true })
  await clock.advance(60_000)
  expect(heard).toBe(1 + newsAgainMs.length)
  const alone = await createStage(4, 1)
  for (let seq = 1; seq <= newsHeldMax + 20; seq++) alone.news[0]?.tell(said(ben, cleo.did, -1, seq), { isOwn: true })
  await clock.advance(1)
  expect(alone.news[0]?.held).toBe(newsHeldMax)
})

test('good words and noise are no news, and neither is anything that does not parse', async () => {
  expect([said(anna, ben.did, -1), said(anna, ben.did, 0), said(anna, ben.did, 1), said(anna, ben.did, 4)].map(isNews)).toEqual([true, true, false, false])
  const stage = await createStage(5)
  await meet(stage)
  const [host] = stage.hosts as [Host]
  const random = createSeededRandom(5)
  const good = said(anna, cleo.did, -1)
  const sample = encode([good.kind, good.bytes])
  for (let count = 0; count < 2_000; count++) await host.gossip(newsTopic, fuzzed([sample], random))
  await host.gossip(newsTopic, encode(['attestation', said(anna, cleo.did, 2).bytes]))
  await clock.advance(5_000)
  const whole = stage.taken.filter(({ bytes }) => Buffer.compare(bytes, good.bytes) !== 0)
  // A book verifies; nothing but a statement of anna's gets that far.
  for (const item of whole) expect(isNews(item)).toBe(true)
  expect(whole.length).toBeLessThan(240)
})
