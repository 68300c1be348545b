/**
 * The few names of the DOM that declarations of libp2p and @hpke mention and Node's do not make global.
 * Here instead of `lib: ["dom"]`, which would let `name`, `status` or `close` pass for variables of ours.
 */
type JsonWebKey = import('node:crypto').webcrypto.JsonWebKey
type Crypto = import('node:crypto').webcrypto.Crypto
type SubtleCrypto = import('node:crypto').webcrypto.SubtleCrypto
type CryptoKey = import('node:crypto').webcrypto.CryptoKey
type KeyUsage = import('node:crypto').webcrypto.KeyUsage
type KeyAlgorithm = import('node:crypto').webcrypto.KeyAlgorithm
type HmacKeyGenParams = import('node:crypto').webcrypto.HmacKeyGenParams
type CryptoKeyPair = import('node:crypto').webcrypto.CryptoKeyPair

interface EventInit {
  bubbles?: boolean
  cancelable?: boolean
  composed?: boolean
}

interface CustomEventInit<T = unknown> extends EventInit {
  detail?: T
}

interface AddEventListenerOptions extends EventListenerOptions {
  once?: boolean
  passive?: boolean
  signal?: AbortSignal
}
