import { expect } from 'vitest'
import type { Vector } from '../../scripts/vectors/world.ts'
import { didFromKey, fromHex, hex } from '../../src/base/index.ts'
import { meetProviderKey } from '../../src/node/meet-provider-key.ts'
import { listAnswerCodec, listCodec, putAnswerCodec, putCodec } from '../../src/protocols/att-meet/codec.ts'

const recoded: Readonly<Record<string, (frame: Uint8Array) => Uint8Array>> = {
  put: (frame) => putCodec.encode(putCodec.decode(frame)),
  list: (frame) => listCodec.encode(listCodec.decode(frame)),
  'put-answer': (frame) => putAnswerCodec.encode(putAnswerCodec.decode(frame)),
  'list-answer': (frame) => listAnswerCodec.encode(listAnswerCodec.decode(frame)),
}

/** What our code says to the vectors of the rendezvous. */
export const meetingReaders: Readonly<Record<string, (vector: Vector) => void>> = {
  'meet-frame'({ of, frame }) {
    expect(hex(recoded[String(of)]?.(fromHex(String(frame))) ?? new Uint8Array())).toBe(frame)
  },
  'meet-provider-key'({ subject, bucket, key }) {
    expect(hex(meetProviderKey(didFromKey(fromHex(String(subject))), Number(bucket)))).toBe(key)
  },
}
