import { dayMs, minuteMs, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { safeFileName } from '../../src/base/file-names.ts'
import { type Signed, signStatement } from '../../src/identity/index.ts'
import { framed, plainRefusalCodec } from '../../src/protocols/channel.ts'
import { createStreamChannel } from '../../src/protocols/stream/channel.ts'
import { chunkBytes, encodeStreamEvent, offerCodec, type StreamEvent, streamReceiptCodec } from '../../src/protocols/stream/codec.ts'
import { encode } from '../../src/wire/index.ts'
import { anna, ben, chance, cleo, flipped, now, type Vector, type Vectors } from './world.ts'

const signing = (keyring: typeof anna, seed: number) => ({ keyring, random: chance(seed) })

export function streamVectors(): Vectors {
  const transfer = chance(31).bytes(16)
  const secret = new Uint8Array(32).fill(9)
  const rest = utf8('the rest')
  const body = { size: chunkBytes + rest.length, hash: sha256(Buffer.concat([new Uint8Array(chunkBytes).fill(7), rest])) }
  const offerPayload = offerCodec.encode({ version: 1, transfer, name: 'notes.txt', ...body, chunkBytes, mediaType: 'text/plain', secret })
  const offerOf = (payload: Uint8Array, seed = 32): Signed =>
    signStatement('stream-offer', { to: ben.did, type: 'stream_offer', payload, issuedAt: now, expiresAt: now + 10 * minuteMs }, signing(anna, seed))
  const offer = offerOf(offerPayload)
  const receiptOf = (keyring = ben, to = anna, about = offer.hash, change: object = {}): Signed =>
    signStatement(
      'stream-receipt',
      {
        to: to.did,
        type: 'stream_receipt',
        payload: streamReceiptCodec.encode({ version: 1, status: 'received', transfer, ...body, ...change }),
        refs: [about],
        issuedAt: now,
        expiresAt: now + 400 * dayMs,
      },
      signing(keyring, 33),
    )
  const receipt = receiptOf()
  const events: readonly StreamEvent[] = [
    { event: 'accepted', cursor: chunkBytes },
    { event: 'kept', cursor: body.size },
    { event: 'received', receipt: receipt.bytes },
  ]
  const back = createStreamChannel(secret, 'to-sender', offer.hash)
  const frames = events.map((event) => framed(1, back.seal(encodeStreamEvent(event))))
  const plainEvents = events.map((event) => encodeStreamEvent(event))
  const chunkOf = (bytes: Uint8Array): Uint8Array => createStreamChannel(secret, 'to-receiver', offer.hash).seal(bytes)

  const offered = (comment: string, spec: string, expect: string, { bytes }: Pick<Signed, 'bytes'>, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'stream-offer',
    signed: bytes,
    now,
    from: anna.publicKey,
    to: ben.publicKey,
    ...more,
  })
  const stream = (comment: string, spec: string, expect: string, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'stream',
    secret,
    offerHash: offer.hash,
    size: body.size,
    cursor: chunkBytes,
    frames,
    events: plainEvents,
    chunks: [chunkOf(rest)],
    body: rest,
    ...more,
  })
  const received = (comment: string, expect: string, { bytes }: Signed): Vector => ({
    comment,
    spec: '5.1',
    expect,
    kind: 'stream-receipt',
    offer: offer.bytes,
    signed: bytes,
    now,
  })
  const named = (comment: string, name: string): Vector => ({ comment, spec: '4.5', expect: 'ok', kind: 'file-name', name, safe: safeFileName(name) })
  const payloadWith = (change: Readonly<Record<number, unknown>>): Uint8Array => {
    const fields: unknown[] = [1, transfer, 'notes.txt', body.size, body.hash, chunkBytes, 'text/plain', secret]
    for (const [index, value] of Object.entries(change)) fields[Number(index)] = value
    return encode(fields as never)
  }
  return {
    offer: offered('anna offers ben a body of one chunk and eight bytes', '2', 'ok', offer, {
      hash: offer.hash,
      transfer,
      name: 'notes.txt',
      size: body.size,
      bodyHash: body.hash,
      mediaType: 'text/plain',
      secret,
    }),
    'offer-altered': offered('one bit of the signed offer turned', '2.1', 'ERR_STATEMENT_SIGNATURE', { bytes: flipped(offer.bytes, -10) }),
    'offer-other-chunks': offered('chunks of another length', '2.3', 'ERR_WIRE_MALFORMED', offerOf(payloadWith({ 5: 32_768 }))),
    'offer-too-large': offered('a body of a byte more than may be', '6', 'ERR_WIRE_MALFORMED', offerOf(payloadWith({ 3: 1024 ** 4 + 1 }))),
    'offer-long-name': offered('a name of 256 characters', '2', 'ERR_WIRE_MALFORMED', offerOf(payloadWith({ 2: 'x'.repeat(256) }))),
    'offer-short-secret': offered('a secret of 31 bytes', '2', 'ERR_WIRE_MALFORMED', offerOf(payloadWith({ 7: new Uint8Array(31) }))),
    'offer-short-transfer': offered('a transfer named by 15 bytes', '2', 'ERR_WIRE_MALFORMED', offerOf(payloadWith({ 1: new Uint8Array(15) }))),
    stream: stream('three events back, and the last chunk of a body from its cursor', '3', 'ok'),
    'stream-swapped': stream('the second event first', '3.1', 'ERR_CRYPTO_OPEN', { frames: [frames[1], frames[0], frames[2]] }),
    'stream-dropped': stream('the first event is missing', '3.1', 'ERR_CRYPTO_OPEN', { frames: frames.slice(1) }),
    'stream-repeated': stream('the first event twice', '3.1', 'ERR_CRYPTO_OPEN', { frames: [frames[0], frames[0]] }),
    'stream-other-offer': stream('frames of another offer', '3.1', 'ERR_CRYPTO_OPEN', { offerHash: receipt.hash }),
    'stream-other-direction': stream('a chunk sent back as an event', '3.1', 'ERR_CRYPTO_OPEN', { frames: [framed(1, chunkOf(rest))] }),
    'stream-altered-chunk': stream('one bit of a chunk turned', '3.1', 'ERR_CRYPTO_OPEN', { chunks: [flipped(chunkOf(rest), 3)] }),
    'stream-short-chunk': stream('a last chunk that is not the rest', '3.2', 'ERR_PROTOCOL', { chunks: [chunkOf(rest.subarray(1))], body: rest.subarray(1) }),
    'stream-long-chunk': stream('more than the rest', '3.2', 'ERR_PROTOCOL', { chunks: [chunkOf(Buffer.concat([rest, rest]))] }),
    refusal: {
      comment: 'a refusal in clear, behind its first byte 0',
      spec: '3',
      expect: 'ok',
      kind: 'payload',
      of: 'plain-refusal',
      payload: plainRefusalCodec.encode({ code: 'ERR_STATEMENT_EXPIRED', message: 'expired 400000 ms ago' }),
      list: ['ERR_STATEMENT_EXPIRED', 'expired 400000 ms ago'],
    },
    receipt: received('the receipt of ben about this offer', 'ok', receipt),
    'receipt-other-offer': received('about another offer', 'ERR_RECEIPT_INVALID', receiptOf(ben, anna, receipt.hash)),
    'receipt-other-receiver': received('signed by somebody else than who was offered', 'ERR_RECEIPT_INVALID', receiptOf(cleo, anna)),
    'receipt-other-sender': received('made out to somebody else', 'ERR_RECEIPT_INVALID', receiptOf(ben, cleo)),
    'receipt-other-hash': received('of a body with another hash', 'ERR_RECEIPT_INVALID', receiptOf(ben, anna, offer.hash, { hash: new Uint8Array(32) })),
    'receipt-other-size': received('of a shorter body', 'ERR_RECEIPT_INVALID', receiptOf(ben, anna, offer.hash, { size: 5 })),
    'receipt-other-transfer': received('of another transfer', 'ERR_RECEIPT_INVALID', receiptOf(ben, anna, offer.hash, { transfer: new Uint8Array(16) })),
    'name-plain': named('a name that is fine', 'photo.jpg'),
    'name-path': named('a path out of the folder', '../../etc/passwd'),
    'name-hidden': named('a hidden file', '.ssh'),
    'name-device': named('a device of Windows', 'NUL.txt'),
    'name-controls': named('controls and a bidirectional override', 'a\u0000b\u202Egpj.exe'),
    'name-nothing': named('nothing is left', ' ... '),
    'name-long': named('200 bytes with the extension', `${'ü'.repeat(200)}.tar`),
  }
}
