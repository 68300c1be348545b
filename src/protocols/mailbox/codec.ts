import { MeshError } from '../../base/index.ts'
import { bundleBytesMax } from '../../envelope/index.ts'
import {
  bytesOf,
  bytesUpTo,
  decode,
  type Decoded,
  did,
  encode,
  instant,
  listOf,
  nullable,
  type Plain,
  row,
  type Shape,
  textUpTo,
  uintUpTo,
} from '../../wire/index.ts'
import { mailboxItemBytesMax, mailboxStatementBytesMax } from './statements.ts'
import { workNonceBytes } from './work.ts'

export const mailboxProtocol = '/kindmesh/mailbox/1.0.0'
/** Largest frame either way: an item with what goes round it. Source: mailbox/v1 section 1. */
export const mailboxFrameBytesMax = mailboxItemBytesMax + 2 * mailboxStatementBytesMax
/** Numbers one acknowledgement may name. */
export const acknowledgedMax = 256
/** Holders one introduction may name, and addresses of each. */
export const introducedMax = 4
export const introducedAddressesMax = 4
const addressCharsMax = 256
/** Longest pause a refusal may ask for. */
export const retryAfterMsMax = 86_400_000

const seq = uintUpTo(Number.MAX_SAFE_INTEGER)
const statement = bytesUpTo(mailboxStatementBytesMax)

/** The first item of a frame: a number on the wire, a name inside. */
const tag = <const N extends string>(number: number, name: N): Shape<N> => ({
  encode: () => number,
  decode(plain, path) {
    if (plain !== number) throw new MeshError('ERR_WIRE_MALFORMED', `${path} is not ${number}`)
    return name
  },
})

const requestShapes = {
  terms: row({ ask: tag(0, 'terms'), recipient: did }),
  register: row({ ask: tag(1, 'register'), registration: statement }),
  deposit: row({
    ask: tag(2, 'deposit'),
    recipient: did,
    item: bytesUpTo(mailboxItemBytesMax),
    expiresAt: instant,
    delegation: nullable(statement),
    nonce: nullable(bytesOf(workNonceBytes)),
  }),
  collect: row({ ask: tag(3, 'collect'), after: seq }),
  acknowledge: row({ ask: tag(4, 'acknowledge'), seqs: listOf(seq, acknowledgedMax) }),
  leave: row({ ask: tag(5, 'leave') }),
  usage: row({ ask: tag(6, 'usage') }),
  introduce: row({
    ask: tag(7, 'introduce'),
    delegation: nullable(statement),
    holders: listOf(row({ holder: did, addresses: listOf(textUpTo(addressCharsMax), introducedAddressesMax) }), introducedMax),
    bundle: bytesUpTo(bundleBytesMax),
  }),
} as const

const answerShapes = {
  refusal: row({ answer: tag(0, 'refusal'), code: textUpTo(64), message: textUpTo(256), retryAfterMs: uintUpTo(retryAfterMsMax) }),
  terms: row({ answer: tag(1, 'terms'), bits: uintUpTo(255) }),
  acceptance: row({ answer: tag(2, 'acceptance'), acceptance: statement }),
  receipt: row({ answer: tag(3, 'receipt'), receipt: statement }),
  item: row({ answer: tag(4, 'item'), seq, item: bytesUpTo(mailboxItemBytesMax) }),
  page: row({ answer: tag(5, 'page'), page: statement }),
  done: row({ answer: tag(6, 'done') }),
  usage: row({ answer: tag(7, 'usage'), items: seq, bytes: seq, itemsMax: seq, bytesMax: seq, until: instant }),
} as const

export type MailboxRequest = { [K in keyof typeof requestShapes]: Decoded<(typeof requestShapes)[K]> }[keyof typeof requestShapes]
export type MailboxAnswer = { [K in keyof typeof answerShapes]: Decoded<(typeof answerShapes)[K]> }[keyof typeof answerShapes]
export type RequestOf<A extends MailboxRequest['ask']> = Extract<MailboxRequest, { readonly ask: A }>
export type AnswerOf<A extends MailboxAnswer['answer']> = Extract<MailboxAnswer, { readonly answer: A }>

// In order of their numbers.
const requestList = Object.values(requestShapes) as readonly Shape<unknown>[] as readonly Shape<MailboxRequest>[]
const answerList = Object.values(answerShapes) as readonly Shape<unknown>[] as readonly Shape<MailboxAnswer>[]

function decodeFrame<T>(shapes: readonly Shape<T>[], bytes: Uint8Array): T {
  const plain = decode(bytes, mailboxFrameBytesMax)
  const kind: unknown = Array.isArray(plain) ? (plain as readonly Plain[])[0] : undefined
  const shape = typeof kind === 'number' ? shapes[kind] : undefined
  if (shape === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'no mailbox frame')
  return shape.decode(plain, 'frame')
}

export const encodeRequest = (request: MailboxRequest): Uint8Array => encode((requestShapes[request.ask] as Shape<MailboxRequest>).encode(request))
export const encodeAnswer = (answer: MailboxAnswer): Uint8Array => encode((answerShapes[answer.answer] as Shape<MailboxAnswer>).encode(answer))

/** @throws ERR_WIRE_TOO_LARGE, ERR_WIRE_MALFORMED */
export const decodeRequest = (bytes: Uint8Array): MailboxRequest => decodeFrame(requestList, bytes)
/** @throws ERR_WIRE_TOO_LARGE, ERR_WIRE_MALFORMED */
export const decodeAnswer = (bytes: Uint8Array): MailboxAnswer => decodeFrame(answerList, bytes)
