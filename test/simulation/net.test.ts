import { describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, fromUtf8, hourMs, randomInt, utf8, type VirtualClock } from '../../src/base/index.ts'
import { createSimulator, type Host, type Simulator, type SimulatorOptions } from '../../src/net/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { allFrames, runOn, seedOf, testRecord, testRules } from '../helpers/net-hosts.ts'

const protocol = '/test/sim/1.0.0'
const options = { frameBytesMax: 1 << 16, inboundStreamsMax: 64 }
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

interface Crowd {
  readonly clock: VirtualClock
  readonly simulator: Simulator
  readonly hosts: readonly Host[]
  run<T>(promise: Promise<T>): Promise<T>
}

async function crowd(count: number, more: Partial<SimulatorOptions> = {}): Promise<Crowd> {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed: 1, clock, ...more })
  const hosts: Host[] = []
  for (let index = 0; index < count; index++) hosts.push(await simulator.host(seedOf(index), { rules: testRules, store: createMemoryStore() }))
  return { clock, simulator, hosts, run: (promise) => runOn(clock, promise) }
}

const at = (hosts: readonly Host[], index: number): Host => {
  const host = hosts[index]
  if (host === undefined) throw new RangeError(`no host ${index}`)
  return host
}

/** A ring with two chords a host, then asks, gossip and records among all of them. */
async function bustle(
  seed: number,
  chance = seed,
): Promise<{ readonly hash: string; readonly events: number; readonly answers: number; readonly heard: number }> {
  const { simulator, hosts, run, clock } = await crowd(20, { seed, loss: 0.05, duplicate: 0.05, reorder: 0.2, reset: 0.001 })
  const random = createSeededRandom(chance)
  let answers = 0
  let heard = 0
  for (const host of hosts) {
    host.handle(protocol, options, async (stream) => {
      for await (const frame of stream.frames) await stream.send(frame)
      await stream.close()
    })
    host.subscribe('news', () => {
      heard++
      return 'accept'
    })
  }
  const dials = hosts.flatMap((host, index) => [1, 7].map((step) => host.dial({ addresses: at(hosts, (index + step) % hosts.length).addresses() })))
  await run(Promise.allSettled(dials))
  const asks = Array.from({ length: 100 }, async (_, index) => {
    await clock.sleep(randomInt(random, 5_000))
    const [from, to] = [at(hosts, randomInt(random, hosts.length)), at(hosts, randomInt(random, hosts.length))]
    if (from === to) return
    const stream = await from.open(to.did, protocol, options)
    void stream.send(new Uint8Array(randomInt(random, 2_000)))
    for await (const _frame of stream.frames) {
      answers++
      break
    }
    await stream.close()
    if (index % 10 === 0) await from.gossip('news', utf8(String(index)))
    if (index % 20 === 0) await to.publish('test-rec', utf8(`k${index}`), testRecord(index))
  })
  await run(Promise.allSettled(asks))
  await clock.advance(10_000)
  return { ...simulator.trace, answers, heard }
}

describe('determinism', () => {
  test('twenty hosts: the same seed gives the same trace, another seed another', async () => {
    const [first, again, other] = [await bustle(1), await bustle(1), await bustle(2, 1)]
    expect(first.answers).toBeGreaterThan(60)
    expect(first.heard).toBeGreaterThan(60)
    expect(again).toEqual(first)
    expect(other.hash).not.toBe(first.hash)
  })
})

