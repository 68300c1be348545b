import { describe, expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, MeshError, silentLogger, type VirtualClock } from '../../src/base/index.ts'
import type { Host, HostStream, StreamHandler } from '../../src/net/index.ts'
import { callTask, type OpenedTask, serveTasks, type TaskEvent } from '../../src/protocols/task/index.ts'
import { framed, plainRefusalCodec, unframed } from '../../src/protocols/channel.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { decodeEvent, encodeEvent } from '../../src/protocols/task/codec.ts'
import { fuzzed } from '../helpers/fuzz.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { createStreamPair, type PairedStream } from '../helpers/stream-pair.ts'
import { acceptedEvent } from '../helpers/tasks.ts'

const inputs = process.env['KINDMESH_TEST_LONG'] === undefined ? 100_000 : 1_000_000
const [anna, ben] = [keyringOf(1).did, keyringOf(2).did]
const secret = new Uint8Array(32).fill(1)
const hash = new Uint8Array(32).fill(2)
const accepted = acceptedEvent
const result: TaskEvent = { event: 'result', result: '42', message: '', limit: '', receipt: new Uint8Array(9) }
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Served {
  readonly clock: VirtualClock
  /** Opens a stream: our end is the asker's. */
  open(): { readonly asker: PairedStream; readonly executor: PairedStream; readonly done: Promise<void> }
}

function serve(run: OpenedTask['run'], keep: OpenedTask['keep'] = async () => undefined, open?: () => Promise<OpenedTask>): Served {
  const clock = createVirtualClock()
  let handler: StreamHandler | undefined
  const host: Pick<Host, 'handle'> = { handle: (_protocol, _options, handle) => (handler = handle) }
  const opened: OpenedTask = { replySecret: secret, requestHash: hash, fileBytes: 0, run, keep, end: () => undefined }
  serveTasks({ host: host as Host, clock, logger: silentLogger, open: open ?? (async () => opened) })
  return {
    clock,
    open() {
      const [executor, asker] = createStreamPair(anna, ben)
      return { asker, executor, done: Promise.resolve(handler?.(executor)) }
    },
  }
}
async function* twoEvents(): AsyncGenerator<TaskEvent> {
  yield accepted
  yield result
}
/** What the asker reads, in order. */
function events(stream: PairedStream): readonly TaskEvent[] {
  const channel = createChannel(secret, 'to-asker', hash)
  return stream.sent.map((frame) => decodeEvent(channel.open(unframed(frame).body)))
}

describe('the executor’s side of a task stream', () => {
  test('drops an asker that sends no request, and one that sends no countersignature', async () => {
    const { clock, open } = serve(twoEvents)
    const silent = open()
    await clock.advance(15_001)
    await silent.done
    await expect(silent.asker.send(Uint8Array.of(1))).rejects.toMatchObject({ code: 'ERR_NET_CLOSED' })
    const half = open()
    await half.asker.send(Uint8Array.of(1))
    await clock.advance(15_001)
    await half.done
    expect(events(half.executor).map(({ event }) => event)).toEqual(['accepted', 'result'])
  })

  test('refuses in clear what it cannot open, and tells a stranger nothing of its own faults', async () => {
    for (const [thrown, expected] of [
      [new MeshError('ERR_SEAL_PREKEY', 'unknown prekey'), { code: 'ERR_SEAL_PREKEY', message: 'unknown prekey' }],
      [new TypeError('cannot read the secret 4711'), { code: 'ERR_INTERNAL', message: 'internal error' }],
      [new MeshError('ERR_REFUSED', 'x'.repeat(5_000)), { code: 'ERR_REFUSED', message: 'x'.repeat(512) }],
    ] as const) {
      const { open } = serve(twoEvents, undefined, () => Promise.reject(thrown))
      const { asker, executor, done } = open()
      await asker.send(Uint8Array.of(1))
      await done
      const [frame = new Uint8Array()] = executor.sent
      expect(unframed(frame).kind).toBe(0)
      expect(plainRefusalCodec.decode(unframed(frame).body)).toEqual(expected)
    }
  })

  test('an asker that leaves while the task runs aborts it', async () => {
    for (const leave of [(stream: PairedStream) => stream.close(), async (stream: PairedStream) => stream.abort(new Error('bye'))]) {
      let reason: unknown
      const { open } = serve(async function* ({ signal }) {
        yield accepted
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        reason = signal.reason
      })
      const { asker, done } = open()
      await asker.send(Uint8Array.of(1))
      await nextTurn()
      await leave(asker)
      await done
      expect(reason).toBeInstanceOf(MeshError)
    }
  })

  test('keeps a countersignature only when it opens, and one that does not ends the stream', async () => {
    const random = createSeededRandom(4)
    let kept = 0
    const { open } = serve(twoEvents, async () => void kept++)
    const good = createChannel(secret, 'to-executor', hash).seal(new Uint8Array(70))
    for (let round = 0; round < 3_000; round++) {
      const { asker, executor, done } = open()
      const frame = round === 0 ? good : fuzzed([good], random)
      const isGood = Buffer.from(frame).equals(good)
      const before = kept
      await asker.send(Uint8Array.of(1))
      await asker.send(frame)
      await done
      expect(kept - before).toBe(isGood ? 1 : 0)
      expect(events(executor).map(({ event }) => event)).toEqual(isGood ? ['accepted', 'result', 'kept'] : ['accepted', 'result'])
    }
    expect(kept).toBeGreaterThanOrEqual(1)
  })

  test('a task that throws on its way is refused with its code; nothing more is said', async () => {
    for (const [thrown, code, message] of [
      [new MeshError('ERR_TRUST_LOW', 'who are you'), 'ERR_TRUST_LOW', 'who are you'],
      [new RangeError('line 7'), 'ERR_INTERNAL', 'internal error'],
    ] as const) {
      const { open } = serve(async function* () {
        yield accepted
        throw thrown
      })
      const { asker, executor, done } = open()
      await asker.send(Uint8Array.of(1))
      await done
      expect(events(executor)).toEqual([accepted, { event: 'refused', code, message, retryAfterMs: 0 }])
    }
  })
})

