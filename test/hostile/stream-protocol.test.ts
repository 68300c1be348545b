import { describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, MeshError, silentLogger, type VirtualClock } from '../../src/base/index.ts'
import type { Host, StreamHandler } from '../../src/net/index.ts'
import { framed, plainRefusalCodec, unframed } from '../../src/protocols/channel.ts'
import { createStreamChannel } from '../../src/protocols/stream/channel.ts'
import { chunksUnderWayMax, senderIdleMsMax } from '../../src/protocols/stream/client.ts'
import { chunkBytes, decodeStreamEvent, encodeStreamEvent, offerCodec, type StreamEvent, streamReceiptCodec } from '../../src/protocols/stream/codec.ts'
import { type BodySink, type OpenedOffer, pushStream, serveStreams } from '../../src/protocols/stream/index.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { createStreamPair, type PairedStream } from '../helpers/stream-pair.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 100_000 : 1_000_000
const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const secret = new Uint8Array(32).fill(1)
const offerHash = new Uint8Array(32).fill(2)
const receipt = new Uint8Array(9)
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Served {
  readonly clock: VirtualClock
  readonly written: Uint8Array[]
  closed: number
  open(): { readonly sender: PairedStream; readonly receiver: PairedStream; readonly done: Promise<void> }
}

interface Wishes extends Partial<BodySink> {
  readonly size?: number
  readonly open?: () => Promise<OpenedOffer>
  readonly accept?: OpenedOffer['accept']
}

function serve({ size = 2 * chunkBytes, open, accept, ...wishes }: Wishes = {}): Served {
  const clock = createVirtualClock()
  let handler: StreamHandler | undefined
  const host: Pick<Host, 'handle'> = { handle: (_protocol, _options, handle) => (handler = handle) }
  const served: Served = {
    clock,
    written: [],
    closed: 0,
    open() {
      const [receiver, sender] = createStreamPair(anna, ben)
      return { sender, receiver, done: Promise.resolve(handler?.(receiver)) }
    },
  }
  const sink: BodySink = {
    cursor: 0,
    signal: new AbortController().signal,
    write: async (chunk) => void served.written.push(chunk),
    finish: async () => receipt,
    close: async () => void served.closed++,
    ...wishes,
  }
  const opened: OpenedOffer = { secret, offerHash, size, accept: accept ?? (async () => sink) }
  serveStreams({ host: host as Host, clock, logger: silentLogger, open: open ?? (async () => opened) })
  return served
}
/** What the sender reads, in order. */
function events(stream: PairedStream): readonly StreamEvent[] {
  const channel = createStreamChannel(secret, 'to-sender', offerHash)
  return stream.sent.map((frame) => decodeStreamEvent(channel.open(unframed(frame).body)))
}
const names = (stream: PairedStream): readonly string[] => events(stream).map((event) => (event.event === 'refused' ? event.code : event.event))

