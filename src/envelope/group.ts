import { concat, type Did, equal, keyFromDid, MeshError, type Random, utf8 } from '../base/index.ts'
import { aeadOpen, aeadSeal, equalSecret, hkdfExpand, hmacSha256, importAeadKey, isSuite, type Suite } from '../crypto/index.ts'
import { bytesOf, bytesUpTo, codec, encode, literal, row, uintUpTo } from '../wire/index.ts'
import { sealModes } from './modes.ts'
import { pad, unpad } from './padding.ts'

/** A group frame, all in. Source: klp/v1 section 3.3. */
export const groupFrameBytesMax = 61_000
/** Message keys one frame may skip, and keys of a chain kept for frames that are still to come. Source: klp/v1 section 3.3. */
export const groupSkippedMax = 1_000
const counterMax = 0xffff_ffff
const commitmentBytes = 32

const frameCodec = codec(
  'group frame',
  row({
    version: literal(1),
    suite: uintUpTo(255),
    mode: literal(sealModes.group),
    /** The first bytes of the hash of the roster entry that opened the epoch. */
    epoch: bytesOf(8),
    /** Which chain of the sender, by a name without meaning. */
    tag: bytesOf(4),
    n: uintUpTo(counterMax),
    /** Key commitment, then the AEAD's output. */
    sealed: bytesUpTo(groupFrameBytesMax),
  }),
  groupFrameBytesMax,
)
export type GroupFrame = ReturnType<typeof frameCodec.decode>

/** @throws ERR_WIRE_* */
export const decodeGroupFrame = (bytes: Uint8Array): GroupFrame => frameCodec.decode(bytes)

/** Where a chain belongs: bound into every frame. */
export interface ChainContext {
  readonly group: Uint8Array
  /** Hash of the roster entry, whole. */
  readonly epoch: Uint8Array
  readonly sender: Did
}

/** A chain from message `n` on: what members hand to each other, and nothing that opens what came before. */
export interface SenderKey {
  readonly suite: Suite
  readonly tag: Uint8Array
  readonly n: number
  readonly key: Uint8Array
}

const messageKeyOf = (chain: Uint8Array): Uint8Array => hmacSha256(chain, Uint8Array.of(1))
const nextChainKey = (chain: Uint8Array): Uint8Array => hmacSha256(chain, Uint8Array.of(2))
// The key seals once.
const noNonce = new Uint8Array(12)
const sealInfo = utf8('klp/1/group seal')
const commitInfo = utf8('klp/1/group commitment')

const associated = ({ group, epoch, sender }: ChainContext, { suite, tag, n }: Omit<SenderKey, 'key'>): Uint8Array =>
  encode([1, suite, sealModes.group, group, epoch, keyFromDid(sender), tag, n])

/** AES-GCM and ChaCha20-Poly1305 open one ciphertext under several keys of an attacker's choice; this ties it to one. Source: Albertini et al. 2022, section 5. */
const commitmentOf = (messageKey: Uint8Array, aad: Uint8Array): Uint8Array => hmacSha256(messageKey, commitInfo, aad)

/** The sending half of a chain. Lives in memory only: one read from a disk, or from an old copy of one, would use its keys again. Source: klp/v1 section 3.3. */
export interface GroupSender {
  /** What a member needs from here on. */
  handover(): SenderKey
  /** Seals with a key that is used once and gone. */
  seal(content: Uint8Array): Uint8Array
}

export function createGroupSender({
  context,
  suite = 1,
  random,
}: {
  readonly context: ChainContext
  readonly suite?: Suite
  readonly random: Random
}): GroupSender {
  const tag = random.bytes(4)
  let key = random.bytes(32)
  let n = 0
  return {
    handover: () => ({ suite, tag, n, key }),
    seal(content) {
      if (n >= counterMax) throw new MeshError('ERR_INTERNAL', 'the chain is at its end')
      const at = { suite, tag, n }
      const messageKey = messageKeyOf(key)
      key = nextChainKey(key)
      n++
      const aad = associated(context, at)
      const ciphertext = aeadSeal(suite, importAeadKey(hkdfExpand(messageKey, sealInfo, 32)), noNonce, aad, pad(content))
      const sealed = concat(commitmentOf(messageKey, aad), ciphertext)
      return frameCodec.encode({ version: 1, mode: sealModes.group, ...at, epoch: context.epoch.subarray(0, 8), sealed })
    },
  }
}

/** The receiving half. A value: opening gives the next one, to be kept once everything about the message is right. */
export interface ReceivingChain extends SenderKey {
  /** The earliest message this node was given the key of. */
  readonly first: number
  /** Message keys of frames that are still to come, by their number, oldest first. */
  readonly skipped: ReadonlyMap<number, Uint8Array>
}

