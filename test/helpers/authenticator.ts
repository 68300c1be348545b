import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import type { CreationOptions, RequestOptions } from '../../src/auth/index.ts'

const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest()

type CborValue = number | string | Uint8Array | ReadonlyMap<number | string, CborValue>

/** Just the CBOR an authenticator writes: CTAP2 canonical form. */
export function cbor(value: CborValue): Buffer {
  const head = (major: number, n: number): Buffer =>
    n < 24 ? Buffer.from([(major << 5) | n]) : n < 256 ? Buffer.from([(major << 5) | 24, n]) : Buffer.from([(major << 5) | 25, n >> 8, n & 0xff])
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (value instanceof Uint8Array) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(5, value.size), ...[...value].flatMap(([key, item]) => [cbor(key), cbor(item)])])
}

export type Algorithm = 'EdDSA' | 'ES256' | 'RS256'
export const coseOf = { EdDSA: -8, ES256: -7, RS256: -257 } as const

const made: Partial<Record<Algorithm, { readonly privateKey: KeyObject; readonly publicKey: KeyObject }>> = {}
function keyPair(algorithm: Algorithm) {
  if (algorithm === 'EdDSA') return generateKeyPairSync('ed25519')
  if (algorithm === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  // Slow to make; whose it is does not matter here.
  return (made.RS256 ??= generateKeyPairSync('rsa', { modulusLength: 2_048 }))
}

/** A public key as COSE_Key; `as` writes another algorithm on it. */
export function coseKey(key: KeyObject, as?: number): Buffer {
  const { kty, x = '', y = '', n = '', e = '' } = key.export({ format: 'jwk' })
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64url')
  if (kty === 'OKP') {
    return cbor(
      new Map<number, CborValue>([
        [1, 1],
        [3, as ?? -8],
        [-1, 6],
        [-2, bytes(x)],
      ]),
    )
  }
  if (kty === 'EC') {
    return cbor(
      new Map<number, CborValue>([
        [1, 2],
        [3, as ?? -7],
        [-1, 1],
        [-2, bytes(x)],
        [-3, bytes(y)],
      ]),
    )
  }
  return cbor(
    new Map<number, CborValue>([
      [1, 3],
      [3, as ?? -257],
      [-1, bytes(n)],
      [-2, bytes(e)],
    ]),
  )
}

/** One passkey as its authenticator keeps it. */
export interface Passkey {
  readonly id: Buffer
  readonly algorithm: Algorithm
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  userHandle: string
  counter: number
}

/** What an attack changes of an honest answer. Each part is put in before what depends on it is hashed and signed, except `after`. */
export interface Twist {
  readonly origin?: string
  readonly type?: string
  readonly challenge?: string
  readonly clientData?: Readonly<Record<string, unknown>>
  readonly rpId?: string
  readonly flags?: number
  readonly counter?: number
  readonly userHandle?: string | undefined
  readonly id?: Uint8Array
  readonly cose?: Uint8Array
  readonly format?: string
  readonly statement?: ReadonlyMap<string, CborValue>
  readonly signer?: KeyObject
}

export interface Answers {
  readonly id: string
  readonly rawId: string
  readonly type: string
  readonly clientExtensionResults: object
  readonly response: Readonly<Record<string, unknown>>
}

const userPresent = 0x01
const userVerified = 0x04
const attested = 0x40

/** A software authenticator with the page around it: it does what a browser at `origin` and its authenticator would. */
export interface Authenticator {
  readonly passkeys: readonly Passkey[]
  create(options: CreationOptions, twist?: Twist): Answers
  get(options: RequestOptions, twist?: Twist & { readonly passkey?: Passkey }): Answers
}

export function createAuthenticator({
  origin,
  algorithm = 'ES256',
  counts = true,
}: {
  readonly origin: string
  readonly algorithm?: Algorithm
  readonly counts?: boolean
}): Authenticator {
  const passkeys: Passkey[] = []
  const clientDataOf = (type: string, challenge: string, twist: Twist): Buffer =>
    Buffer.from(
      JSON.stringify({
        type: twist.type ?? type,
        challenge: twist.challenge ?? challenge,
        origin: twist.origin ?? origin,
        crossOrigin: false,
        ...twist.clientData,
      }),
    )
  const head = (rpId: string, flags: number, counter: number): Buffer => {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(counter)
    return Buffer.concat([sha256(rpId), Buffer.from([flags]), count])
  }
  return {
    passkeys,
    create(options, twist = {}) {
      const { privateKey, publicKey } = keyPair(algorithm)
      const passkey: Passkey = { id: randomBytes(32), algorithm, privateKey, publicKey, userHandle: options.user.id, counter: counts ? 1 : 0 }
      passkeys.push(passkey)
      const id = Buffer.from(twist.id ?? passkey.id)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(id.length)
      const flags = twist.flags ?? userPresent | userVerified
      const authData = Buffer.concat([
        head(twist.rpId ?? options.rp.id, flags | attested, twist.counter ?? passkey.counter),
        Buffer.alloc(16),
        length,
        id,
        twist.cose ?? coseKey(publicKey),
      ])
      const attestation = cbor(
        new Map<string, CborValue>([
          ['fmt', twist.format ?? 'none'],
          ['attStmt', twist.statement ?? new Map()],
          ['authData', authData],
        ]),
      )
      const clientData = clientDataOf('webauthn.create', options.challenge, twist)
      return {
        id: id.toString('base64url'),
        rawId: id.toString('base64url'),
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: clientData.toString('base64url'),
          attestationObject: attestation.toString('base64url'),
          transports: ['internal', 'nonsense'],
        },
      }
    },
    get(options, { passkey = passkeys[0], ...twist } = {}) {
      if (passkey === undefined) throw new Error('no passkey to answer with')
      if (counts) passkey.counter++
      const clientData = clientDataOf('webauthn.get', options.challenge, twist)
      const authData = head(twist.rpId ?? options.rpId, twist.flags ?? userPresent | userVerified, twist.counter ?? passkey.counter)
      const digest = passkey.algorithm === 'EdDSA' ? null : 'sha256'
      const signature = sign(digest, Buffer.concat([authData, sha256(clientData)]), twist.signer ?? passkey.privateKey)
      const handle = 'userHandle' in twist ? twist.userHandle : passkey.userHandle
      const id = Buffer.from(twist.id ?? passkey.id).toString('base64url')
      return {
        id,
        rawId: id,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: clientData.toString('base64url'),
          authenticatorData: authData.toString('base64url'),
          signature: signature.toString('base64url'),
          ...(handle === undefined ? {} : { userHandle: handle }),
        },
      }
    },
  }
}

/** An answer with some fields of its response exchanged after it was signed. */
export const altered = (answer: Answers, fields: Readonly<Record<string, unknown>>): Answers => ({ ...answer, response: { ...answer.response, ...fields } })

/** The bytes of a field with one bit turned. */
export function flipped(text: unknown, index: number): string {
  const bytes = Buffer.from(String(text), 'base64url')
  bytes[index < 0 ? bytes.length + index : index] = (bytes[index < 0 ? bytes.length + index : index] ?? 0) ^ 1
  return bytes.toString('base64url')
}
