import { concat, equal, hex, MeshError, type Random, utf8 } from '../base/index.ts'
import { aeadOpen, aeadSeal, hkdfExpand, hkdfExtract, hmacSha256, importAeadKey, isSuite, type Suite, x25519, x25519PublicKey } from '../crypto/index.ts'
import { bytesOf, bytesUpTo, codec, encode, literal, row, uintUpTo } from '../wire/index.ts'
import { sealModes } from './modes.ts'
import { pad, padmeLength, unpad } from './padding.ts'

/** Content of one session frame. */
export const sessionContentBytesMax = 112 * 1024
export const sessionFrameBytesMax = padmeLength(sessionContentBytesMax + 4) + 128
/** Message keys one frame may skip in a chain. Source: klp/v1 section 3.2. */
export const skippedPerChainMax = 1_000

const frameCodec = codec(
  'session frame',
  row({
    version: literal(1),
    suite: uintUpTo(255),
    mode: literal(sealModes.session),
    tag: bytesOf(8),
    dh: bytesOf(32),
    pn: uintUpTo(0xffff_ffff),
    n: uintUpTo(0xffff_ffff),
    ciphertext: bytesUpTo(sessionFrameBytesMax),
  }),
  sessionFrameBytesMax + 128,
)
export type SessionFrame = ReturnType<typeof frameCodec.decode>

/** @throws ERR_WIRE_* */
export const decodeSessionFrame = (bytes: Uint8Array): SessionFrame => frameCodec.decode(bytes)

type Header = Omit<SessionFrame, 'ciphertext' | 'version' | 'mode'>
const associated = ({ suite, tag, dh, pn, n }: Header): Uint8Array => encode([1, suite, sealModes.session, tag, dh, pn, n])

interface Chain {
  key: Uint8Array
  n: number
}

export interface KeyPair {
  readonly secret: Uint8Array
  readonly public: Uint8Array
}

export const newKeyPair = (random: Random): KeyPair => {
  const secret = random.bytes(32)
  return { secret, public: x25519PublicKey(secret) }
}

/** One side of a Double Ratchet. Source: klp/v1 section 3.2; Signal, The Double Ratchet Algorithm, revision 4. */
export interface Ratchet {
  readonly suite: Suite
  readonly sendTag: Uint8Array
  readonly receiveTag: Uint8Array
  /** Mixed into the root of the session that heals this one. */
  readonly mix: Uint8Array
  root: Uint8Array
  own: KeyPair
  peer: Uint8Array
  /** Kept in memory only: a chain read from a disk, or from an old copy of one, would use its keys again. */
  sending: Chain | undefined
  /** Messages sent on the newest sending chain, and on the one before. */
  sent: number
  previous: number
  receiving: Chain | undefined
}

export interface SkippedKey {
  readonly dh: Uint8Array
  readonly n: number
  readonly key: Uint8Array
}

export const skippedName = (dh: Uint8Array, n: number): string => `${hex(dh)}/${n}`

const rootInfo = utf8('klp/1/session root')
const noNonce = new Uint8Array(12)
const messageStep = Uint8Array.of(1)
const chainStep = Uint8Array.of(2)

const nextMessageKey = (chain: Uint8Array): Uint8Array => hmacSha256(chain, messageStep)
const nextChainKey = (chain: Uint8Array): Uint8Array => hmacSha256(chain, chainStep)

function rootStep(root: Uint8Array, shared: Uint8Array): readonly [root: Uint8Array, chain: Uint8Array] {
  const out = hkdfExpand(hkdfExtract(root, shared), rootInfo, 64)
  return [out.subarray(0, 32), out.subarray(32)]
}

export interface SessionSecrets {
  readonly suite: Suite
  /** What the opening encapsulation exports. */
  readonly secret: Uint8Array
  /** Of the session that is healed; nothing for one opened by a box. */
  readonly mix?: Uint8Array | undefined
  /** Raw identity keys. */
  readonly initiator: Uint8Array
  readonly responder: Uint8Array
}

const noMix = new Uint8Array(32)

function begin({ suite, secret, mix = noMix, initiator, responder }: SessionSecrets) {
  const out = hkdfExpand(hkdfExtract(mix, secret), concat(utf8('klp/1/session'), initiator, responder), 80)
  return { suite, root: out.subarray(0, 32), mix: out.subarray(32, 64), tags: [out.subarray(64, 72), out.subarray(72, 80)] as const }
}

/** The side that opens: `own` is the key of its offer, `peerRatchet` that of the recipient's bundle. */
export function initiate(secrets: SessionSecrets & { readonly own: KeyPair; readonly peerRatchet: Uint8Array }): Ratchet {
  const { suite, root, mix, tags } = begin(secrets)
  const [next, chain] = rootStep(root, x25519(secrets.own.secret, secrets.peerRatchet))
  return {
    suite,
    mix,
    sendTag: tags[0],
    receiveTag: tags[1],
    root: next,
    own: secrets.own,
    peer: secrets.peerRatchet,
    sending: { key: chain, n: 0 },
    sent: 0,
    previous: 0,
    receiving: undefined,
  }
}

