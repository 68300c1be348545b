import { expect, test } from 'vitest'
import { createVirtualClock, MeshError, utf8, type VirtualClock } from '../../src/base/index.ts'
import { createLink, creditBytes, type Hello, klpFrameBytesMax, type Link, requestsInFlightMax } from '../../src/protocols/klp/index.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../src/protocols/klp/frames.ts'
import { encode, type Plain } from '../../src/wire/index.ts'
import { answering, type Answering, echo } from '../helpers/answering.ts'
import { codeOf, keyringOf, request } from '../helpers/raw-peer.ts'
import { createStreamPair, type PairedStream } from '../helpers/stream-pair.ts'

const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const hello: Hello = {
  versions: [1],
  wants: [],
  manifest: { capabilities: ['message'], roles: [], ttlMs: 3_600_000, presence: 'online' },
  credit: creditBytes,
  bundle: new Uint8Array(),
  evidence: [],
}
const terms: Frame = { frame: 1, answers: [], validUntil: 0 }

const linkOn = (stream: PairedStream, clock: VirtualClock, own: Partial<Hello> = {}, onRequest: Answering = echo): Promise<Link> =>
  createLink({
    stream,
    clock,
    hello: async () => ({ ...hello, ...own }),
    judge: async ({ wants }) => ({
      answers: wants.map(({ name }) =>
        name === 'message'
          ? { name, answer: 'granted', reason: '', alternative: '', limits: [] }
          : { name, answer: 'denied', reason: 'not here', alternative: 'message', limits: [] },
      ),
      validUntil: 0,
    }),
    ...answering(onRequest),
  })

/** Two links that talk to each other. */
async function linked(
  onRequest: Answering = echo,
): Promise<{ readonly clock: VirtualClock; readonly links: readonly [Link, Link]; readonly streams: readonly [PairedStream, PairedStream] }> {
  const clock = createVirtualClock()
  const streams = createStreamPair(anna, ben)
  const links = await Promise.all([linkOn(streams[0], clock), linkOn(streams[1], clock, {}, onRequest)])
  return { clock, links, streams }
}

/** One link and, at the other end, a peer who writes frames by hand. */
async function against(
  onRequest: Answering = echo,
): Promise<{ readonly clock: VirtualClock; readonly link: Link; readonly peer: PairedStream; answers(): readonly Frame[] }> {
  const clock = createVirtualClock()
  const [own, peer] = createStreamPair(anna, ben)
  await peer.send(encodeFrame({ frame: 0, ...hello }))
  await peer.send(encodeFrame(terms))
  const link = await linkOn(own, clock, {}, onRequest)
  return { clock, link, peer, answers: () => own.sent.slice(2).map(decodeFrame) }
}
const asking = (rid: number, bytes = 10, ttlMs = 1_000): Uint8Array => encodeFrame({ frame: 2, rid, ttlsMs: [ttlMs], sealed: new Uint8Array(bytes) })

/** A hello in its CBOR items with another manifest. */
const helloWith = (manifest: Plain): Uint8Array => encode([0, [1], [], manifest, 0, new Uint8Array(), []])

test('a peer that opens with anything but hello, or with no common version, is refused', async () => {
  const cases: readonly (readonly [readonly Uint8Array[], string])[] = [
    [[asking(1)], 'ERR_PROTOCOL'],
    [[encodeFrame(terms)], 'ERR_PROTOCOL'],
    [[encodeFrame({ frame: 0, ...hello, versions: [2, 3] })], 'ERR_PROTOCOL'],
    [[encodeFrame({ frame: 0, ...hello }), encodeFrame({ frame: 0, ...hello })], 'ERR_PROTOCOL'],
    [[utf8('hello')], 'ERR_WIRE_MALFORMED'],
    [[helloWith([Array.from({ length: 65 }, (_, index) => `c${index}`), [], 0, 'online'])], 'ERR_WIRE_MALFORMED'],
    [[helloWith([['\u001b[31mtask'], [], 0, 'online'])], 'ERR_WIRE_MALFORMED'],
    [[new Uint8Array(klpFrameBytesMax + 1)], 'ERR_WIRE_TOO_LARGE'],
    [[encodeFrame({ frame: 6, code: 'ERR_STOPPED', message: 'going' })], 'ERR_STOPPED'],
    [[encodeFrame({ frame: 6, code: 'ERR_NOT_OURS', message: 'what' })], 'ERR_REFUSED'],
  ]
  for (const [frames, code] of cases) {
    const clock = createVirtualClock()
    const [own, peer] = createStreamPair(anna, ben)
    for (const frame of frames) await peer.send(frame)
    expect(await codeOf(linkOn(own, clock))).toBe(code)
    expect(decodeFrame(own.sent.at(-1) ?? new Uint8Array())).toMatchObject({ frame: 6 })
  }
})

