import { createCipheriv } from 'node:crypto'
import { x25519 } from '@noble/curves/ed25519.js'
import { expand, extract } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { ml_kem768_x25519 as xWing } from '@noble/post-quantum/hybrid.js'
import { concat, dayMs, equal, fromHex, minuteMs, utf8 } from '../../src/base/index.ts'
import { openBundle, type PrekeyBundle } from '../../src/envelope/index.ts'
import { pad } from '../../src/envelope/padding.ts'
import { type Composed, composeStatement, type Keyring, openStatement, signStatement } from '../../src/identity/index.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { anna, ben, chance, cleo, fixedPrekeys, flipped, now, type Vector, type Vectors } from './world.ts'

/** A second writing of klp/v1 section 3.2, from its text, on other libraries than the node's: no randomness, no bounds, no state at rest. */

const none = new Uint8Array(32)
type Suite = 1 | 2

function aead(suite: Suite, key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = suite === 1 ? createCipheriv('aes-256-gcm', key, nonce) : createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 })
  cipher.setAAD(aad, { plaintextLength: plaintext.length })
  const body = cipher.update(plaintext)
  cipher.final()
  return concat(body, cipher.getAuthTag())
}

/** RFC 9180 sections 5.1 and 5.3 in base mode: seals once and exports. */
function hpke(suite: Suite, shared: Uint8Array, info: Uint8Array) {
  const id = concat(utf8('HPKE'), fromHex(`647a000100${suite === 1 ? '02' : '03'}`))
  const labelled = (salt: Uint8Array | undefined, name: string, ikm: Uint8Array): Uint8Array =>
    extract(sha256, concat(utf8('HPKE-v1'), id, utf8(name), ikm), salt)
  const sized = (key: Uint8Array, name: string, context: Uint8Array, length: number): Uint8Array =>
    expand(sha256, key, concat(Uint8Array.of(0, length), utf8('HPKE-v1'), id, utf8(name), context), length)
  const empty = new Uint8Array()
  const context = concat(Uint8Array.of(0), labelled(undefined, 'psk_id_hash', empty), labelled(undefined, 'info_hash', info))
  const secret = labelled(shared, 'secret', empty)
  return {
    seal: (aad: Uint8Array, plaintext: Uint8Array): Uint8Array =>
      aead(suite, sized(secret, 'key', context, 32), sized(secret, 'base_nonce', context, 12), aad, plaintext),
    exportSecret: (text: string): Uint8Array => sized(sized(secret, 'exp', context, 32), 'sec', utf8(text), 32),
  }
}

interface Party {
  readonly keyring: Keyring
  readonly bundle: PrekeyBundle
  readonly kemSeed: Uint8Array
  readonly ratchetSecret: Uint8Array
}

async function partyOf(keyring: Keyring, seed: number): Promise<Party> {
  const { bundle, kemSeed } = await fixedPrekeys(keyring, seed)
  const random = chance(seed)
  random.bytes(32)
  return { keyring, bundle, kemSeed, ratchetSecret: random.bytes(32) }
}

/** One side of a session. */
interface Half {
  readonly suite: Suite
  readonly sendTag: Uint8Array
  readonly mix: Uint8Array
  root: Uint8Array
  own: Uint8Array
  peer: Uint8Array
  chain: Uint8Array | undefined
  n: number
  pn: number
}

const step = (root: Uint8Array, shared: Uint8Array): readonly [Uint8Array, Uint8Array] => {
  const out = expand(sha256, extract(sha256, shared, root), utf8('klp/1/session root'), 64)
  return [out.subarray(0, 32), out.subarray(32)]
}

interface Opening {
  readonly suite: Suite
  readonly secret: Uint8Array
  readonly mix?: Uint8Array
  readonly from: Party
  readonly to: Party
  /** Secret half of the offer's key. */
  readonly offerSecret: Uint8Array
}

/** Both halves of a session at once. */
function halves({ suite, secret, mix = none, from, to, offerSecret }: Opening): readonly [initiator: Half, responder: Half] {
  const info = concat(utf8('klp/1/session'), from.keyring.publicKey, to.keyring.publicKey)
  const out = expand(sha256, extract(sha256, secret, mix), info, 80)
  const [root, chain] = step(out.subarray(0, 32), x25519.getSharedSecret(offerSecret, to.bundle.ratchet))
  const shared = { suite, mix: out.subarray(32, 64), root, n: 0, pn: 0 }
  return [
    { ...shared, sendTag: out.subarray(64, 72), own: offerSecret, peer: to.bundle.ratchet, chain },
    { ...shared, sendTag: out.subarray(72, 80), own: to.ratchetSecret, peer: x25519.getPublicKey(offerSecret), chain: undefined },
  ]
}

