import { describe, expect, test } from 'vitest'
import { createSeededRandom } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import type { Host } from '../../src/net/index.ts'
import { framed, frameKinds } from '../../src/protocols/channel.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { encodeEvent, receiptCodec, type TaskEvent } from '../../src/protocols/task/codec.ts'
import { callTask } from '../../src/protocols/task/index.ts'
import { openReceipt } from '../../src/tasks/receipt.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { createStreamPair } from '../helpers/stream-pair.ts'
import { acceptedEvent, receiptOf } from '../helpers/tasks.ts'

const [asker, executor] = [keyringOf(1), keyringOf(2)]
const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)
const [replySecret, requestHash] = [hash(1), hash(2)]
const result: TaskEvent = { event: 'result', result: '1', message: '', limit: '', receipt: hash(3) }

/** An executor that sends these events, whatever it was asked; gives what the asker makes of it and how often it signed. */
async function lies(events: readonly TaskEvent[]): Promise<{ readonly code: string; readonly signed: number }> {
  const [own, peer] = createStreamPair(asker.did, executor.did)
  const host = { open: async () => own } as unknown as Host
  const channel = createChannel(replySecret, 'to-asker', requestHash)
  for (const event of events) await peer.send(framed(frameKinds.sealed, channel.seal(encodeEvent(event))))
  let signed = 0
  const countersign = async (): Promise<Uint8Array> => {
    signed++
    return hash(4)
  }
  const drain = async (): Promise<void> => {
    for await (const _event of callTask(host, executor.did, { sealed: hash(0), replySecret, requestHash, countersign }));
  }
  return { code: await codeOf(drain()), signed }
}

describe('an executor that lies', () => {
  test('gets one countersignature for one request, however many results it sends', async () => {
    expect(await lies([result, result, { event: 'kept' }])).toEqual({ code: 'ERR_PROTOCOL', signed: 1 })
    expect(await lies([result, { event: 'console', level: 'log', text: 'more' }])).toEqual({ code: 'ERR_PROTOCOL', signed: 1 })
    expect(await lies([acceptedEvent, result, { event: 'kept' }])).toEqual({ code: 'ok', signed: 1 })
  })

  test('cannot make the asker believe that something on its own machine is wrong', async () => {
    for (const code of ['ERR_AUDIT_TAMPERED', 'ERR_SEALED', 'ERR_PROFILE_LOCKED', 'ERR_USAGE', 'ERR_OF_MINE']) {
      expect(await lies([{ event: 'refused', code, message: 'no', retryAfterMs: 0 }])).toEqual({ code: 'ERR_REFUSED', signed: 0 })
    }
    expect((await lies([{ event: 'refused', code: 'ERR_TRUST_LOW', message: 'no', retryAfterMs: 0 }])).code).toBe('ERR_TRUST_LOW')
  })
})

describe('a receipt', () => {
  const now = Date.UTC(2026, 0, 1)
  const facts = receiptOf({ requestHash, codeHash: hash(5), inputHash: hash(6), startedAt: now, endedAt: now })
  const expected = { executor: executor.did, asker: asker.did, requestHash, codeHash: hash(5), inputHash: hash(6), isolation: 'sandboxed' } as const
  const opened = (
    change: Partial<Parameters<typeof receiptCodec.encode>[0]>,
    refs: readonly Uint8Array[] = [requestHash],
    wanted: Partial<Parameters<typeof openReceipt>[2]> = {},
  ): Promise<string> => {
    const signed = signStatement(
      'task-receipt',
      { to: asker.did, type: 'task_result', payload: receiptCodec.encode({ ...facts, ...change }), refs, issuedAt: now, expiresAt: now + 60_000 },
      { keyring: executor, random: createSeededRandom(1) },
    )
    return codeOf(Promise.resolve().then(() => openReceipt(signed.bytes, now, { ...expected, ...wanted })))
  }

  test('counts only for the very task, at the isolation asked for or a stronger one', async () => {
    expect(await opened({})).toBe('ok')
    expect(await opened({ isolation: 'virtualized' })).toBe('ok')
    const wrong = [
      opened({ isolation: 'native' }),
      opened({}, [requestHash], { isolation: 'virtualized' }),
      opened({}, []),
      opened({}, [hash(9)]),
      opened({}, [requestHash, hash(9)]),
      opened({ requestHash: hash(9) }),
      opened({ codeHash: hash(9) }),
      opened({ inputHash: hash(9) }),
      opened({}, [requestHash], { executor: asker.did }),
      opened({}, [requestHash], { asker: executor.did }),
    ]
    expect(new Set(await Promise.all(wrong))).toEqual(new Set(['ERR_RECEIPT_INVALID']))
  })
})