/** The side that is opened to: `own` is the ratchet key of its bundle, `offered` that of the offer. */
export function respond(secrets: SessionSecrets & { readonly own: KeyPair; readonly offered: Uint8Array }): Ratchet {
  const { suite, root, mix, tags } = begin(secrets)
  const [next, chain] = rootStep(root, x25519(secrets.own.secret, secrets.offered))
  return {
    suite,
    mix,
    sendTag: tags[1],
    receiveTag: tags[0],
    root: next,
    own: secrets.own,
    peer: secrets.offered,
    sending: undefined,
    sent: 0,
    previous: 0,
    receiving: { key: chain, n: 0 },
  }
}

/** Seals one content; the key is used once and gone. Never for a ratchet read from a disk. @throws ERR_WIRE_TOO_LARGE */
export function sealFrame(ratchet: Ratchet, content: Uint8Array, random: Random): Uint8Array {
  if (content.length > sessionContentBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a session frame holds ${sessionContentBytesMax} bytes`)
  let { sending } = ratchet
  if (sending === undefined) {
    ratchet.own = newKeyPair(random)
    const [root, key] = rootStep(ratchet.root, x25519(ratchet.own.secret, ratchet.peer))
    ratchet.root = root
    ratchet.previous = ratchet.sent
    sending = ratchet.sending = { key, n: 0 }
  }
  const header = { suite: ratchet.suite, tag: ratchet.sendTag, dh: ratchet.own.public, pn: ratchet.previous, n: sending.n }
  const messageKey = nextMessageKey(sending.key)
  sending.key = nextChainKey(sending.key)
  ratchet.sent = ++sending.n
  const ciphertext = aeadSeal(ratchet.suite, importAeadKey(messageKey), noNonce, associated(header), pad(content))
  return frameCodec.encode({ version: 1, mode: sealModes.session, ...header, ciphertext })
}

/** What opening a frame does to a ratchet, done only once everything about the frame is right. */
export interface OpenedFrame {
  readonly content: Uint8Array
  /** Keys of frames that are still to come, or never will. */
  readonly skipped: readonly SkippedKey[]
  /** Name of the skipped key that opened it. */
  readonly used: string | undefined
  commit(): void
}

/**
 * Opens a frame without changing the ratchet.
 * @throws ERR_CRYPTO_OPEN, ERR_SEAL_SUITE, ERR_SESSION_LOST when it skips more than `skippedPerChainMax` keys or uses one that is gone
 */
export function openFrame(ratchet: Ratchet, frame: SessionFrame, findSkipped: (name: string) => Uint8Array | undefined): OpenedFrame {
  if (!isSuite(frame.suite) || frame.suite !== ratchet.suite) throw new MeshError('ERR_SEAL_SUITE', `this session does not speak suite ${frame.suite}`)
  const name = skippedName(frame.dh, frame.n)
  const kept = findSkipped(name)
  if (kept !== undefined) return { content: openWith(kept, frame), skipped: [], used: name, commit: () => undefined }

  const { peer, receiving: last } = ratchet
  const isNewKey = !equal(frame.dh, peer)
  const gap = isNewKey && last !== undefined ? { chain: last, dh: peer, until: frame.pn } : undefined
  // Before a key is computed: the header of a forged frame costs its receiver one chain at most.
  if (gap !== undefined) checkGap(gap.until - gap.chain.n)
  checkGap(frame.n - (isNewKey ? 0 : (last?.n ?? 0)))
  let { root } = ratchet
  let start = last
  if (isNewKey) {
    const [nextRoot, key] = rootStep(root, x25519(ratchet.own.secret, frame.dh))
    root = nextRoot
    start = { key, n: 0 }
  }
  if (start === undefined || frame.n < start.n) throw new MeshError('ERR_SESSION_LOST', 'the key of this frame was used before or is not held')
  const first = start
  let chainKey = first.key
  for (let n = first.n; n < frame.n; n++) chainKey = nextChainKey(chainKey)
  const content = openWith(nextMessageKey(chainKey), frame)
  return {
    content,
    skipped: [...(gap === undefined ? [] : keysOf(gap.chain, gap.until, gap.dh)), ...keysOf(first, frame.n, frame.dh)],
    used: undefined,
    commit() {
      ratchet.receiving = { key: nextChainKey(chainKey), n: frame.n + 1 }
      if (!isNewKey) return
      ratchet.root = root
      ratchet.peer = frame.dh
      // The next message this side sends starts a chain of its own, from a fresh key.
      ratchet.sending = undefined
    },
  }
}

function checkGap(missing: number): void {
  if (missing <= skippedPerChainMax) return
  throw new MeshError('ERR_SESSION_LOST', `${missing} messages are missing in between; at most ${skippedPerChainMax} may be`)
}

/** The message keys of a chain up to `until`. */
function keysOf(chain: Chain, until: number, dh: Uint8Array): SkippedKey[] {
  const keys: SkippedKey[] = []
  for (let { key, n } = chain; n < until; n++, key = nextChainKey(key)) keys.push({ dh, n, key: nextMessageKey(key) })
  return keys
}

function openWith(key: Uint8Array, frame: SessionFrame): Uint8Array {
  if (!isSuite(frame.suite)) throw new MeshError('ERR_SEAL_SUITE', `suite ${frame.suite} is not offered`)
  return unpad(aeadOpen(frame.suite, importAeadKey(key), noNonce, associated(frame), frame.ciphertext))
}
