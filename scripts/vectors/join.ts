import { dayMs, type Did, keyFromDid } from '../../src/base/index.ts'
import { encodeTicket } from '../../src/node/ticket.ts'
import { askCodec, doneCodec, refusalCodec, returnCodec, welcomeCodec } from '../../src/protocols/join/codec.ts'
import { inviteKeys, type InviteTerms, joinProof, type Party } from '../../src/protocols/join/index.ts'
import { sasCommitment, sasOf, type SasSide } from '../../src/protocols/join/sas.ts'
import { anna, ben, chance, cleo, now, type Vector, type Vectors } from './world.ts'

const party = (identity: Did, key = identity): Party => ({ identity, key })
const raw = ({ identity, key }: Party) => ({ identity: keyFromDid(identity), key: keyFromDid(key) })
const rawSide = (side: SasSide) => ({ ...raw(side), nonce: side.nonce })

export function joinVectors(): Vectors {
  const secret = chance(61).bytes(16)
  const keys = inviteKeys(secret)
  const terms: InviteTerms = { level: 2, scopes: ['/task/run', '/message/send'], expiresAt: now + dayMs, lifetimeMs: 90 * dayMs }
  const facts = { id: keys.id, inviter: party(anna.did), joiner: party(ben.did, cleo.did), terms }
  const addresses = ['/ip4/192.0.2.1/tcp/4160']
  const proof = (comment: string, expect: string, spec: string, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'join-proof',
    ...{ secret, id: keys.id, inviter: raw(facts.inviter), joiner: raw(facts.joiner), terms, role: 'joiner', proof: joinProof(keys, 'joiner', facts) },
    ...more,
  })
  const ticket = (comment: string, expect: string, text: string, more: object = {}): Vector => ({
    comment,
    spec: '1',
    expect,
    kind: 'ticket',
    ticket: text,
    ...more,
  })
  const frame = (comment: string, bytes: Uint8Array, list: readonly unknown[]): Vector => ({
    comment,
    spec: '4',
    expect: 'ok',
    kind: 'join-frame',
    frame: bytes,
    list,
  })
  const plainTicket = encodeTicket({ did: anna.did, addresses })
  const inviteTicket = encodeTicket({ did: anna.did, addresses, invite: { secret, terms } })
  const [mine, theirs] = [joinProof(keys, 'joiner', facts), joinProof(keys, 'inviter', facts)]
  const statement = chance(62).bytes(40)
  const initiator = { ...party(anna.did), nonce: chance(63).bytes(32) }
  const responder = { ...party(ben.did, cleo.did), nonce: chance(64).bytes(32) }
  const sas = (comment: string, expect: string, more: object = {}): Vector => ({
    comment,
    spec: '7',
    expect,
    kind: 'sas',
    ...{ initiator: rawSide(initiator), responder: rawSide(responder), commitment: sasCommitment(initiator), ...sasOf(initiator, responder) },
    ...more,
  })
  return {
    ticket: ticket('who and where', 'ok', plainTicket, { did: anna.publicKey, addresses }),
    'ticket-invite': ticket('who, where, the secret and the terms', 'ok', inviteTicket, {
      did: anna.publicKey,
      addresses,
      secret,
      terms: [terms.level, terms.scopes, terms.expiresAt, terms.lifetimeMs],
    }),
    'ticket-cut': ticket('an invite ticket whose end was not copied', 'ERR_USAGE', inviteTicket.slice(0, -6)),
    'ticket-level': ticket('an invite to level 5', 'ERR_USAGE', inviteTicket.replace(/^kindmesh:/, 'kindmesh:AA')),
    'proof-joiner': proof('the proof of a joiner whose key is not its first', 'ok', '2'),
    'proof-inviter': proof('the proof of the inviter', 'ok', '2', { role: 'inviter', proof: theirs }),
    'proof-reflected': proof('the proof of the joiner sent back', 'ERR_INVITE_PROOF', '2.3', { role: 'inviter', proof: mine }),
    'proof-other-key': proof('passed on by a peer with another key', 'ERR_INVITE_PROOF', '2.1', { joiner: raw(party(ben.did)) }),
    'proof-other-identity': proof('in the name of another identity', 'ERR_INVITE_PROOF', '2.1', { joiner: raw(party(anna.did, cleo.did)) }),
    'proof-other-inviter': proof('made for another inviter', 'ERR_INVITE_PROOF', '2.1', { inviter: raw(party(cleo.did)) }),
    'proof-other-level': proof('of another level', 'ERR_INVITE_PROOF', '2.3', { terms: { ...terms, level: 3 } }),
    'proof-other-scope': proof('of fewer scopes', 'ERR_INVITE_PROOF', '2.3', { terms: { ...terms, scopes: terms.scopes.slice(1) } }),
    'proof-other-expiry': proof('of a later end', 'ERR_INVITE_PROOF', '2.3', { terms: { ...terms, expiresAt: terms.expiresAt + 1 } }),
    'proof-other-secret': proof('by another secret', 'ERR_INVITE_PROOF', '2', { proof: joinProof(inviteKeys(chance(65).bytes(16)), 'joiner', facts) }),
    request: frame('the joiner names the invite', askCodec.encode({ frame: 1, id: keys.id, joiner: ben.did, proof: mine }), [1, keys.id, ben.publicKey, mine]),
    welcome: frame('the inviter answers', welcomeCodec.encode({ frame: 2, proof: theirs, attestation: statement, head: statement }), [
      2,
      theirs,
      statement,
      statement,
    ]),
    return: frame('the joiner signs in return', returnCodec.encode({ frame: 3, attestation: statement, head: undefined }), [3, statement, null]),
    done: frame('the end', doneCodec.encode({ frame: 4 }), [4]),
    refusal: frame('a refusal', refusalCodec.encode({ frame: 0, code: 'ERR_INVITE_USED', message: 'the invite was used' }), [
      0,
      'ERR_INVITE_USED',
      'the invite was used',
    ]),
    sas: sas('what both sides read', 'ok'),
    'sas-changed-nonce': sas('an initiator that reveals another nonce than it committed to', 'ERR_SAS_MISMATCH', {
      initiator: rawSide({ ...initiator, nonce: responder.nonce }),
    }),
    'sas-other-key': sas('a commitment passed on from another key', 'ERR_SAS_MISMATCH', { initiator: rawSide({ ...initiator, key: cleo.did }) }),
  }
}