describe('the receiver’s side', () => {
  test('drops who offers nothing, and who sends no chunk; what came is let go of', async () => {
    const served = serve()
    const silent = served.open()
    await served.clock.advance(15_001)
    await silent.done
    expect(await codeOf(silent.sender.send(Uint8Array.of(1)))).toBe('ERR_NET_CLOSED')
    const half = served.open()
    await half.sender.send(Uint8Array.of(1))
    await half.sender.send(createStreamChannel(secret, 'to-receiver', offerHash).seal(new Uint8Array(chunkBytes)))
    await served.clock.advance(30_001)
    await half.done
    expect([names(half.receiver), served.closed]).toEqual([['accepted'], 1])
    expect(await codeOf(half.sender.send(Uint8Array.of(1)))).toBe('ERR_NET_CLOSED')
  })

  test('refuses in clear what it cannot open, and tells a stranger nothing of its own faults', async () => {
    for (const [thrown, expected] of [
      [new MeshError('ERR_SEAL_PREKEY', 'unknown prekey'), { code: 'ERR_SEAL_PREKEY', message: 'unknown prekey' }],
      [new TypeError('cannot read the secret 4711'), { code: 'ERR_INTERNAL', message: 'internal error' }],
    ] as const) {
      const { sender, receiver, done } = serve({ open: () => Promise.reject(thrown) }).open()
      await sender.send(Uint8Array.of(1))
      await done
      const { kind, body } = unframed(receiver.sent[0] ?? new Uint8Array())
      expect([kind, plainRefusalCodec.decode(body)]).toEqual([0, expected])
    }
    const late = new MeshError('ERR_DISK_FULL', 'full', { details: { retryAfterMs: 99 ** 9 } })
    for (const [thrown, expected] of [
      [late, { event: 'refused', code: 'ERR_DISK_FULL', message: 'full', retryAfterMs: 86_400_000 }],
      [new RangeError('line 7'), { event: 'refused', code: 'ERR_INTERNAL', message: 'internal error', retryAfterMs: 0 }],
    ] as const) {
      const { sender, receiver, done } = serve({ accept: () => Promise.reject(thrown) }).open()
      await sender.send(Uint8Array.of(1))
      await done
      expect(events(receiver)).toEqual([expected])
    }
  })

  test('a disk that fails, and a receiver that wants no more, end the stream with their code', async () => {
    const chunk = (): Uint8Array => createStreamChannel(secret, 'to-receiver', offerHash).seal(new Uint8Array(chunkBytes))
    const failing = serve({ write: () => Promise.reject(new MeshError('ERR_DISK_FULL', 'full')) })
    const first = failing.open()
    await first.sender.send(Uint8Array.of(1))
    await first.sender.send(chunk())
    await first.done
    expect([names(first.receiver), failing.closed]).toEqual([['accepted', 'ERR_DISK_FULL'], 1])
    const controller = new AbortController()
    const leaving = serve({ signal: controller.signal })
    const second = leaving.open()
    await second.sender.send(Uint8Array.of(1))
    await nextTurn()
    controller.abort(new MeshError('ERR_NOT_RECEIVING', 'over'))
    await second.done
    expect([names(second.receiver), leaving.closed]).toEqual([['accepted', 'ERR_NOT_RECEIVING'], 1])
  })

  test('nothing a sender sends in place of a chunk reaches the sink but what opens', async () => {
    const random = createSeededRandom(8)
    const good = createStreamChannel(secret, 'to-receiver', offerHash).seal(new Uint8Array(chunkBytes))
    const served = serve()
    for (let round = 0; round < 100; round++) {
      const { sender, done } = served.open()
      await sender.send(Uint8Array.of(1))
      const frame = fuzzed([good], random)
      await sender.send(frame)
      await nextTurn()
      await sender.close()
      await done
    }
    expect(served.written.every((chunk) => chunk.length === chunkBytes && chunk.every((byte) => byte === 0))).toBe(true)
    expect(served.closed).toBe(100)
  })
})