test('a peer that says nothing is dropped after the hello time', async () => {
  const clock = createVirtualClock()
  const [own] = createStreamPair(anna, ben)
  const made = codeOf(linkOn(own, clock))
  await clock.advance(10_001)
  expect(await made).toBe('ERR_NET_CLOSED')
})

test('a required capability that is denied ends the link; a preferred one does not', async () => {
  for (const [need, code] of [
    ['required', 'ERR_CAPABILITY_DENIED'],
    ['preferred', 'ok'],
    ['optional', 'ok'],
  ] as const) {
    const clock = createVirtualClock()
    const [own, peer] = createStreamPair(anna, ben)
    const [mine] = await Promise.allSettled([linkOn(own, clock, { wants: [{ name: 'teleport', need }] }), linkOn(peer, clock)])
    expect(mine.status === 'fulfilled' ? 'ok' : (mine.reason as MeshError).code).toBe(code)
  }
})

test('a required capability that is not answered at all counts as denied', async () => {
  const clock = createVirtualClock()
  const [own, peer] = createStreamPair(anna, ben)
  await peer.send(encodeFrame({ frame: 0, ...hello }))
  await peer.send(encodeFrame(terms))
  expect(await codeOf(linkOn(own, clock, { wants: [{ name: 'message', need: 'required' }] }))).toBe('ERR_CAPABILITY_DENIED')
})

test('answers find their requests, whatever their order', async () => {
  const { links, clock } = await linked(async (sealed) => {
    await clock.sleep(1_000 - (sealed[0] ?? 0))
    return sealed
  })
  const asked = Promise.all(Array.from({ length: 200 }, (_, index) => request(links[0], Uint8Array.of(index))))
  await clock.advance(2_000)
  expect((await asked).map(({ sealed }) => sealed[0])).toEqual(Array.from({ length: 200 }, (_, index) => index))
})

test('a refusal comes back with its code, and what went wrong inside stays inside', async () => {
  const { links } = await linked(async (sealed) => {
    if (sealed[0] === 1) throw new MeshError('ERR_OVERLOADED', 'come later', { details: { retryAfterMs: 250 } })
    throw new TypeError('the secret is 4711')
  })
  await expect(request(links[0], Uint8Array.of(1))).rejects.toMatchObject({ code: 'ERR_OVERLOADED', message: 'come later', details: { retryAfterMs: 250 } })
  await expect(request(links[0], Uint8Array.of(2))).rejects.toMatchObject({ code: 'ERR_INTERNAL', message: 'internal error' })
})

test('more requests than allowed wait here and go out as answers give credit back', async () => {
  const waiting: (() => void)[] = []
  const { links, streams } = await linked((sealed) => new Promise((resolve) => waiting.push(() => resolve(sealed))))
  const asked = Promise.all(Array.from({ length: requestsInFlightMax + 44 }, () => request(links[0], new Uint8Array(4))))
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  await settle()
  expect(waiting).toHaveLength(requestsInFlightMax)
  while (waiting.length > 0) {
    waiting.shift()?.()
    await settle()
  }
  expect(await asked).toHaveLength(requestsInFlightMax + 44)
  expect(streams[0].sent.length).toBe(2 + requestsInFlightMax + 44)
})

test('large requests stay within the bytes of credit the peer gave', async () => {
  const waiting: (() => void)[] = []
  const { links } = await linked((sealed) => new Promise((resolve) => waiting.push(() => resolve(sealed.subarray(0, 1)))))
  const asked = Promise.all(Array.from({ length: 20 }, () => request(links[0], new Uint8Array(100_000))))
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  await settle()
  expect(waiting).toHaveLength(Math.floor(creditBytes / 100_000))
  while (waiting.length > 0) {
    waiting.shift()?.()
    await settle()
  }
  expect(await asked).toHaveLength(20)
})

