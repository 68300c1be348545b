import { concat, dayMs, minuteMs, utf8 } from '../../src/base/index.ts'
import { type Signed, signStatement, type StatementKind } from '../../src/identity/index.ts'
import { pad } from '../../src/envelope/padding.ts'
import { encodeFrame } from '../../src/protocols/klp/frames.ts'
import { encode } from '../../src/wire/index.ts'
import { anna, ben, chance, fixedBox, fixedPrekeys, flipped, now, type Vector, type Vectors } from './world.ts'

const lifetimeMsMax = 10 * minuteMs

export function message(fields: { readonly issuedAt?: number; readonly lifetimeMs?: number; readonly kind?: StatementKind } = {}): Signed {
  const { issuedAt = now, lifetimeMs = minuteMs, kind = 'message' } = fields
  const payload = encode([1, '', false, 5, null, 'text', 'hello'])
  return signStatement(
    kind,
    { to: ben.did, type: 'text', payload, issuedAt, expiresAt: issuedAt + lifetimeMs, refs: [new Uint8Array(32).fill(9)] },
    { keyring: anna, random: chance(1) },
  )
}

const statement = (comment: string, spec: string, expect: string, signed: Uint8Array, more: object = {}): Vector => ({
  comment,
  spec,
  expect,
  kind: 'statement',
  of: 'message',
  signed,
  now,
  lifetimeMsMax,
  ...more,
})

function statements(): Vectors {
  const good = message()
  const { statement: content } = good
  return {
    statement: statement('a message from anna to ben', '1.1', 'ok', good.bytes, {
      hash: good.hash,
      from: anna.publicKey,
      to: ben.publicKey,
      id: content.id,
      iat: content.issuedAt,
      exp: content.expiresAt,
      type: content.type,
      payload: content.payload,
    }),
    'statement-altered': statement('one bit of the payload turned', '1.4', 'ERR_STATEMENT_SIGNATURE', flipped(good.bytes, -1)),
    'statement-other-signature': statement('one bit of the signature turned', '1.4', 'ERR_STATEMENT_SIGNATURE', flipped(good.bytes, 10)),
    'statement-other-kind': statement('signed as a receipt, called a message', '1.1', 'ERR_STATEMENT_SIGNATURE', renamed(message({ kind: 'receipt' }).bytes)),
    'statement-skewed': statement('issued two minutes ahead: taken', '1.5', 'ok', message({ issuedAt: now + 2 * minuteMs }).bytes),
    'statement-future': statement('issued more than two minutes ahead', '1.5', 'ERR_STATEMENT_FUTURE', message({ issuedAt: now + 2 * minuteMs + 1 }).bytes),
    'statement-expired': statement('expired more than two minutes ago', '1.5', 'ERR_STATEMENT_EXPIRED', message({ issuedAt: now - 3 * minuteMs - 1 }).bytes),
    'statement-long-lived': statement(
      'lives longer than a live message may',
      '1.5',
      'ERR_STATEMENT_LIFETIME',
      message({ lifetimeMs: lifetimeMsMax + 1 }).bytes,
    ),
    'statement-trailing': statement('a byte after the envelope', '2.1', 'ERR_WIRE_MALFORMED', concat(good.bytes, Uint8Array.of(0))),
  }
}

const renamed = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.from(Buffer.from(bytes).toString('latin1').replace('klp/receipt@1', 'klp/message@1'), 'latin1'))

/** Forms outside the profile, by hand. */
const badCbor: Readonly<Record<string, string>> = {
  'long-integer': '1817',
  'beyond-2-53': '1b0020000000000000',
  'half-float': 'f93c00',
  double: 'fb3ff0000000000000',
  tag: 'c11a514b67b0',
  undefined: 'f7',
  'indefinite-list': '9f01ff',
  'unsorted-map': 'a2616201616101',
  'double-key': 'a2616101616102',
  'integer-key': 'a10101',
  'bad-utf8': '62c328',
  trailing: '0000',
  truncated: '8201',
  'announced-2-32': '9affffffff',
}

