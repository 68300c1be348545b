import { expect, test } from 'vitest'
import { createVirtualClock, type MeshError, type VirtualClock } from '../../src/base/index.ts'
import { createLink, creditBytes, type Hello, type Link, type Terms } from '../../src/protocols/klp/index.ts'
import { decodeFrame, encodeFrame } from '../../src/protocols/klp/frames.ts'
import { answering, echo } from '../helpers/answering.ts'
import { keyringOf, request } from '../helpers/raw-peer.ts'
import { createStreamPair, type PairedStream } from '../helpers/stream-pair.ts'

const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const hello: Hello = {
  versions: [1],
  wants: [{ name: 'task', need: 'required' }],
  manifest: { capabilities: ['task'], roles: ['peer'], ttlMs: 3_600_000, presence: 'online' },
  credit: creditBytes,
  bundle: new Uint8Array(),
  evidence: [],
}
const answer = (kind: 'granted' | 'partial' | 'denied'): Terms['answers'] => [{ name: 'task', answer: kind, reason: 'so', alternative: 'ask', limits: [] }]

interface Side {
  presence: Hello['manifest']['presence']
  kind: 'granted' | 'partial' | 'denied'
  validForMs: number
  judged: number
}
const side = (more: Partial<Side> = {}): Side => ({ presence: 'online', kind: 'granted', validForMs: 3_600_000, judged: 0, ...more })

const linkOf = (stream: PairedStream, clock: VirtualClock, self: Side): Promise<Link> =>
  createLink({
    stream,
    clock,
    hello: async () => ({ ...hello, manifest: { ...hello.manifest, presence: self.presence } }),
    judge: async () => {
      self.judged++
      return { answers: answer(self.kind), validUntil: clock.now() + self.validForMs }
    },
    ...answering(echo),
  })

async function pair(a = side(), b = side()) {
  const clock = createVirtualClock()
  const streams = createStreamPair(anna, ben)
  const links = await Promise.all([linkOf(streams[0], clock, a), linkOf(streams[1], clock, b)])
  return { clock, streams, links, a, b }
}

const codeOfClosed = async (link: Link): Promise<string> => {
  await link.closed
  return await request(link, new Uint8Array(1)).then(
    () => 'open',
    (error: MeshError) => error.code,
  )
}

test('terms that end are negotiated again, and what is granted then counts', async () => {
  const { clock, links, b } = await pair(side(), side({ validForMs: 120_000 }))
  expect(links[0].terms.answers[0]?.answer).toBe('granted')
  b.kind = 'partial'
  await clock.advance(119_999)
  expect([b.judged, links[0].terms.answers[0]?.answer]).toEqual([1, 'granted'])
  await clock.advance(1)
  expect([b.judged, links[0].terms.answers[0]?.answer]).toEqual([2, 'partial'])
  await clock.advance(120_000)
  expect(b.judged).toBe(3)
  expect(await request(links[0], new Uint8Array(3))).toMatchObject({ sealed: new Uint8Array(3) })
})

test('a required want that is denied when terms are renewed ends the link', async () => {
  const { clock, links, b } = await pair(side(), side({ validForMs: 120_000 }))
  b.kind = 'denied'
  await clock.advance(120_000)
  expect(await codeOfClosed(links[0])).toBe('ERR_CAPABILITY_DENIED')
})

test('terms that ended before they came, or end in a thousand years, are negotiated again in a minute or a day', async () => {
  const { clock, b, a } = await pair(side({ validForMs: 1e15 }), side({ validForMs: -5_000 }))
  await clock.advance(59_999)
  expect(b.judged).toBe(1)
  await clock.advance(1)
  expect([a.judged, b.judged]).toEqual([1, 2])
  await clock.advance(86_400_000 - 60_000)
  expect(a.judged).toBe(2)
})

test('news are told on the open link: at once, then at most every ten seconds, the newest last', async () => {
  const { clock, links, a, b } = await pair()
  await clock.advance(10_000)
  for (const presence of ['busy', 'away', 'busy'] as const) {
    a.presence = presence
    links[0].renew()
  }
  await clock.advance(0)
  expect(links[1].hello.manifest.presence).toBe('busy')
  a.presence = 'away'
  links[0].renew()
  await clock.advance(9_000)
  expect(links[1].hello.manifest.presence).toBe('busy')
  await clock.advance(1_000)
  expect(links[1].hello.manifest.presence).toBe('away')
  expect(b.judged).toBeLessThanOrEqual(4)
})

test('a flood of hellos, terms nobody asked for, and another version end the link', async () => {
  for (const [frames, expected] of [
    [Array.from({ length: 11 }, () => encodeFrame({ frame: 0, ...hello })), 'ERR_PROTOCOL'],
    [[encodeFrame({ frame: 1, answers: [], validUntil: 0 })], 'ERR_PROTOCOL'],
    [[encodeFrame({ frame: 0, ...hello, versions: [2] })], 'ERR_PROTOCOL'],
    [[encodeFrame({ frame: 0, ...hello })], 'open'],
  ] as const) {
    const clock = createVirtualClock()
    const [own, peer] = createStreamPair(anna, ben)
    await peer.send(encodeFrame({ frame: 0, ...hello }))
    await peer.send(encodeFrame({ frame: 1, answers: answer('granted'), validUntil: clock.now() + 3_600_000 }))
    const self = side()
    const link = await linkOf(own, clock, self)
    for (const frame of frames) await peer.send(frame).catch(() => undefined)
    await clock.advance(10)
    if (expected === 'open') {
      expect(decodeFrame(own.sent.at(-1) ?? new Uint8Array())).toMatchObject({ frame: 1, answers: answer('granted') })
      expect(self.judged).toBe(2)
    } else {
      expect(await codeOfClosed(link)).toBe(expected)
      expect(self.judged).toBeLessThanOrEqual(11)
    }
  }
})

test('a peer that does not answer a renewed hello in time is dropped', async () => {
  const clock = createVirtualClock()
  const [own, peer] = createStreamPair(anna, ben)
  await peer.send(encodeFrame({ frame: 0, ...hello }))
  await peer.send(encodeFrame({ frame: 1, answers: answer('granted'), validUntil: 0 }))
  const link = await linkOf(own, clock, side())
  await clock.advance(60_000)
  await clock.advance(10_000)
  expect(await codeOfClosed(link)).toBe('ERR_TIMEOUT')
})