describe('the sender’s side', () => {
  const body = async function* (count: number): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < count; index++) yield new Uint8Array(chunkBytes)
  }
  const push = (stream: PairedStream, clock: VirtualClock, more: { readonly chunks?: () => AsyncIterable<Uint8Array>; readonly signal?: AbortSignal } = {}) =>
    pushStream({ open: async () => stream } as unknown as Host, ben, {
      sealed: Uint8Array.of(1),
      secret,
      offerHash,
      chunks: () => body(2),
      onKept: () => undefined,
      clock,
      ...more,
    })
  const sealedEvents = (...list: readonly StreamEvent[]): readonly Uint8Array[] => {
    const channel = createStreamChannel(secret, 'to-sender', offerHash)
    return list.map((event) => framed(1, channel.seal(encodeStreamEvent(event))))
  }
  const accepted: StreamEvent = { event: 'accepted', cursor: 0 }
  const received: StreamEvent = { event: 'received', receipt }
  const refused = (code: string): StreamEvent => ({ event: 'refused', code, message: 'no', retryAfterMs: 7 })

  test('takes the receiver’s events in their order only, and keeps to the codes it knows', async () => {
    const cases: readonly (readonly [readonly Uint8Array[], string])[] = [
      [sealedEvents(accepted, { event: 'kept', cursor: 5 }, received), 'ok'],
      [sealedEvents(received), 'ok'],
      [sealedEvents({ event: 'kept', cursor: 5 }), 'ERR_PROTOCOL'],
      [sealedEvents(accepted, accepted), 'ERR_PROTOCOL'],
      [sealedEvents(accepted, { event: 'kept', cursor: 5 }, { event: 'kept', cursor: 4 }), 'ERR_PROTOCOL'],
      [sealedEvents(accepted), 'ERR_NET_CLOSED'],
      [[], 'ERR_NET_CLOSED'],
      [sealedEvents(refused('ERR_NOT_RECEIVING')), 'ERR_NOT_RECEIVING'],
      [sealedEvents(accepted, refused('ERR_DISK_FULL')), 'ERR_DISK_FULL'],
      [sealedEvents(refused('ERR_USAGE')), 'ERR_REFUSED'],
      [sealedEvents(refused('constructor')), 'ERR_REFUSED'],
      [sealedEvents(accepted, received).toReversed(), 'ERR_CRYPTO_OPEN'],
      [[framed(0, plainRefusalCodec.encode({ code: 'ERR_SEAL_PREKEY', message: 'no' }))], 'ERR_SEAL_PREKEY'],
      [[Uint8Array.of(9, 9)], 'ERR_WIRE_MALFORMED'],
    ]
    for (const [index, [frames, code]] of cases.entries()) {
      const [sender, receiver] = createStreamPair(anna, ben)
      for (const frame of frames) await receiver.send(frame)
      const pushed = codeOf(push(sender, createVirtualClock()))
      await nextTurn()
      await receiver.close()
      expect([index, await pushed]).toEqual([index, code])
    }
  })

  test('says when to come back as the receiver says it', async () => {
    const [sender, receiver] = createStreamPair(anna, ben)
    for (const frame of sealedEvents(refused('ERR_OVERLOADED'))) await receiver.send(frame)
    await expect(push(sender, createVirtualClock())).rejects.toMatchObject({ code: 'ERR_OVERLOADED', details: { retryAfterMs: 7 } })
  })

  test('a receiver that stalls costs a few chunks and a minute, then the stream', async () => {
    const clock = createVirtualClock()
    const [sender, receiver] = createStreamPair(anna, ben)
    for (const frame of sealedEvents(accepted)) await receiver.send(frame)
    let read = 0
    const pushed = codeOf(
      push(sender, clock, {
        async *chunks() {
          // The offer got through; from here on nothing is taken.
          sender.stuck = true
          for (; ; read++) yield new Uint8Array(chunkBytes)
        },
      }),
    )
    await clock.advance(senderIdleMsMax - 1)
    expect(read).toBe(chunksUnderWayMax - 1)
    await clock.advance(2)
    expect(await pushed).toBe('ERR_TIMEOUT')
    expect(read).toBeLessThan(chunksUnderWayMax + 1)
  })

  test('a body that breaks off, and a caller who leaves, reset the stream', async () => {
    const [sender, receiver] = createStreamPair(anna, ben)
    for (const frame of sealedEvents(accepted)) await receiver.send(frame)
    const broken = push(sender, createVirtualClock(), {
      async *chunks() {
        yield new Uint8Array(chunkBytes)
        throw new MeshError('ERR_FILE_CHANGED', 'shorter')
      },
    })
    expect(await codeOf(broken)).toBe('ERR_FILE_CHANGED')
    expect(await codeOf(receiver.send(Uint8Array.of(1)))).toBe('ERR_NET_CLOSED')
    const [other] = createStreamPair(anna, ben)
    const controller = new AbortController()
    const left = codeOf(push(other, createVirtualClock(), { signal: controller.signal }))
    await nextTurn()
    controller.abort(new MeshError('ERR_ABORTED', 'enough'))
    expect(await left).toBe('ERR_ABORTED')
  })
})

test('makes coded errors of whatever comes as an event, an offer or a receipt; what decodes encodes to the same bytes', () => {
  const random = createSeededRandom(12)
  const offer = offerCodec.encode({ version: 1, transfer: new Uint8Array(16), name: 'a', size: 5, hash: secret, chunkBytes, mediaType: undefined, secret })
  const forms = [
    {
      samples: [encodeStreamEvent({ event: 'kept', cursor: 7 }), encodeStreamEvent({ event: 'received', receipt })],
      again: (bytes: Uint8Array) => encodeStreamEvent(decodeStreamEvent(bytes)),
    },
    { samples: [offer], again: (bytes: Uint8Array) => offerCodec.encode(offerCodec.decode(bytes)) },
    {
      samples: [streamReceiptCodec.encode({ version: 1, status: 'received', transfer: new Uint8Array(16), size: 5, hash: secret })],
      again: (bytes: Uint8Array) => streamReceiptCodec.encode(streamReceiptCodec.decode(bytes)),
    },
  ]
  for (const { samples, again } of forms) {
    for (let round = 0; round < inputs / 2; round++) {
      const bytes = fuzzed(samples, random)
      try {
        const same = again(bytes)
        if (!Buffer.from(same).equals(bytes)) expect(Buffer.from(same).toString('hex')).toBe(Buffer.from(bytes).toString('hex'))
      } catch (error) {
        if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
      }
    }
  }
})
