import type { Vector } from '../../scripts/vectors/world.ts'
import { openMailboxHolder } from '../../src/agents/index.ts'
import { createSeededRandom, createVirtualClock, didFromKey, fromHex, hex, MeshError, silentLogger, type Did } from '../../src/base/index.ts'
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../src/protocols/mailbox/codec.ts'
import { openAcceptance, openDepositGrant, openPage, openReceipt, openRegistration, type Parties, showsLoss } from '../../src/protocols/mailbox/statements.ts'
import { isWorkDone } from '../../src/protocols/mailbox/work.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { decode } from '../../src/wire/index.ts'

const bytes = (vector: Vector, field: string): Uint8Array => fromHex(String(vector[field]))
const did = (vector: Vector, field: string): Did => didFromKey(bytes(vector, field))
const now = (vector: Vector): number => Number(vector['now'])

const openers: Readonly<Record<string, (signed: Uint8Array, parties: Parties & { readonly registrationHash?: Uint8Array }) => { readonly signed: unknown }>> = {
  'mailbox-registration': openRegistration,
  'mailbox-acceptance': openAcceptance,
  delegation: openDepositGrant,
  'storage-receipt': openReceipt,
  'mailbox-page': openPage,
}

function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

/** What our code says to the vectors of mailbox/v1. */
export const mailboxReaders: Readonly<Record<string, (vector: Vector) => void | Promise<void>>> = {
  'mailbox-statement'(vector) {
    const registrationHash = vector['registrationHash'] === undefined ? {} : { registrationHash: bytes(vector, 'registrationHash') }
    openers[String(vector['of'])]?.(bytes(vector, 'signed'), { from: did(vector, 'from'), to: did(vector, 'to'), now: now(vector), ...registrationHash })
  },
  'mailbox-loss'(vector) {
    const parties = { from: did(vector, 'holder'), to: did(vector, 'owner'), now: now(vector) }
    if (showsLoss(openReceipt(bytes(vector, 'receipt'), parties), openPage(bytes(vector, 'page'), parties))) throw new MeshError('ERR_MAILBOX_LOST', 'lost')
  },
  'mailbox-work'(vector) {
    const subject = {
      holder: did(vector, 'holder'),
      recipient: did(vector, 'recipient'),
      itemHash: bytes(vector, 'itemHash'),
      expiresAt: Number(vector['expiresAt']),
    }
    if (!isWorkDone(subject, bytes(vector, 'nonce'), Number(vector['bits']))) throw new MeshError('ERR_MAILBOX_WORK', 'too little')
  },
  'mailbox-frame'(vector) {
    const frame = bytes(vector, 'frame')
    const again = vector['direction'] === 'request' ? encodeRequest(decodeRequest(frame)) : encodeAnswer(decodeAnswer(frame))
    check(hex(again) === hex(frame), 'it encodes to other bytes')
  },
  async 'mailbox-deposit'(vector) {
    const registration = bytes(vector, 'registration')
    // It was registered at the instant of all vectors.
    const clock = createVirtualClock()
    const random = createSeededRandom(1)
    const keyring = { did: did(vector, 'holder'), sign: () => new Uint8Array(64) }
    const limits = { workBits: Number(vector['bits']) }
    const holder = await openMailboxHolder({ store: createMemoryStore(), keyring, clock, random, logger: silentLogger, limits })
    await holder.register(did(vector, 'owner'), registration)
    clock.jump(now(vector) - clock.now())
    const request = decodeRequest(bytes(vector, 'request'))
    if (request.ask !== 'deposit') throw new Error('no deposit')
    const receipt = await holder.deposit(did(vector, 'peer'), request)
    check(decode(receipt, 8_192) !== undefined, 'no receipt')
  },
}