describe('streams', () => {
  test('at 20 % loss and 200 ms everything arrives, once and in order', async () => {
    const { hosts, run } = await crowd(2, { loss: 0.2, latencyMs: [100, 300] })
    const [a, b] = [at(hosts, 0), at(hosts, 1)]
    const got: string[] = []
    const done = Promise.withResolvers<void>()
    b.handle(protocol, options, async (stream) => {
      for await (const frame of stream.frames) got.push(fromUtf8(frame))
      done.resolve()
    })
    await run(a.dial({ addresses: b.addresses() }))
    const stream = await run(a.open(b.did, protocol, options))
    const sent = Array.from({ length: 500 }, (_, index) => String(index))
    await run(
      (async () => {
        for (const text of sent) await stream.send(utf8(text))
        await stream.close()
      })(),
    )
    await run(done.promise)
    expect(got).toEqual(sent)
  })

  test('a partition cuts streams midway, dials across fail, and healing lets them through again', async () => {
    const { hosts, run, simulator } = await crowd(4)
    const [a, b, c] = [at(hosts, 0), at(hosts, 1), at(hosts, 2)]
    for (const host of [b, c]) {
      host.handle(protocol, options, async (stream) => {
        for await (const frame of stream.frames) await stream.send(frame)
      })
      await run(a.dial({ addresses: host.addresses() }))
    }
    const [across, within] = [await run(a.open(b.did, protocol, options)), await run(a.open(c.did, protocol, options))]
    const reading = allFrames(across.frames)
    reading.catch(() => undefined)
    simulator.partition([[a.did, c.did]])
    await expect(run(reading)).rejects.toEqual(code('ERR_NET_CLOSED'))
    await expect(run(across.send(utf8('x')))).rejects.toEqual(code('ERR_NET_CLOSED'))
    expect(a.peers().map(({ did }) => did)).toEqual([c.did])
    await run(within.send(utf8('still here')))
    await expect(run(a.dial({ addresses: b.addresses() }))).rejects.toEqual(code('ERR_NET_UNREACHABLE'))
    simulator.heal()
    expect(await run(a.dial(b.did))).toMatchObject({ did: b.did })
    const again = await run(a.open(b.did, protocol, options))
    await run(again.send(utf8('back')))
  })

  test('a crash is seen by the peers, and the same identity may come back', async () => {
    const { hosts, run, simulator, clock } = await crowd(2)
    const [a, b] = [at(hosts, 0), at(hosts, 1)]
    const seen: string[] = []
    a.onPeer(({ event }) => seen.push(event))
    await run(a.dial({ addresses: b.addresses() }))
    simulator.crash(b.did)
    await clock.advance(2_000)
    expect(seen).toEqual(['connected', 'disconnected'])
    await expect(run(b.gossip('t', utf8('x')))).rejects.toEqual(code('ERR_STOPPED'))
    const back = await simulator.host(b.did, { rules: testRules, store: createMemoryStore(), bootstrap: a.addresses() })
    await clock.advance(1_000)
    expect(back.peers().map(({ did }) => did)).toEqual([a.did])
  })
})

describe('records', () => {
  test('a rolled-back record is refused by every holder, and answers that get lost are no answers', async () => {
    const { hosts, run, simulator } = await crowd(12)
    for (const host of hosts.slice(1)) await run(host.dial({ addresses: at(hosts, 0).addresses() }))
    const key = utf8('k')
    expect(await run(at(hosts, 1).publish('test-rec', key, testRecord(2)))).toEqual({ stored: 11 })
    const late = await simulator.host(seedOf(99), { rules: testRules, store: createMemoryStore() })
    await run(late.dial({ addresses: at(hosts, 0).addresses() }))
    expect(await run(late.publish('test-rec', key, testRecord(1, 'replayed')))).toEqual({ stored: 0 })
    expect(await run(late.lookup('test-rec', key))).toEqual(testRecord(2))
    simulator.set({ loss: 1 })
    expect(await run(at(hosts, 3).publish('test-rec', utf8('other'), testRecord(1)))).toEqual({ stored: 0 })
  })

  test('a record nobody publishes again vanishes after 48 hours', async () => {
    const { hosts, run, simulator, clock } = await crowd(3)
    for (const host of hosts.slice(1)) await run(host.dial({ addresses: at(hosts, 0).addresses() }))
    await run(at(hosts, 0).publish('test-rec', utf8('k'), testRecord(2)))
    await clock.advance(49 * hourMs)
    const late = await simulator.host(seedOf(99), { rules: testRules, store: createMemoryStore() })
    await run(late.dial({ addresses: at(hosts, 0).addresses() }))
    expect(await run(late.lookup('test-rec', utf8('k')))).toBeUndefined()
  })
})

describe('gossip', () => {
  test('reaches fifty hosts at 20 % loss; a replay that gossipsub forgot reaches the judge', async () => {
    const { hosts, run, clock } = await crowd(50, { loss: 0.2, duplicate: 0.2 })
    const heard = new Map<number, number>()
    for (const [index, host] of hosts.entries()) {
      host.subscribe('news', () => {
        heard.set(index, (heard.get(index) ?? 0) + 1)
        return 'accept'
      })
      for (const step of [1, 3, 9, 20]) await run(host.dial({ addresses: at(hosts, (index + step) % hosts.length).addresses() }).catch(() => undefined))
    }
    expect((await run(at(hosts, 0).gossip('news', utf8('hello')))).neighbours).toBeGreaterThanOrEqual(6)
    await clock.advance(5_000)
    expect(heard.size).toBeGreaterThanOrEqual(48)
    expect([...heard.values()].some((times) => times > 1)).toBe(true)
  })
})
