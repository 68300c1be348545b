import { concat, dayMs, type Did, fromHex, hex, minuteMs, utf8 } from '../../src/base/index.ts'
import { sha256 } from '../../src/crypto/index.ts'
import { openBundle } from '../../src/envelope/index.ts'
import { openStatement, type Signed, signStatement, type StatementKind } from '../../src/identity/index.ts'
import { pad } from '../../src/envelope/padding.ts'
import { decodeFrame, encodeFrame } from '../../src/protocols/klp/frames.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
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
  const body = bodyOf(good.bytes)
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
    'statement-just-expired': statement('expired two minutes ago: taken', '1.5', 'ok', message({ issuedAt: now - 3 * minuteMs }).bytes),
    'statement-born-dead': statement('expires when it is issued', '1.5', 'ERR_STATEMENT_LIFETIME', message({ lifetimeMs: 0 }).bytes),
    'statement-version-2': statement(
      'of a version nobody knows',
      '1.4',
      'ERR_WIRE_MALFORMED',
      enveloped(Uint8Array.from(body, (byte, at) => (at === 1 ? 2 : byte))),
    ),
    'statement-long-integer': statement(
      'its version in two bytes, well signed: one statement has one spelling',
      '2.1',
      'ERR_WIRE_MALFORMED',
      enveloped(concat(body.subarray(0, 1), fromHex('1801'), body.subarray(2))),
    ),
    'statement-time-as-float': statement('its time as a float, well signed', '2.1', 'ERR_WIRE_MALFORMED', enveloped(replaced(body, encode(now), floated(now)))),
    'statement-short': statement(
      'nine fields, well signed',
      '1.4',
      'ERR_WIRE_MALFORMED',
      enveloped(encode((decode(body, body.length) as readonly Plain[]).slice(0, 9))),
    ),
    'statement-small-order-key': statement(
      'signed by the identity point, for which anybody can sign',
      '1.4',
      'ERR_STATEMENT_SIGNATURE',
      enveloped(replaced(body, anna.publicKey, identityPoint), () => concat(identityPoint, new Uint8Array(32))),
    ),
    'statement-unreduced-s': statement(
      'S + L in place of S',
      '1.4',
      'ERR_STATEMENT_SIGNATURE',
      enveloped(body, (input) => malleated(anna.sign(input))),
    ),
    'statement-long-signature': statement(
      'a byte after the signature',
      '1.4',
      'ERR_WIRE_MALFORMED',
      enveloped(body, (input) => concat(anna.sign(input), Uint8Array.of(0))),
    ),
    'statement-unsorted-envelope': statement('the keys of the envelope in the other order', '2.1', 'ERR_WIRE_MALFORMED', unsorted(body)),
    'statement-other-header': statement('an envelope of another form', '1.4', 'ERR_WIRE_MALFORMED', enveloped(body, undefined, 2)),
    'statement-trailing': statement('a byte after the envelope', '2.1', 'ERR_WIRE_MALFORMED', concat(good.bytes, Uint8Array.of(0))),
  }
}

const renamed = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.from(Buffer.from(bytes).toString('latin1').replace('klp/receipt@1', 'klp/message@1'), 'latin1'))

const identityPoint = fromHex('01'.padEnd(64, '0'))
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n

/** The statement inside an envelope. */
const bodyOf = (signed: Uint8Array): Uint8Array =>
  (decode(signed, signed.length) as readonly [Uint8Array, Readonly<Record<string, Uint8Array>>])[1]['klp/message@1'] ?? new Uint8Array()

/** An envelope around any bytes, well signed unless `sign` does otherwise. */
function enveloped(body: Uint8Array, sign: (input: Uint8Array) => Uint8Array = anna.sign, h = 1): Uint8Array {
  return encode([sign(concat(utf8('klp/1/message\0'), sha256(body))), { h, 'klp/message@1': body }])
}

/** The same envelope with its two map entries swapped, which no deterministic encoder writes. */
function unsorted(body: Uint8Array): Uint8Array {
  const sorted = enveloped(body)
  const first = encode({ h: 1 }).subarray(1)
  const second = encode({ 'klp/message@1': body }).subarray(1)
  return concat(sorted.subarray(0, sorted.length - first.length - second.length), second, first)
}