/** Seals under the next key of a half; `pair` is its new secret when one is due. */
function frameOf(half: Half, content: Uint8Array, pair: Uint8Array, padding: (content: Uint8Array) => Uint8Array = pad): Uint8Array {
  if (half.chain === undefined) {
    half.own = pair
    const [root, chain] = step(half.root, x25519.getSharedSecret(pair, half.peer))
    Object.assign(half, { root, chain, pn: half.n, n: 0 })
  }
  const chain = half.chain ?? none
  const header: Plain[] = [1, half.suite, 1, half.sendTag, x25519.getPublicKey(half.own), half.pn, half.n]
  const ciphertext = aead(half.suite, hmac(sha256, chain, Uint8Array.of(1)), new Uint8Array(12), encode(header), padding(content))
  half.chain = hmac(sha256, chain, Uint8Array.of(2))
  half.n++
  return encode([...header, ciphertext])
}

/** What a frame does to the half that opens it, as far as what it sends is concerned. */
function heard(half: Half, frame: Uint8Array): void {
  const dh = (decode(frame, frame.length) as readonly Plain[])[4] as Uint8Array
  if (equal(dh, half.peer)) return
  half.root = step(half.root, x25519.getSharedSecret(half.own, dh))[0]
  half.peer = dh
  half.chain = undefined
}

interface Offer {
  readonly dh: Uint8Array
  readonly generation: number
  readonly heal: readonly [kid: Uint8Array, enc: Uint8Array] | null
}
const plainOf = (offer: Offer | undefined): Plain => (offer === undefined ? null : [offer.dh, offer.generation, offer.heal === null ? null : [...offer.heal]])

function sayings(from: Keyring, to: Keyring, texts: readonly string[], { issuedAt = now, seed = 1 } = {}): Composed[] {
  return texts.map((text, index) =>
    composeStatement(
      'message',
      { from: from.did, to: to.did, type: 'text', payload: utf8(text), issuedAt, expiresAt: issuedAt + minuteMs },
      chance(seed * 1_000 + index),
    ),
  )
}
const batchInput = (items: readonly Composed[], offer: Offer | undefined): Uint8Array =>
  concat(utf8('klp/1/batch\0'), sha256(encode([offer === undefined ? null : encode(plainOf(offer)), items.map(({ body }) => ['message', sha256(body)])])))
const loneInput = ({ body }: Composed): Uint8Array => concat(utf8('klp/1/message\0'), sha256(body))
const packed = (items: readonly Composed[], offer: Offer | undefined, signature: Uint8Array): Uint8Array =>
  encode([1, plainOf(offer), signature, items.map(({ body }) => ['message', body])])
function contentOf(items: readonly Composed[], offer: Offer | undefined, { sign }: Keyring): Uint8Array {
  const [only] = items
  return packed(items, offer, items.length === 1 && offer === undefined && only !== undefined ? sign(loneInput(only)) : sign(batchInput(items, offer)))
}

interface OpeningBox {
  readonly box: Uint8Array
  readonly content: Uint8Array
  readonly offerSecret: Uint8Array
  readonly halves: readonly [Half, Half]
}
function openingBox(
  from: Party,
  to: Party,
  texts: readonly string[],
  {
    seed,
    suite = 1,
    generation = 1,
    heal = null,
  }: { readonly seed: number; readonly suite?: Suite; readonly generation?: number; readonly heal?: Offer['heal'] },
): OpeningBox {
  const random = chance(seed)
  const { cipherText: enc, sharedSecret } = xWing.encapsulate(to.bundle.kem.bytes, random.bytes(64))
  const sender = hpke(suite, sharedSecret, to.bundle.sealInfo)
  const offerSecret = random.bytes(32)
  const content = contentOf(sayings(from.keyring, to.keyring, texts, { seed }), { dh: x25519.getPublicKey(offerSecret), generation, heal }, from.keyring)
  const header: Plain[] = [1, suite, 2, to.bundle.kid, enc]
  return {
    box: encode([...header, sender.seal(encode(header), pad(content))]),
    content,
    offerSecret,
    halves: halves({ suite, secret: sender.exportSecret('klp/1/session'), from, to, offerSecret }),
  }
}

