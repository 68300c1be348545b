import { expect } from 'vitest'
import type { Vector } from '../../scripts/vectors/world.ts'
import { type Did, didFromKey, equal, fromHex, hex, keyFromDid, MeshError } from '../../src/base/index.ts'
import { decodeTicket } from '../../src/node/ticket.ts'
import { askCodec, doneCodec, refusalCodec, returnCodec, welcomeCodec } from '../../src/protocols/join/codec.ts'
import { inviteKeys, type InviteTerms, joinProof } from '../../src/protocols/join/index.ts'
import { sasCommitment, sasOf } from '../../src/protocols/join/sas.ts'

const did = (text: unknown): Did => didFromKey(fromHex(String(text)))
interface RawParty {
  readonly identity: string
  readonly key: string
  readonly nonce?: string
}
const party = (value: unknown) => {
  const { identity, key, nonce = '' } = value as RawParty
  return { identity: did(identity), key: did(key), nonce: fromHex(nonce) }
}
const codecs = [refusalCodec, askCodec, welcomeCodec, returnCodec, doneCodec] as const
const again = (frame: Uint8Array): Uint8Array => {
  const made = codecs.flatMap((each) => {
    try {
      return [each.encode(each.decode(frame) as never)]
    } catch {
      return []
    }
  })
  expect(made).toHaveLength(1)
  return made[0] ?? new Uint8Array()
}

/** What our code says to the vectors of tickets, joins and comparisons. */
export const joinReaders: Readonly<Record<string, (vector: Vector) => void>> = {
  ticket({ ticket, did: owner, addresses, secret, terms }) {
    const read = decodeTicket(String(ticket))
    expect(hex(keyFromDid(read.did))).toBe(owner)
    expect(read.addresses.map((address) => address.replace(/\/p2p\/.+$/, ''))).toEqual(addresses)
    expect(read.invite === undefined ? undefined : hex(read.invite.secret)).toBe(secret)
    expect(read.invite === undefined ? undefined : Object.values(read.invite.terms)).toEqual(terms)
  },
  'join-proof'({ secret, id, inviter, joiner, terms, role, proof }) {
    const keys = inviteKeys(fromHex(String(secret)))
    expect(hex(keys.id)).toBe(id)
    const facts = { id: keys.id, inviter: party(inviter), joiner: party(joiner), terms: terms as InviteTerms }
    if (!equal(joinProof(keys, role as 'joiner', facts), fromHex(String(proof)))) throw new MeshError('ERR_INVITE_PROOF', 'another proof')
  },
  'join-frame'({ frame }) {
    expect(hex(again(fromHex(String(frame))))).toBe(frame)
  },
  sas({ initiator, responder, commitment, words, digits }) {
    const [first, second] = [party(initiator), party(responder)]
    if (hex(sasCommitment(first)) !== commitment) throw new MeshError('ERR_SAS_MISMATCH', 'another commitment')
    expect(sasOf(first, second)).toEqual({ words, digits })
  },
}