test('a peer that overdraws its credit, in number or in bytes, or uses an id twice, is dropped', async () => {
  const never: Answering = () => new Promise(() => undefined)
  const floods: readonly (readonly Uint8Array[])[] = [
    Array.from({ length: requestsInFlightMax + 1 }, (_, rid) => asking(rid)),
    Array.from({ length: 11 }, (_, rid) => asking(rid, 100_000)),
    [asking(1), asking(1)],
  ]
  for (const flood of floods) {
    const { link, peer, answers } = await against(never)
    for (const frame of flood) await peer.send(frame)
    await link.closed
    expect(answers().at(-1)).toMatchObject({ frame: 6, code: 'ERR_PROTOCOL' })
    expect(await codeOf(request(link, new Uint8Array(1)))).toBe('ERR_PROTOCOL')
  }
})

test('a peer that reads no answers gets nothing more read from it', async () => {
  let handled = 0
  const { links, streams } = await linked(async (sealed) => {
    handled++
    return sealed
  })
  streams[1].stuck = true
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: requestsInFlightMax }, () =>
        Promise.race([codeOf(request(links[0], new Uint8Array(4))), new Promise((resolve) => setImmediate(resolve))]),
      ),
    )
  }
  // One more was under way when the window filled.
  expect(handled).toBeGreaterThanOrEqual(requestsInFlightMax)
  expect(handled).toBeLessThanOrEqual(requestsInFlightMax + 1)
  await links[0].close()
})

test('cancelling tells the peer, whose handler is aborted, and frees the place', async () => {
  let aborted = 0
  const { links } = await linked(
    (_sealed, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted++
          reject(signal.reason as Error)
        })
      }),
  )
  for (let round = 0; round < 3; round++) {
    const controllers = Array.from({ length: requestsInFlightMax }, () => new AbortController())
    const asked = controllers.map(({ signal }) => codeOf(request(links[0], new Uint8Array(4), { signal })))
    await new Promise((resolve) => setImmediate(resolve))
    for (const controller of controllers) controller.abort(new MeshError('ERR_ABORTED', 'enough'))
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['ERR_ABORTED']))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(aborted).toBe(3 * requestsInFlightMax)
})

test('a deadline ends the request on both sides', async () => {
  let reason: unknown
  const { links, clock } = await linked(
    (_sealed, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason
          reject(signal.reason as Error)
        })
      }),
  )
  const asked = codeOf(request(links[0], new Uint8Array(4), { ttlMs: 500 }))
  await clock.advance(600)
  expect(await asked).toBe('ERR_TIMEOUT')
  expect((reason as MeshError).code).toMatch(/^ERR_(TIMEOUT|ABORTED)$/)
})

test('when the link ends, what waits for an answer fails with its code and handlers are aborted', async () => {
  let aborted = false
  const { links } = await linked(
    (_sealed, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true
          reject(signal.reason as Error)
        })
      }),
  )
  const asked = codeOf(request(links[0], new Uint8Array(4)))
  const pinged = links[0].ping()
  await pinged
  await links[1].close()
  expect(await asked).toBe('ERR_NET_CLOSED')
  expect(aborted).toBe(true)
  expect(await codeOf(links[0].ping())).toBe('ERR_NET_CLOSED')
})

test('answers nobody asked for, cancels of nothing and stray pongs change nothing', async () => {
  const { link, peer, answers } = await against()
  await peer.send(encodeFrame({ frame: 3, rids: [99], sealed: new Uint8Array(1) }))
  await peer.send(encodeFrame({ frame: 4, rid: 98, code: 'ERR_REFUSED', message: 'x', retryAfterMs: 0 }))
  await peer.send(encodeFrame({ frame: 5, rid: 97 }))
  await peer.send(encodeFrame({ frame: 8, rid: 96 }))
  await peer.send(encodeFrame({ frame: 7, rid: 5 }))
  await peer.send(asking(1))
  // Answers wait one turn for others to leave with.
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve))
  expect(answers()).toEqual([
    { frame: 8, rid: 5 },
    { frame: 3, rids: [1], sealed: new Uint8Array(10) },
  ])
  await link.close()
})