const partyFields = ({ keyring, bundle, kemSeed, ratchetSecret }: Party) => ({ publicKey: keyring.publicKey, bundle: bundle.bytes, kemSeed, ratchetSecret })

/** Both sides through an opening, frames in and out of order, changes of keys, a batch and a healing. */
function run(annas: Party, bens: Party, suite: Suite): Vector {
  const random = chance(70 + suite)
  const events: object[] = []
  let seals = 0
  const opened = (to: 'anna' | 'ben', of: number, texts: readonly string[]): void => void events.push({ event: 'open', to, of, texts })
  function sealed(from: 'anna' | 'ben', bytes: Uint8Array, content: Uint8Array, secrets: object): number {
    events.push({ event: 'seal', from, sealed: bytes, content, ...secrets })
    return seals++
  }
  const opening = openingBox(annas, bens, ['hello'], { seed: 60 + suite, suite })
  const [a, b] = opening.halves
  opened('ben', sealed('anna', opening.box, opening.content, { offerSecret: opening.offerSecret }), ['hello'])

  /** A frame of one side; the other takes note of its key at once or when told. */
  function frame(
    from: 'anna' | 'ben',
    half: Half,
    texts: readonly string[],
    offer?: Offer,
    secrets: object = {},
  ): { readonly index: number; readonly bytes: Uint8Array } {
    const [author, audience] = from === 'anna' ? [annas, bens] : [bens, annas]
    const content = contentOf(sayings(author.keyring, audience.keyring, texts, { seed: 300 + seals }), offer, author.keyring)
    const pair = random.bytes(32)
    const isNew = half.chain === undefined
    const bytes = frameOf(half, content, pair)
    return { index: sealed(from, bytes, content, { ...(isNew ? { dhSecret: pair } : {}), ...secrets }), bytes }
  }
  const early = [frame('anna', a, ['a1']), frame('anna', a, ['a2']), frame('anna', a, ['a3'])] as const
  opened('ben', early[2].index, ['a3'])
  opened('ben', early[0].index, ['a1'])
  const answer = frame('ben', b, ['b1'])
  heard(a, answer.bytes)
  opened('anna', answer.index, ['b1'])
  const batch = frame('anna', a, ['a4', 'a5', 'a6'])
  heard(b, batch.bytes)
  opened('ben', batch.index, ['a4', 'a5', 'a6'])
  opened('ben', early[1].index, ['a2'])

  const { cipherText: enc, sharedSecret } = xWing.encapsulate(annas.bundle.kem.bytes, random.bytes(64))
  const offerSecret = random.bytes(32)
  const offer: Offer = { dh: x25519.getPublicKey(offerSecret), generation: 2, heal: [annas.bundle.kid, enc] }
  const healing = frame('ben', b, ['b2'], offer, { offerSecret })
  heard(a, healing.bytes)
  opened('anna', healing.index, ['b2'])
  const secret = hpke(suite, sharedSecret, annas.bundle.sealInfo).exportSecret('klp/1/session')
  const [healedBen, healedAnna] = halves({ suite, secret, mix: b.mix, from: bens, to: annas, offerSecret })
  const first = frame('ben', healedBen, ['b3'])
  opened('anna', first.index, ['b3'])
  const last = frame('anna', healedAnna, ['a7'])
  heard(healedBen, last.bytes)
  opened('ben', last.index, ['a7'])
  return {
    comment: 'an opening box, frames in and out of order, a new key each way, a batch, a healing offer and the session it opens',
    spec: '3.2',
    expect: 'ok',
    kind: 'session-run',
    now,
    anna: partyFields(annas),
    ben: partyFields(bens),
    events,
  }
}

