import { type Clock, concat, dayMs, type Did, equal, hex, keyFromDid, MeshError, type Random, utf8 } from '../base/index.ts'
import {
  createKemPrivateKey,
  importKemPublicKey,
  type KemPrivateKey,
  type KemPublicKey,
  kemPublicKeyBytesLength,
  kemSeedBytesLength,
  sha256,
  x25519PublicKey,
} from '../crypto/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../identity/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { bytesOf, bytesUpTo, codec, did, instant, listOf, literal, row, uintUpTo } from '../wire/index.ts'

/** A bundle is replaced after this. Source: klp/v1 section 4. */
export const prekeyRotationMs = dayMs
/** A bundle is good for sealing this long. */
export const prekeyLifetimeMs = 2 * dayMs
/** Private halves are kept this long after their bundle was made, then erased: the forward-secrecy window of first messages. */
export const prekeyKeptMs = 8 * dayMs
export const bundleBytesMax = 4_096
export const mailboxesMax = 4

const payload = codec(
  'prekey bundle',
  row({
    version: literal(1),
    seq: uintUpTo(Number.MAX_SAFE_INTEGER),
    notBefore: instant,
    expiresAt: instant,
    suites: listOf(uintUpTo(255), 8),
    minSuite: uintUpTo(255),
    kem: bytesOf(kemPublicKeyBytesLength),
    ratchet: bytesOf(32),
    kid: bytesOf(8),
    mailboxes: listOf(did, mailboxesMax),
  }),
  bundleBytesMax,
)

/** A recipient's public keys for first messages, checked. */
export interface PrekeyBundle {
  readonly owner: Did
  readonly seq: number
  readonly expiresAt: number
  readonly suites: readonly number[]
  readonly minSuite: number
  readonly kid: Uint8Array
  readonly kem: KemPublicKey
  /** X25519 key: the responder's first ratchet key of a session opened to this bundle. */
  readonly ratchet: Uint8Array
  /** Who holds mail for the owner while it is off. */
  readonly mailboxes: readonly Did[]
  readonly bytes: Uint8Array
  /** HPKE info: binds every seal to the very bundle, so that a stripped one does not open. */
  readonly sealInfo: Uint8Array
}

const sealInfoOf = (bundle: Uint8Array): Uint8Array => concat(utf8('klp/1/seal'), sha256(bundle))