async function seals(): Promise<Vectors> {
  const { bundle, kemSeed } = await fixedPrekeys(ben, 20)
  const content = message().bytes
  const box = (comment: string, spec: string, expect: string, bytes: Uint8Array, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'box',
    box: bytes,
    bundle: bundle.bytes,
    kemSeed,
    ...more,
  })
  const good = fixedBox(content, { bundle, seed: 21 })
  const stripped = { ...bundle, sealInfo: utf8('klp/1/seal of another bundle') }
  const badPadding = (padded: Uint8Array): Uint8Array => flipped(pad(padded), -1)
  return {
    prekeys: {
      comment: 'the prekey bundle of ben',
      spec: '4',
      expect: 'ok',
      kind: 'prekeys',
      bundle: bundle.bytes,
      now,
      owner: ben.publicKey,
      kemSeed,
      kem: bundle.kem.bytes,
      kid: bundle.kid,
      seq: bundle.seq,
    },
    'prekeys-expired': {
      comment: 'three days later',
      spec: '4.3',
      expect: 'ERR_STATEMENT_EXPIRED',
      kind: 'prekeys',
      bundle: bundle.bytes,
      now: now + 3 * dayMs,
    },
    'prekeys-altered': {
      comment: 'one bit of the KEM key turned',
      spec: '1.4',
      expect: 'ERR_STATEMENT_SIGNATURE',
      kind: 'prekeys',
      bundle: flipped(bundle.bytes, 700),
      now,
    },
    box: box('a box to ben', '3.1', 'ok', good.box, { content, encapsulationSeed: good.encapsulationSeed }),
    'box-chacha': box('the same in suite 2', '3.1', 'ok', fixedBox(content, { bundle, seed: 22, suite: 2 }).box, { content }),
    'box-altered': box('one bit of the ciphertext turned', '3.1', 'ERR_CRYPTO_OPEN', flipped(good.box, -1)),
    'box-other-bundle': box('sealed with the info of another bundle', '3.1.1', 'ERR_CRYPTO_OPEN', fixedBox(content, { bundle: stripped, seed: 23 }).box),
    'box-other-suite': box(
      'suite 1 called suite 2: in the associated data',
      '3.1.1',
      'ERR_CRYPTO_OPEN',
      Uint8Array.from(good.box, (byte, at) => (at === 2 ? 2 : byte)),
    ),
    'box-suite-3': box(
      'a suite that is not offered',
      '3.1.4',
      'ERR_SEAL_SUITE',
      Uint8Array.from(good.box, (byte, at) => (at === 2 ? 3 : byte)),
    ),
    'box-unknown-prekey': box('a key id nobody has', '3.1.4', 'ERR_SEAL_PREKEY', flipped(good.box, 6)),
    'box-bad-padding': box('padding that is not zero', '3.1.2', 'ERR_WIRE_MALFORMED', fixedBox(content, { bundle, seed: 24, padding: badPadding }).box),
    'box-session-mode': box(
      'mode 1 is no box',
      '3',
      'ERR_WIRE_MALFORMED',
      Uint8Array.from(good.box, (byte, at) => (at === 3 ? 1 : byte)),
    ),
  }
}

function frames(bundle: Uint8Array): Vectors {
  const frame = (comment: string, spec: string, bytes: Uint8Array, fields?: unknown): Vector => ({
    comment,
    spec,
    expect: fields === undefined ? 'ERR_WIRE_MALFORMED' : 'ok',
    kind: 'frame',
    frame: bytes,
    ...(fields === undefined ? {} : { fields }),
  })
  const made = (comment: string, value: Parameters<typeof encodeFrame>[0]): Vector => frame(comment, '6', encodeFrame(value), value)
  return {
    'frame-hello': made('hello', {
      frame: 0,
      versions: [1],
      offers: ['message', 'task'],
      wants: [{ name: 'message', need: 'required' }],
      roles: ['peer'],
      credit: 1 << 20,
      bundle,
      evidence: [],
    }),
    'frame-terms': made('terms', { frame: 1, answers: [{ name: 'message', answer: 'granted', reason: '', alternative: '' }], validUntil: now }),
    'frame-request': made('request', { frame: 2, rid: 7, ttlMs: 30_000, sealed: Uint8Array.of(1, 2, 3) }),
    'frame-reply': made('reply', { frame: 3, rid: 7, isReceipt: true, bytes: Uint8Array.of(4, 5) }),
    'frame-refusal': made('refusal', { frame: 4, rid: 7, code: 'ERR_REPLAYED', message: 'taken before', retryAfterMs: 0 }),
    'frame-cancel': made('cancel', { frame: 5, rid: 7 }),
    'frame-bye': made('bye', { frame: 6, code: 'ERR_STOPPED', message: 'going' }),
    'frame-ping': made('ping', { frame: 7, rid: 8 }),
    'frame-unknown': frame('no frame of that number', '6', encode([9, 1])),
    'frame-short': frame('a request without its box', '6', encode([2, 7, 30_000])),
    'frame-wide-rid': frame('an rid of 33 bits', '6', encode([5, 2 ** 32])),
    'frame-map': frame('a map', '6', encode({ frame: 5 })),
  }
}

export async function klpVectors(): Promise<Vectors> {
  const cbor = Object.fromEntries(
    Object.entries(badCbor).map(([name, cborHex]) => [
      `cbor-${name}`,
      { comment: name.replaceAll('-', ' '), spec: '2.1', expect: 'ERR_WIRE_MALFORMED', kind: 'cbor', cbor: cborHex },
    ]),
  )
  const good = encode({ a: [1, -1, 2 ** 53 - 1, true, null], bb: 'é', c: { d: Uint8Array.of(1, 2) } })
  const nested = (depth: number): Uint8Array => Uint8Array.from([...new Uint8Array(depth - 1).fill(0x81), 0x80])
  const { bundle } = await fixedPrekeys(ben, 20)
  return {
    ...statements(),
    cbor: { comment: 'one of each', spec: '2.1', expect: 'ok', kind: 'cbor', cbor: good },
    'cbor-depth-16': { comment: 'nested 16 deep', spec: '2.2', expect: 'ok', kind: 'cbor', cbor: nested(16) },
    'cbor-depth-17': { comment: 'nested 17 deep', spec: '2.2', expect: 'ERR_WIRE_MALFORMED', kind: 'cbor', cbor: nested(17) },
    ...cbor,
    ...(await seals()),
    ...frames(bundle.bytes),
  }
}