export async function sessionVectors(): Promise<Vectors> {
  const [annas, bens] = [await partyOf(anna, 40), await partyOf(ben, 20)]
  const { statement } = openStatement('prekeys', bens.bundle.bytes, { now, lifetimeMsMax: 2 * dayMs })
  /** Ben's bundle as one who takes suite 2 alone would have it. */
  const strictPayload = encode(Object.assign([...(decode(statement.payload, 4_096) as readonly Plain[])], { 5: 2 }))
  const strict = signStatement(
    'prekeys',
    { to: ben.did, type: 'prekeys', payload: strictPayload, issuedAt: now, expiresAt: now + 2 * dayMs },
    { keyring: ben, random: chance(31) },
  )
  const bensStrict = { ...bens, bundle: openBundle(strict.bytes, now) }

  /** Ben opens a box of Anna's, then what else arrives: all but the last is sound. */
  function arriving(
    comment: string,
    spec: string,
    expect: string,
    make: (half: Half, opening: OpeningBox) => readonly Uint8Array[],
    texts?: readonly string[],
  ): Vector {
    const opening = openingBox(annas, bens, ['hello'], { seed: 50 })
    const arrivals = [opening.box, ...make(opening.halves[0], opening)]
    return { comment, spec, expect, kind: 'session', now, ben: partyFields(bens), arrivals, ...(texts === undefined ? {} : { texts }) }
  }
  const lone = (text: string, by: Keyring = anna): Uint8Array => contentOf(sayings(by, ben, [text]), undefined, by)
  const three = sayings(anna, ben, ['a', 'b', 'c'])
  const [one, two, third] = three
  if (one === undefined || two === undefined || third === undefined) throw new Error('three statements')
  const sealed = (content: Uint8Array, padding?: (content: Uint8Array) => Uint8Array) => (half: Half) => [frameOf(half, content, none, padding)]
  const offer = (heal: Offer['heal']): Offer => ({ dh: x25519.getPublicKey(chance(90).bytes(32)), generation: 2, heal })
  const enc = xWing.encapsulate(bens.bundle.kem.bytes, chance(91).bytes(64)).cipherText
  const further = (half: Half, skipped: number): Uint8Array[] => {
    for (let count = 0; count < skipped; count++) frameOf(half, none, none)
    return [frameOf(half, lone('far'), none)]
  }
  const changed = (frame: Uint8Array, place: number, value: Plain): Uint8Array =>
    encode((decode(frame, frame.length) as readonly Plain[]).map((field, index) => (index === place ? value : field)))
  return {
    session: run(annas, bens, 1),
    'session-chacha': { ...run(annas, { ...bensStrict }, 2), comment: 'the same in suite 2' },
    'session-frame': arriving('a frame on the session of a box', '3.2.1', 'ok', sealed(lone('a frame')), ['a frame']),
    'session-batch': arriving('three statements under one signature', '1.8', 'ok', sealed(contentOf(three, undefined, anna)), ['a', 'b', 'c']),
    'session-batch-32': arriving(
      'thirty-two statements',
      '1.8',
      'ok',
      sealed(
        contentOf(
          sayings(
            anna,
            ben,
            Array.from({ length: 32 }, (_, index) => `${index}`),
          ),
          undefined,
          anna,
        ),
      ),
      Array.from({ length: 32 }, (_, index) => `${index}`),
    ),
    'session-batch-33': arriving(
      'thirty-three statements',
      '1.8',
      'ERR_WIRE_MALFORMED',
      sealed(
        contentOf(
          sayings(
            anna,
            ben,
            Array.from({ length: 33 }, (_, index) => `${index}`),
          ),
          undefined,
          anna,
        ),
      ),
    ),
    'session-late-statement': arriving(
      'one of two expired: refused alone',
      '3.4.2',
      'ok',
      sealed(contentOf([one, ...sayings(anna, ben, ['old'], { issuedAt: now - 5 * minuteMs })], undefined, anna)),
      ['a', 'ERR_STATEMENT_EXPIRED'],
    ),
    'session-skips-1000': arriving('a frame that skips a thousand keys', '3.2.5', 'ok', (half) => further(half, 1_000), ['far']),
    'session-skips-1001': arriving('a frame that skips one more', '3.2.5', 'ERR_SESSION_LOST', (half) => further(half, 1_001)),
    'session-twice': arriving('a frame that comes again', '3.2.5', 'ERR_SESSION_LOST', (half) => {
      const frame = frameOf(half, lone('once'), none)
      return [frame, frame]
    }),
    'session-altered': arriving('one bit of the ciphertext turned', '3.2.10', 'ERR_SESSION_LOST', (half) => [flipped(frameOf(half, lone('a'), none), -1)]),
    'session-other-pn': arriving('another pn: in the associated data', '3.2', 'ERR_SESSION_LOST', (half) => [changed(frameOf(half, lone('a'), none), 5, 1)]),
    'session-other-n': arriving('another n: another key', '3.2.4', 'ERR_SESSION_LOST', (half) => [changed(frameOf(half, lone('a'), none), 6, 1)]),
    'session-other-tag': arriving('a tag nobody holds', '3.2.10', 'ERR_SESSION_LOST', (half) => [
      changed(frameOf(half, lone('a'), none), 3, new Uint8Array(8)),
    ]),
    'session-other-suite': arriving('suite 1 called suite 2', '3.2', 'ERR_SEAL_SUITE', (half) => [changed(frameOf(half, lone('a'), none), 1, 2)]),
    'session-zero-key': arriving('a ratchet key of small order', '3.2.3', 'ERR_CRYPTO_INPUT', (half) => [changed(frameOf(half, lone('a'), none), 4, none)]),
    'session-long-padding': arriving(
      'zeros beyond the Padmé length',
      '3.1.2',
      'ERR_WIRE_MALFORMED',
      sealed(lone('a'), (text) => concat(pad(text), new Uint8Array(16))),
    ),
    'session-no-statement': arriving('a content without a statement', '3.4', 'ERR_WIRE_MALFORMED', sealed(packed([], undefined, anna.sign(none)))),
    'session-of-another': arriving("Cleo's statement in Anna's session", '3.2.11', 'ERR_STATEMENT_SENDER', sealed(lone('mine', cleo))),
    'session-batch-order': arriving(
      'a batch in another order',
      '1.8',
      'ERR_STATEMENT_SIGNATURE',
      sealed(packed([two, one, third], undefined, anna.sign(batchInput(three, undefined)))),
    ),
    'session-batch-member': arriving(
      'one of a batch, under the signature of all',
      '1.8',
      'ERR_STATEMENT_SIGNATURE',
      sealed(packed([one], undefined, anna.sign(batchInput(three, undefined)))),
    ),
    'session-batch-lone': arriving(
      'two statements, the first under its own signature',
      '3.4.1',
      'ERR_STATEMENT_SIGNATURE',
      sealed(packed([one, two], undefined, anna.sign(loneInput(one)))),
    ),
    'session-two-authors': arriving('statements of two authors in one batch', '3.4.2', 'ERR_STATEMENT_SIGNATURE', (half) => {
      const mixed = [one, ...sayings(cleo, ben, ['mine'])]
      return [frameOf(half, packed(mixed, undefined, anna.sign(batchInput(mixed, undefined))), none)]
    }),
    'session-offer-added': arriving(
      'an offer beside a statement that was signed without it',
      '3.4.1',
      'ERR_STATEMENT_SIGNATURE',
      sealed(packed([one], offer([bens.bundle.kid, enc]), anna.sign(loneInput(one)))),
    ),
    'session-offer-swapped': arriving(
      'another offer than the one that was signed',
      '3.4.1',
      'ERR_STATEMENT_SIGNATURE',
      sealed(packed([one], { ...offer([bens.bundle.kid, enc]), generation: 3 }, anna.sign(batchInput([one], offer([bens.bundle.kid, enc]))))),
    ),
    'session-offer-without-heal': arriving(
      'an offer in a frame that brings no encapsulation',
      '3.4.3',
      'ERR_WIRE_MALFORMED',
      sealed(contentOf([one], offer(null), anna)),
    ),
    'session-heal-unknown': arriving(
      'an offer to a prekey that is not held',
      '3.2.1',
      'ERR_SEAL_PREKEY',
      sealed(contentOf([one], offer([new Uint8Array(8), enc]), anna)),
    ),
    'session-heal-zero-key': arriving(
      'an offer whose ratchet key is of small order',
      '3.2.3',
      'ERR_CRYPTO_INPUT',
      sealed(contentOf([one], { ...offer([bens.bundle.kid, enc]), dh: none }, anna)),
    ),
    'session-box-with-heal': {
      comment: 'an offer in a box that names another encapsulation',
      spec: '3.4.3',
      expect: 'ERR_WIRE_MALFORMED',
      kind: 'session',
      now,
      ben: partyFields(bens),
      arrivals: [openingBox(annas, bens, ['hello'], { seed: 51, heal: [bens.bundle.kid, enc] }).box],
    },
    'session-box': {
      comment: 'the box that opens a session, alone',
      spec: '3.2.1',
      expect: 'ok',
      kind: 'session',
      now,
      ben: partyFields(bens),
      arrivals: [openingBox(annas, bens, ['hello', 'and more'], { seed: 52 }).box],
      texts: ['hello', 'and more'],
    },
  }
}
