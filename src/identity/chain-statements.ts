import { dayMs, type Did, didFromKey, equal, keyFromDid, MeshError, type Random } from '../base/index.ts'
import { createSigner, sha256 } from '../crypto/index.ts'
import { bytesOf, codec, literal, nullable, row, uintUpTo } from '../wire/index.ts'
import { openStatement, type Signed, signStatement } from './statement.ts'

/** Statements of one chain: an inception and its successions. Source: identity/v1 section 4. */
export const chainLengthMax = 26
/** Bytes of the statements in force of one chain together; with a fork they still fit one DHT record. Source: identity/v1 section 4. */
export const chainBytesMax = 7_200
/** One statement of a chain. */
export const chainStatementBytesMax = 512
/** A chain does not expire: what its statements say of their own life is only bounded. */
export const chainLifetimeMs = 36_500 * dayMs

const inceptionCodec = codec('inception', row({ version: literal(1), nextHash: bytesOf(32), recoveryHash: bytesOf(32) }), 128)
const successionCodec = codec(
  'succession',
  row({
    version: literal(1),
    seq: uintUpTo(chainLengthMax - 1),
    /** SHA-256 of the statement before. */
    prev: bytesOf(32),
    nextHash: bytesOf(32),
    /** Null leaves the recovery key as it was. */
    recoveryHash: nullable(bytesOf(32)),
  }),
  128,
)

/** A verified statement of a chain, not yet put in its place. */
export interface ChainStatement {
  readonly signed: Signed
  /** Of whose chain it wants to be part: the first key. */
  readonly did: Did
  /** The key that signed it, and that it puts in force. */
  readonly key: Did
  /** 0 for an inception. */
  readonly seq: number
  readonly prev: Uint8Array | undefined
  readonly nextHash: Uint8Array
  readonly recoveryHash: Uint8Array | undefined
}

/** How a key is committed to before it is shown: SHA-256 of its 32 bytes. Source: identity/v1 section 4. */
export const commitmentOf = (key: Uint8Array): Uint8Array => sha256(key)

/** What a statement commits to: the key that may follow its own, and the one for need. */
export interface Commitments {
  readonly nextHash: Uint8Array
  readonly recoveryHash: Uint8Array | undefined
}

const keyringOfSeed = (seed: Uint8Array): { readonly did: Did; sign(message: Uint8Array): Uint8Array } => {
  const signer = createSigner(seed)
  return { did: didFromKey(signer.publicKey), sign: (message) => signer.sign(message) }
}

/** The first statement of an identity, by its first key. Source: identity/v1 section 4. */
export function signInception(
  seed: Uint8Array,
  { nextHash, recoveryHash, now, random }: Commitments & { readonly recoveryHash: Uint8Array; readonly now: number; readonly random: Random },
): Signed {
  const keyring = keyringOfSeed(seed)
  const payload = inceptionCodec.encode({ version: 1, nextHash, recoveryHash })
  return signStatement('inception', { to: keyring.did, type: '', payload, issuedAt: now, expiresAt: now + chainLifetimeMs }, { keyring, random })
}

/** Puts the key of `seed` in force after `tip`: the next key, or in need the recovery key. Source: identity/v1 section 5. */
export function signSuccession(
  seed: Uint8Array,
  { tip, nextHash, recoveryHash, now, random }: Commitments & { readonly tip: ChainStatement; readonly now: number; readonly random: Random },
): Signed {
  const payload = successionCodec.encode({ version: 1, seq: tip.seq + 1, prev: tip.signed.hash, nextHash, recoveryHash })
  // Not before the statement it follows, even when the clock was set back.
  const issuedAt = Math.max(now, tip.signed.statement.issuedAt)
  return signStatement(
    'succession',
    { to: tip.did, type: '', payload, issuedAt, expiresAt: issuedAt + chainLifetimeMs },
    { keyring: keyringOfSeed(seed), random },
  )
}

const anyTime = { now: 0, lifetimeMsMax: chainLifetimeMs, atAnyTime: true } as const

/** Reads and verifies one statement of a chain by itself. @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_IDENTITY_CHAIN */
export function openChainStatement(bytes: Uint8Array): ChainStatement {
  if (bytes.length > chainStatementBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${bytes.length} bytes for one statement of a chain`)
  const signed = isInception(bytes) ? openStatement('inception', bytes, anyTime) : openStatement('succession', bytes, anyTime)
  const { from, to, payload } = signed.statement
  if (signed.kind === 'inception') {
    const { nextHash, recoveryHash } = inceptionCodec.decode(payload)
    if (to !== from) throw new MeshError('ERR_IDENTITY_CHAIN', 'an inception of one key about another')
    return checked({ signed, did: from, key: from, seq: 0, prev: undefined, nextHash, recoveryHash })
  }
  const { seq, prev, nextHash, recoveryHash } = successionCodec.decode(payload)
  if (seq === 0 || to === from) throw new MeshError('ERR_IDENTITY_CHAIN', 'a succession where an inception belongs')
  return checked({ signed, did: to, key: from, seq, prev, nextHash, recoveryHash })
}

/** The kind is spelled in the envelope; a statement that names neither fails as a succession. */
const isInception = (bytes: Uint8Array): boolean => Buffer.from(bytes).includes('klp/inception@1')

/** A key may not follow itself, and one key may not be both the next and the recovery key. */
function checked(statement: ChainStatement): ChainStatement {
  const { key, nextHash, recoveryHash } = statement
  const own = commitmentOf(keyFromDid(key))
  const isSound = !equal(own, nextHash) && (recoveryHash === undefined || (!equal(own, recoveryHash) && !equal(nextHash, recoveryHash)))
  if (!isSound) throw new MeshError('ERR_IDENTITY_CHAIN', 'a statement that commits to one key twice')
  return statement
}
