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

/** Elements that playwright's declarations name; what a test runs in a page, it hands over as text. */
interface Node {
  readonly nodeType: number
}
interface Element extends Node {
  readonly tagName: string
}
interface HTMLElement extends Element {
  readonly hidden: boolean
}
interface SVGElement extends Element {
  readonly id: string
}
type HTMLElementTagNameMap = Readonly<Record<string, HTMLElement>>