/**
 * The chain a key begins, or goes on with: one handed over again gives nothing new, one from an earlier place the keys before ours.
 * One from so far ahead that what is in between is given up begins anew.
 */
export function receivingChain(handed: SenderKey, held?: ReceivingChain): ReceivingChain {
  if (held === undefined || handed.n - held.n > groupSkippedMax) return { ...handed, first: handed.n, skipped: new Map() }
  if (handed.n >= held.first || held.first - handed.n > groupSkippedMax - held.skipped.size) return held
  const { skipped } = walk(handed, held.first)
  return { ...held, first: handed.n, skipped: new Map([...skipped, ...held.skipped]) }
}

/** The keys of the messages from a place in a chain up to another. */
function walk(
  { n: from, key: start }: Pick<SenderKey, 'n' | 'key'>,
  until: number,
): { readonly key: Uint8Array; readonly skipped: ReadonlyMap<number, Uint8Array> } {
  const skipped = new Map<number, Uint8Array>()
  let key = start
  for (let n = from; n < until; n++) {
    skipped.set(n, messageKeyOf(key))
    key = nextChainKey(key)
  }
  return { key, skipped }
}

/** Whether a frame says that it is of this chain. */
export const isOfChain = (frame: GroupFrame, chain: Pick<SenderKey, 'tag'>, { epoch }: Pick<ChainContext, 'epoch'>): boolean =>
  equal(frame.tag, chain.tag) && equal(frame.epoch, epoch.subarray(0, 8))

/**
 * Opens a frame without changing the chain.
 * @throws ERR_SEAL_SUITE, ERR_GROUP_KEY when the key was used or is not held, or more than `groupSkippedMax` would be skipped, ERR_CRYPTO_OPEN
 */
export function openGroupFrame(
  chain: ReceivingChain,
  frame: GroupFrame,
  context: ChainContext,
): { readonly content: Uint8Array; readonly chain: ReceivingChain } {
  if (!isSuite(frame.suite) || frame.suite !== chain.suite) throw new MeshError('ERR_SEAL_SUITE', `this chain does not speak suite ${frame.suite}`)
  if (!isOfChain(frame, chain, context)) throw new MeshError('ERR_GROUP_KEY', 'the frame is of another chain')
  const kept = chain.skipped.get(frame.n)
  if (kept !== undefined) {
    const content = openWith(kept, frame, context)
    const skipped = new Map(chain.skipped)
    skipped.delete(frame.n)
    return { content, chain: { ...chain, skipped } }
  }
  const missing = frame.n - chain.n
  if (missing < 0) throw new MeshError('ERR_GROUP_KEY', 'the key of this frame was used before, or given up')
  if (missing > groupSkippedMax) throw new MeshError('ERR_GROUP_KEY', `${missing} messages are missing in between; at most ${groupSkippedMax} may be`)
  const { key, skipped: passed } = walk(chain, frame.n)
  const skipped = new Map([...chain.skipped, ...passed].slice(-groupSkippedMax))
  const content = openWith(messageKeyOf(key), frame, context)
  return { content, chain: { ...chain, key: nextChainKey(key), n: frame.n + 1, skipped } }
}

function openWith(messageKey: Uint8Array, { suite, tag, n, sealed }: GroupFrame, context: ChainContext): Uint8Array {
  if (!isSuite(suite)) throw new MeshError('ERR_SEAL_SUITE', `suite ${suite} is not offered`)
  const aad = associated(context, { suite, tag, n })
  if (!equalSecret(sealed.subarray(0, commitmentBytes), commitmentOf(messageKey, aad))) {
    throw new MeshError('ERR_CRYPTO_OPEN', 'the frame was not sealed with this key')
  }
  const key = importAeadKey(hkdfExpand(messageKey, sealInfo, 32))
  return unpad(aeadOpen(suite, key, noNonce, aad, sealed.subarray(commitmentBytes)))
}

const keyShape = { suite: uintUpTo(255), tag: bytesOf(4), n: uintUpTo(counterMax), key: bytesOf(32) } as const

/** A sender key as it is handed over. @throws ERR_SEAL_SUITE for a suite that is not spoken here */
export function checkedSenderKey(key: { readonly suite: number; readonly tag: Uint8Array; readonly n: number; readonly key: Uint8Array }): SenderKey {
  const { suite } = key
  if (!isSuite(suite)) throw new MeshError('ERR_SEAL_SUITE', `suite ${suite} is not offered`)
  return { ...key, suite }
}
export const senderKeyShape = row(keyShape)