describe('the asker’s side', () => {
  const call = (stream: HostStream, countersign = async () => new Uint8Array(3), signal?: AbortSignal): AsyncGenerator<TaskEvent> =>
    callTask({ open: async () => stream } as unknown as Host, ben, {
      sealed: Uint8Array.of(1),
      replySecret: secret,
      requestHash: hash,
      countersign,
      ...(signal === undefined ? {} : { signal }),
    })
  async function all(stream: HostStream): Promise<readonly TaskEvent[]> {
    const seen: TaskEvent[] = []
    for await (const event of call(stream)) seen.push(event)
    return seen
  }
  const sealedEvents = (...list: readonly TaskEvent[]): readonly Uint8Array[] => {
    const channel = createChannel(secret, 'to-asker', hash)
    return list.map((event) => framed(1, channel.seal(encodeEvent(event))))
  }

  test('takes frames in their order only: none left out, repeated, exchanged, of the other direction or of another task', async () => {
    const [first, second, third] = sealedEvents(accepted, result, { event: 'kept' }) as readonly [Uint8Array, Uint8Array, Uint8Array]
    const back = createChannel(secret, 'to-executor', hash).seal(encodeEvent(accepted))
    const other = createChannel(secret, 'to-asker', new Uint8Array(32)).seal(encodeEvent(accepted))
    const cases: readonly (readonly [readonly Uint8Array[], string])[] = [
      [[first, second, third], 'ok'],
      [[second, third], 'ERR_CRYPTO_OPEN'],
      [[first, third], 'ERR_CRYPTO_OPEN'],
      [[first, first], 'ERR_CRYPTO_OPEN'],
      [[second, first], 'ERR_CRYPTO_OPEN'],
      [[framed(1, back)], 'ERR_CRYPTO_OPEN'],
      [[framed(1, other)], 'ERR_CRYPTO_OPEN'],
      [[first, second], 'ERR_NET_CLOSED'],
      [[first], 'ERR_NET_CLOSED'],
      [[], 'ERR_NET_CLOSED'],
      [[new Uint8Array()], 'ERR_WIRE_MALFORMED'],
      [[Uint8Array.of(7, 1, 2)], 'ERR_WIRE_MALFORMED'],
      [[framed(0, plainRefusalCodec.encode({ code: 'ERR_OVERLOADED', message: 'later' }))], 'ERR_OVERLOADED'],
      [[framed(0, plainRefusalCodec.encode({ code: 'ERR_NOT_OURS', message: '' }))], 'ERR_REFUSED'],
      [sealedEvents({ event: 'refused', code: 'toString', message: '', retryAfterMs: 0 }), 'ERR_REFUSED'],
    ]
    for (const [index, [frames, code]] of cases.entries()) {
      const [asker, executor] = createStreamPair(anna, ben)
      for (const frame of frames) await executor.send(frame)
      const read = codeOf(all(asker))
      await nextTurn()
      await executor.close()
      expect([index, await read]).toEqual([index, code])
    }
  })

  test('makes coded errors of whatever an executor sends', async () => {
    const random = createSeededRandom(5)
    const samples = [...sealedEvents(accepted, result), framed(0, plainRefusalCodec.encode({ code: 'ERR_REFUSED', message: 'no' }))]
    for (let round = 0; round < inputs / 10; round++) {
      const [asker, executor] = createStreamPair(anna, ben)
      await executor.send(fuzzed(samples, random))
      await executor.close()
      try {
        await all(asker)
        expect.fail('a stream without a result does not end well')
      } catch (error) {
        if (!(error instanceof MeshError) || error.code === 'ERR_INTERNAL') throw error
      }
    }
  })

  test('leaving early, calling off and a receipt that does not fit each reset the stream', async () => {
    const [first, second] = sealedEvents(accepted, result) as readonly [Uint8Array, Uint8Array]
    const begin = async (): Promise<readonly [PairedStream, PairedStream]> => {
      const pair = createStreamPair(anna, ben)
      await pair[1].send(first)
      return pair
    }
    const isReset = async (executor: PairedStream): Promise<boolean> => {
      const read = async (): Promise<void> => {
        for await (const _frame of executor.frames);
      }
      return (await codeOf(read())) === 'ERR_NET_CLOSED'
    }

    const early = await begin()
    for await (const _event of call(early[0])) break
    expect(await isReset(early[1])).toBe(true)

    const off = await begin()
    const controller = new AbortController()
    const reason = new MeshError('ERR_ABORTED', 'enough')
    const asked = async (): Promise<void> => {
      for await (const _event of call(off[0], undefined, controller.signal)) controller.abort(reason)
    }
    expect(await codeOf(asked())).toBe('ERR_ABORTED')
    expect(await isReset(off[1])).toBe(true)

    const unfit = await begin()
    await unfit[1].send(second)
    const read = async (): Promise<void> => {
      for await (const _event of call(unfit[0], () => Promise.reject(new MeshError('ERR_RECEIPT_INVALID', 'no'))));
    }
    expect(await codeOf(read())).toBe('ERR_RECEIPT_INVALID')
    expect(await isReset(unfit[1])).toBe(true)
    // Nothing was signed for it: the request is all that was sent.
    expect(unfit[0].sent).toHaveLength(1)
  })
})