/** Verifies a bundle from the DHT or a hello. @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_CRYPTO_INPUT */
export function openBundle(bytes: Uint8Array, now: number): PrekeyBundle {
  if (bytes.length > bundleBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a prekey bundle of ${bytes.length} bytes exceeds ${bundleBytesMax}`)
  const { statement } = openStatement('prekeys', bytes, { now, lifetimeMsMax: prekeyLifetimeMs })
  const bundle = bundleOf(statement.payload, statement.from, bytes)
  if (statement.to !== statement.from || bundle.expiresAt !== statement.expiresAt) {
    throw new MeshError('ERR_WIRE_MALFORMED', 'prekey bundle and its statement differ')
  }
  return bundle
}

function bundleOf(statementPayload: Uint8Array, owner: Did, bytes: Uint8Array): PrekeyBundle {
  const content = payload.decode(statementPayload)
  return {
    owner,
    seq: content.seq,
    expiresAt: content.expiresAt,
    suites: content.suites,
    minSuite: content.minSuite,
    kid: content.kid,
    kem: importKemPublicKey(content.kem),
    ratchet: content.ratchet,
    mailboxes: content.mailboxes,
    bytes,
    sealInfo: sealInfoOf(bytes),
  }
}

/** The rule of the DHT namespace `kindmesh-pk`: key is the owner's raw key. */
export const prekeyRecordRule = (clock: Clock): { check(key: Uint8Array, value: Uint8Array): { seq: number; expiresAt: number } } => ({
  check(key, value) {
    const bundle = openBundle(value, clock.now())
    if (!equal(keyFromDid(bundle.owner), key)) throw new MeshError('ERR_RECORD_INVALID', 'the bundle belongs under another key')
    return { seq: bundle.seq, expiresAt: bundle.expiresAt }
  },
})

export interface OwnPrekeys {
  readonly bundle: PrekeyBundle
  readonly private: KemPrivateKey
  /** Secret half of the bundle's ratchet key. */
  readonly ratchetSecret: Uint8Array
}

export interface PrekeyRing {
  /** The bundle to offer now; made anew when the last one is a day old. Erases private halves past their time. */
  current(): Promise<OwnPrekeys>
  /** Names the holders of our mail in a bundle made at once, unless the newest one names them already. @throws ERR_WIRE_MALFORMED over `mailboxesMax` */
  nameMailboxes(holders: readonly Did[]): Promise<void>
  /** The private half by key id, while it is kept. */
  find(kid: Uint8Array): OwnPrekeys | undefined
}

const storedCodec = codec(
  'stored prekey',
  row({ kemSeed: bytesOf(kemSeedBytesLength), ratchetSecret: bytesOf(32), bundle: bytesUpTo(bundleBytesMax) }),
  2 * bundleBytesMax,
)
const storedContext = utf8('prekey')
const seqKey = (seq: number): string => String(seq).padStart(16, '0')

export interface PrekeyOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
}

/** Opens the node's prekeys: private halves sealed at rest, durable before their bundle is shown to anybody. */
export async function openPrekeys({ store, keyring, clock, random }: PrekeyOptions): Promise<PrekeyRing> {
  const box = keyring.box('prekeys')
  const kept = new Map<string, OwnPrekeys & { readonly madeAt: number }>()
  let newest: (OwnPrekeys & { readonly madeAt: number }) | undefined
  let making: Promise<OwnPrekeys> | undefined
  let mailboxes: readonly Did[] = []

  function remember(kemSeed: Uint8Array, ratchetSecret: Uint8Array, signed: Signed): OwnPrekeys {
    const made = {
      bundle: bundleOf(signed.statement.payload, signed.statement.from, signed.bytes),
      private: createKemPrivateKey(kemSeed),
      ratchetSecret,
      madeAt: signed.statement.issuedAt,
    }
    kept.set(hex(made.bundle.kid), made)
    // Bundles of an earlier key still open what was sealed to them; none is shown again.
    if (made.bundle.owner === keyring.did && (newest === undefined || made.bundle.seq > newest.bundle.seq)) newest = made
    return made
  }
  async function make(): Promise<OwnPrekeys> {
    const now = clock.now()
    const kemSeed = random.bytes(kemSeedBytesLength)
    const ratchetSecret = random.bytes(32)
    // Past the last seq even when the clock was set back, else readers would take it for a rollback.
    const seq = Math.max(now, (newest?.bundle.seq ?? 0) + 1)
    const expiresAt = now + prekeyLifetimeMs
    const content = payload.encode({
      version: 1,
      seq,
      notBefore: now,
      expiresAt,
      suites: [1, 2],
      minSuite: 1,
      kem: createKemPrivateKey(kemSeed).publicKey,
      ratchet: x25519PublicKey(ratchetSecret),
      kid: random.bytes(8),
      mailboxes,
    })
    const signed = signStatement('prekeys', { to: keyring.did, type: 'prekeys', payload: content, issuedAt: now, expiresAt }, { keyring, random })
    await store.durable([put(seqKey(seq), box.seal(storedCodec.encode({ kemSeed, ratchetSecret, bundle: signed.bytes }), storedContext))])
    return remember(kemSeed, ratchetSecret, signed)
  }

  /** Private halves past their time: what was sealed to them opens nowhere any more. */
  async function erase(): Promise<void> {
    const stale = [...kept].filter(([, { madeAt }]) => madeAt + prekeyKeptMs < clock.now())
    if (stale.length === 0) return
    await store.durable(stale.map(([, { bundle }]) => del(seqKey(bundle.seq))))
    for (const [kid] of stale) kept.delete(kid)
  }

  for await (const [, sealed] of store.range({})) {
    const { kemSeed, ratchetSecret, bundle } = storedCodec.decode(box.open(sealed, storedContext))
    remember(kemSeed, ratchetSecret, openStatement('prekeys', bundle, { now: clock.now(), lifetimeMsMax: prekeyLifetimeMs, atAnyTime: true }))
  }
  mailboxes = newest?.bundle.mailboxes ?? []
  await erase()
  const renew = (): Promise<OwnPrekeys> =>
    (making ??= make().finally(() => {
      making = undefined
    }))
  const isNamed = (holders: readonly Did[]): boolean => (newest?.bundle.mailboxes ?? []).join() === holders.join()
  return {
    async current() {
      await erase()
      const now = clock.now()
      if (newest !== undefined && Math.abs(now - newest.madeAt) < prekeyRotationMs) return newest
      return await renew()
    },
    async nameMailboxes(holders) {
      mailboxes = holders
      // One that is being made may still name the old ones.
      await making?.catch(() => undefined)
      if (!isNamed(holders)) await renew()
    },
    find: (kid) => {
      const found = kept.get(hex(kid))
      return found !== undefined && found.madeAt + prekeyKeptMs >= clock.now() ? found : undefined
    },
  }
}