function replaced(bytes: Uint8Array, part: Uint8Array, by: Uint8Array): Uint8Array {
  const at = Buffer.from(bytes).indexOf(part)
  if (at < 0) throw new Error('nothing to replace')
  return concat(bytes.subarray(0, at), by, bytes.subarray(at + part.length))
}

function floated(value: number): Uint8Array {
  const bytes = new Uint8Array(9)
  bytes[0] = 0xfb
  new DataView(bytes.buffer).setFloat64(1, value)
  return bytes
}

/** S + L is the same scalar to a verifier that does not check its range. */
function malleated(signature: Uint8Array): Uint8Array {
  const scalar = BigInt(`0x${hex(signature.subarray(32).toReversed())}`) + groupOrder
  return concat(signature.subarray(0, 32), fromHex(scalar.toString(16).padStart(64, '0')).toReversed())
}

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
  'beyond-minus-2-53': '3b001fffffffffffff',
  'single-float': 'fa3f800000',
  'not-a-number': 'f97e00',
  'simple-value': 'e0',
  'simple-value-in-two-bytes': 'f820',
  'simple-true-in-two-bytes': 'f815',
  break: 'ff',
  'reserved-head': '1c',
  'indefinite-text': '7f6161ff',
  'long-text-length': '780161',
  'byte-key': 'a1414101',
  'proto-key': 'a1695f5f70726f746f5f5f01',
  surrogate: '63eda080',
  'overlong-utf8': '62c080',
  'key-without-value': 'a16161',
  empty: '',
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
  const original = openStatement('prekeys', bundle.bytes, { now, lifetimeMsMax: 2 * dayMs }).statement
  /** The same bundle, altered and signed again. */
  function signedBundle({
    to = ben.did,
    lifetimeMs = 2 * dayMs,
    change = {},
  }: {
    readonly to?: Did
    readonly lifetimeMs?: number
    readonly change?: object
  }): Signed {
    const payload = encode(Object.assign([...(decode(original.payload, 4_096) as readonly Plain[])], change))
    return signStatement('prekeys', { to, type: 'prekeys', payload, issuedAt: now, expiresAt: now + lifetimeMs }, { keyring: ben, random: chance(30) })
  }
  const strict = openBundle(signedBundle({ change: { 5: 2 } }).bytes, now)
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
    'prekeys-to-another': {
      comment: 'addressed to somebody else than its author',
      spec: '4',
      expect: 'ERR_WIRE_MALFORMED',
      kind: 'prekeys',
      bundle: signedBundle({ to: anna.did }).bytes,
      now,
    },
    'prekeys-two-expiries': {
      comment: 'the bundle names another expiry than its statement',
      spec: '4',
      expect: 'ERR_WIRE_MALFORMED',
      kind: 'prekeys',
      bundle: signedBundle({ change: { 3: now + dayMs } }).bytes,
      now,
    },
    'prekeys-unreduced-kem': {
      comment: 'a KEM key with a coefficient over q',
      spec: '4.4',
      expect: 'ERR_CRYPTO_INPUT',
      kind: 'prekeys',
      bundle: signedBundle({ change: { 6: Uint8Array.from(bundle.kem.bytes, (byte, at) => (at < 3 ? 0xff : byte)) } }).bytes,
      now,
    },
    'prekeys-long-lived': {
      comment: 'good for three days',
      spec: '1.5',
      expect: 'ERR_STATEMENT_LIFETIME',
      kind: 'prekeys',
      bundle: signedBundle({ lifetimeMs: 3 * dayMs, change: { 3: now + 3 * dayMs } }).bytes,
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
    'box-other-encapsulation': box(
      'one bit of the encapsulated key turned: another secret, not another error',
      '3.1',
      'ERR_CRYPTO_OPEN',
      flipped(good.box, 100),
    ),
    'box-shorter-than-its-tag': box(
      'a ciphertext of 15 bytes',
      '3.1',
      'ERR_CRYPTO_OPEN',
      encode([...(decode(good.box, good.box.length) as readonly Plain[]).slice(0, 5), new Uint8Array(15)]),
    ),
    'box-min-suite': {
      ...box('suite 1 to a bundle whose least is 2', '3.1.4', 'ERR_SEAL_SUITE', fixedBox(content, { bundle: strict, seed: 25 }).box),
      bundle: strict.bytes,
    },
    'box-min-suite-2': {
      ...box('suite 2 to the same', '3.1.4', 'ok', fixedBox(content, { bundle: strict, seed: 26, suite: 2 }).box, { content }),
      bundle: strict.bytes,
    },
    'box-long-padding': box(
      'zeros beyond the Padmé length',
      '3.1.2',
      'ERR_WIRE_MALFORMED',
      fixedBox(content, { bundle, seed: 27, padding: (text) => concat(pad(text), new Uint8Array(16)) }).box,
    ),
    'box-length-beyond': box(
      'a length beyond the plaintext',
      '3.1.2',
      'ERR_WIRE_MALFORMED',
      fixedBox(content, { bundle, seed: 28, padding: (text) => Uint8Array.from(pad(text), (byte, at) => (at < 2 ? 0xff : byte)) }).box,
    ),
    'box-empty': box('nothing at all inside, which is a box all the same', '3.1.2', 'ok', fixedBox(new Uint8Array(), { bundle, seed: 29 }).box, {
      content: new Uint8Array(),
    }),
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

type HelloItems = (changed: { readonly wants?: Plain; readonly manifest?: Plain; readonly credit?: number; readonly evidence?: Plain }) => Uint8Array

/** Manifests and terms at their edges. */
function manifests(frame: (comment: string, spec: string, bytes: Uint8Array, fields?: unknown) => Vector, hello: HelloItems): Vectors {
  const capabilities = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `c${index}`)
  const bad = (comment: string, manifest: Plain): Vector => frame(comment, '7', hello({ manifest }))
  const answer = (...items: readonly Plain[]): Uint8Array => encode([1, [['task', 'partial', 'why', ...items]], now])
  const full = hello({ manifest: [capabilities(64), ['peer', 'gateway', 'archive', 'validator', 'later'], 86_400_000, 'away'] })
  return {
    'frame-hello-full-manifest': frame('64 capabilities, a role nobody knows yet, a day, away', '7', full, decodeFrame(full)),
    'frame-hello-65-capabilities': bad('65 capabilities', [capabilities(65), [], 0, 'online']),
    'frame-hello-65-wants': frame('65 wants', '7', hello({ wants: capabilities(65).map((name) => [name, 'optional']) })),
    'frame-hello-9-roles': bad('nine roles', [[], capabilities(9), 0, 'online']),
    'frame-hello-long-ttl': bad('a manifest for more than a day', [[], [], 86_400_001, 'online']),
    'frame-hello-presence': bad('a presence that is none', [[], [], 0, 'asleep']),
    'frame-hello-escape': bad('a name that would colour a terminal', [['\u001b[31mtask'], [], 0, 'online']),
    'frame-hello-capitals': bad('a name in capitals', [['Task'], [], 0, 'online']),
    'frame-hello-empty-name': bad('a capability without a name', [[''], [], 0, 'online']),
    'frame-hello-long-name': bad('a name of 65 characters', [['c'.repeat(65)], [], 0, 'online']),
    'frame-hello-no-presence': bad('a manifest without presence', [[], [], 0]),
    'frame-terms-9-limits': frame(
      'nine limits in one answer',
      '7',
      answer(
        '',
        Array.from({ length: 9 }, () => ['wallMs', 1]),
      ),
    ),
    'frame-terms-limit-below-zero': frame('a limit below zero', '7', answer('', [['wallMs', -1]])),
    'frame-terms-alternative': frame('an alternative that is no name', '7', answer('ask somebody else', [])),
    'frame-terms-no-limits': frame('an answer without limits', '7', answer('')),
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
  /** A hello in its CBOR items, with some of them changed. */
  const hello: HelloItems = ({ wants = [], manifest = [['message'], ['peer'], 0, 'online'], credit = 0, evidence = [] }) =>
    encode([0, [1], wants, manifest, credit, bundle, evidence])
  return {
    'frame-hello': made('hello', {
      frame: 0,
      versions: [1],
      wants: [{ name: 'message', need: 'required' }],
      manifest: { capabilities: ['message', 'task', 'agent:echo'], roles: ['peer', 'gateway'], ttlMs: 7_200_000, presence: 'online' },
      credit: 1 << 20,
      bundle,
      evidence: [],
    }),
    'frame-terms': made('terms', {
      frame: 1,
      answers: [
        { name: 'message', answer: 'granted', reason: '', alternative: '', limits: [] },
        { name: 'task', answer: 'partial', reason: 'with smaller limits: wallMs 500', alternative: '', limits: [{ name: 'wallMs', most: 500 }] },
        { name: 'teleport', answer: 'denied', reason: 'not offered here', alternative: 'message', limits: [] },
      ],
      validUntil: now,
    }),
    'frame-request': made('request', { frame: 2, rid: 7, ttlsMs: [30_000, 5_000], sealed: Uint8Array.of(1, 2, 3) }),
    'frame-reply': made('reply', { frame: 3, rids: [7, 8], sealed: Uint8Array.of(4, 5) }),
    'frame-refusal': made('refusal', { frame: 4, rid: 7, code: 'ERR_REPLAYED', message: 'taken before', retryAfterMs: 0 }),
    'frame-cancel': made('cancel', { frame: 5, rid: 7 }),
    'frame-bye': made('bye', { frame: 6, code: 'ERR_STOPPED', message: 'going' }),
    'frame-ping': made('ping', { frame: 7, rid: 8 }),
    'frame-pong': made('pong', { frame: 8, rid: 2 ** 32 - 1 }),
    'frame-hello-other-need': frame('a want neither required, preferred nor optional', '7', hello({ wants: [['message', 'urgent']] })),
    'frame-hello-credit': frame('credit over 16 MiB', '6', hello({ credit: (16 << 20) + 1 })),
    'frame-hello-evidence': frame('65 pieces of evidence', '6', hello({ evidence: Array.from({ length: 65 }, () => ['head', new Uint8Array()]) })),
    'frame-hello-evidence-kind': frame('a message among the evidence', '6', hello({ evidence: [['message', new Uint8Array()]] })),
    'frame-terms-answer': frame('an answer that is none', '7', encode([1, [['message', 'perhaps', '', '', []]], now])),
    ...manifests(frame, hello),
    'frame-refusal-long-code': frame('a code of 65 characters', '6', encode([4, 7, 'E'.repeat(65), '', 0])),
    'frame-request-text': frame('a box that is text', '6', encode([2, 7, 30_000, 'sealed'])),
    'frame-reply-number': frame('1 where true or false is due', '6', encode([3, 7, 1, new Uint8Array()])),
    'frame-negative-rid': frame('an rid below zero', '6', encode([7, -1])),
    'frame-long-ttl': frame('a ttl of more than a day', '6', encode([2, 7, 86_400_001, new Uint8Array()])),
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
  const edges = [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1].flatMap((edge) => [edge, -edge - 1]).filter(Number.isSafeInteger)
  const zeros = (count: number): Uint8Array => encode(Array.from({ length: count }, () => 0))
  const { bundle } = await fixedPrekeys(ben, 20)
  return {
    ...statements(),
    cbor: { comment: 'one of each', spec: '2.1', expect: 'ok', kind: 'cbor', cbor: good },
    'cbor-integers': { comment: 'integers where their length changes', spec: '2.1', expect: 'ok', kind: 'cbor', cbor: encode(edges) },
    'cbor-key-order': {
      comment: 'keys in bytewise order of their encoding: short ones first, then by UTF-8 and not by UTF-16',
      spec: '2.1',
      expect: 'ok',
      kind: 'cbor',
      cbor: fromHex('a46162006261610064efbfbd610064f090808000'),
    },
    'cbor-items-4096': { comment: '4,096 items, the list among them', spec: '2.2', expect: 'ok', kind: 'cbor', cbor: zeros(4_095) },
    'cbor-items-4097': { comment: 'one item more', spec: '2.2', expect: 'ERR_WIRE_MALFORMED', kind: 'cbor', cbor: fromHex(`991000${'00'.repeat(4_096)}`) },
    'cbor-depth-16': { comment: 'nested 16 deep', spec: '2.2', expect: 'ok', kind: 'cbor', cbor: nested(16) },
    'cbor-depth-17': { comment: 'nested 17 deep', spec: '2.2', expect: 'ERR_WIRE_MALFORMED', kind: 'cbor', cbor: nested(17) },
    ...cbor,
    ...(await seals()),
    ...frames(bundle.bytes),
  }
}
