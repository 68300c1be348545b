import { type Did, didFromKey, hex, keyFromDid, minuteMs, utf8 } from '../../src/base/index.ts'
import { type RosterAction, type RosterDraft, type RosterEntry, signRosterEntry } from '../../src/agents/roster-entry.ts'
import { encodeSaid } from '../../src/agents/said.ts'
import { createGroupSender } from '../../src/envelope/group.ts'
import { topicIdOf, topicLifetimeMsMax } from '../../src/agents/topic-message.ts'
import { signStatement } from '../../src/identity/index.ts'
import { decode, encode, type Plain } from '../../src/wire/index.ts'
import { anna, ben, chance, cleo, flipped, keyringOf, now, type Vector, type Vectors } from './world.ts'

const said = (body: Uint8Array, agent = '', expectsReply = false): readonly Plain[] => [1, agent, expectsReply, 5, null, null, null, [], null, 'text', body]

export function topicVectors(): Vectors {
  const { bytes: id, audience, channel } = topicIdOf('news')
  const published = (fields: { readonly to?: typeof audience; readonly lifetimeMs?: number; readonly payload?: readonly Plain[] } = {}): Uint8Array => {
    const { to = audience, lifetimeMs = minuteMs, payload = said(utf8('hello')) } = fields
    const signing = { keyring: anna, random: chance(40) }
    return signStatement('message', { to, type: 'text', payload: encode(payload), issuedAt: now, expiresAt: now + lifetimeMs }, signing).bytes
  }
  const topic = (comment: string, spec: string, expect: string, signed: Uint8Array, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'topic',
    name: 'news',
    author: anna.publicKey,
    signed,
    now,
    ...more,
  })
  return {
    message: topic('anna publishes in news', '2', 'ok', published(), { id, channel, body: 'hello' }),
    'message-altered': topic('one bit of the body turned', '3.1', 'ERR_STATEMENT_SIGNATURE', flipped(published(), -1)),
    'message-other-topic': topic('said in another topic', '2.2', 'ERR_STATEMENT_AUDIENCE', published({ to: topicIdOf('News').audience })),
    'message-to-a-key': topic('said to ben alone', '2.2', 'ERR_STATEMENT_AUDIENCE', published({ to: ben.did })),
    'message-other-author': topic('published by ben, signed by anna', '2.2', 'ERR_STATEMENT_SENDER', published(), { author: ben.publicKey }),
    'message-long-lived': topic('lives longer than two minutes', '2.1', 'ERR_STATEMENT_LIFETIME', published({ lifetimeMs: topicLifetimeMsMax + 1 })),
    'message-for-an-agent': topic('for an agent', '2.3', 'ERR_WIRE_MALFORMED', published({ payload: said(utf8('x'), 'echo') })),
    'message-asking': topic('wants a reply', '2.3', 'ERR_WIRE_MALFORMED', published({ payload: said(utf8('x'), '', true) })),
    'message-large': topic('a body of 16,385 characters', '2.1', 'ERR_WIRE_TOO_LARGE', published({ payload: said(utf8('x'.repeat(16_385)), '', false) })),
  }
}

const group = new Uint8Array(32).fill(5)
const epoch = new Uint8Array(32).fill(6)

/** Frames under klp/v1 section 3.3, with all that a reader needs. */
export function groupSealVectors(): Vectors {
  const content = signStatement(
    'message',
    { to: didFromKey(group), type: 'text', payload: encodeSaid('text', { encoding: 'text', body: 'to all' }, 1_024), issuedAt: now, expiresAt: now + minuteMs },
    { keyring: anna, random: chance(50) },
  ).bytes
  const frame = (suite: 1 | 2, n: number) => {
    const sender = createGroupSender({ context: { group, epoch, sender: anna.did }, suite, random: chance(51) })
    const { tag, key } = sender.handover()
    for (let skip = 0; skip < n; skip++) sender.seal(content)
    return { tag, key, frame: sender.seal(content) }
  }
  const good = frame(1, 0)
  const vector = (comment: string, spec: string, expect: string, made: typeof good, more: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'group-frame',
    group,
    epoch,
    sender: anna.publicKey,
    suite: 1,
    ...made,
    n: 0,
    content,
    ...more,
  })
  const fields = decode(good.frame, good.frame.length) as readonly Plain[]
  const changed = (change: object): Uint8Array => encode(Object.assign([...fields], change))
  return {
    group: vector('the first message of a chain', '3.3', 'ok', good),
    'group-chacha': vector('the same under suite 2', '3.3', 'ok', frame(2, 0), { suite: 2 }),
    'group-third': vector('the third message, the two before it skipped', '3.3.1', 'ok', frame(1, 2)),
    'group-altered': vector('one bit of the ciphertext turned', '3.3.2', 'ERR_CRYPTO_OPEN', { ...good, frame: flipped(good.frame, -1) }),
    'group-other-commitment': vector('one bit of the commitment turned', '3.3.2', 'ERR_CRYPTO_OPEN', {
      ...good,
      frame: changed({ 6: flipped(fields[6] as Uint8Array, 0) }),
    }),
    'group-other-group': vector('in another group', '3.3.1', 'ERR_CRYPTO_OPEN', good, { group: new Uint8Array(32).fill(7) }),
    'group-other-sender': vector('from another sender', '3.3.1', 'ERR_CRYPTO_OPEN', good, { sender: ben.publicKey }),
    'group-far-ahead': vector('100,000 messages ahead', '3.3.3', 'ERR_GROUP_KEY', { ...good, frame: changed({ 5: 100_000 }) }),
    'group-used': vector('its key was used', '3.3.3', 'ERR_GROUP_KEY', good, { n: 1 }),
    'group-other-suite': vector('of another suite', '3.3', 'ERR_SEAL_SUITE', { ...good, frame: changed({ 1: 2 }) }),
    'group-suite-3': vector('of a suite nobody knows', '3.3', 'ERR_SEAL_SUITE', { ...good, frame: changed({ 1: 3 }) }),
    'group-no-tag': vector('without a tag', '3.3', 'ERR_WIRE_MALFORMED', { ...good, frame: changed({ 4: new Uint8Array() }) }),
  }
}

/** Logs, whole, and what a reader must say of them. */
export function groupVectors(): Vectors {
  const sign = (author: typeof anna, seed: number, id: Did | undefined, draft: RosterDraft): RosterEntry =>
    signRosterEntry(id, draft, { keyring: author, random: chance(seed), now })
  const start = sign(anna, 60, undefined, { action: 'create', name: 'team', who: [anna.did, ben.did], parents: [] })
  const id = start.signed.statement.to
  const after = (author: typeof anna, seed: number, action: RosterAction, who: readonly Did[], ...parents: readonly RosterEntry[]): RosterEntry =>
    sign(author, seed, id, { action, who, parents: parents.map(({ signed }) => signed.hash) })
  const withBen = after(anna, 61, 'admin', [ben.did], start)
  const withCleo = after(ben, 62, 'add', [cleo.did], withBen)
  const withoutBen = after(anna, 63, 'remove', [ben.did], withBen)
  const [one, other] = [after(anna, 64, 'add', [cleo.did], withBen), after(ben, 65, 'add', [keyringOf(4).did], withBen)]
  const [low, high] = one.ref < other.ref ? [one, other] : [other, one]
  const merged = after(anna, 66, 'merge', [], low, high)
  /** Ground until it is lower than the removal it wants to undo. */
  let seed = 70
  let undoing = after(ben, seed, 'add', [cleo.did], withBen)
  while (undoing.ref > withoutBen.ref) undoing = after(ben, ++seed, 'add', [cleo.did], withBen)
  const log = (
    comment: string,
    spec: string,
    entries: readonly RosterEntry[],
    head: RosterEntry,
    heads: number,
    members: readonly (typeof anna)[],
  ): Vector => ({
    comment,
    spec,
    expect: 'ok',
    kind: 'roster',
    group: keyFromDid(id),
    now,
    entries: entries.map(({ signed }) => signed.bytes),
    head: head.signed.hash,
    heads,
    members: members.map(({ publicKey }) => hex(publicKey)).toSorted(),
  })
  const refused = (comment: string, spec: string, expect: string, entries: readonly RosterEntry[], last: Uint8Array): Vector => ({
    comment,
    spec,
    expect,
    kind: 'roster',
    group: keyFromDid(id),
    now,
    entries: [...entries.map(({ signed }) => signed.bytes), last],
  })
  /** An entry of any words, well signed. */
  const raw = (author: typeof anna, payload: readonly Plain[], refs: readonly Uint8Array[], to = id, type = 'roster'): Uint8Array =>
    signStatement('group', { to, type, payload: encode(payload), refs, issuedAt: now, expiresAt: now + minuteMs }, { keyring: author, random: chance(69) })
      .bytes
  const dora = keyringOf(4)
  return {
    roster: log('anna makes a group, names ben an admin, who adds cleo', '2', [start, withBen, withCleo], withCleo, 1, [anna, ben, cleo]),
    'roster-any-order': log('the same backwards', '2.6', [withCleo, withBen, start], withCleo, 1, [anna, ben, cleo]),
    'roster-fork': log(
      'two entries after one: the lower hash counts',
      '2.4',
      [start, withBen, high, low],
      low,
      2,
      low === one ? [anna, ben, cleo] : [anna, ben, dora],
    ),
    'roster-merged': log('the fork merged', '2.3', [start, withBen, low, high, merged], merged, 1, low === one ? [anna, ben, cleo] : [anna, ben, dora]),
    'roster-undone-in-vain': log('ben forks from before his removal, with a lower hash', '2.4', [start, withBen, undoing, withoutBen], withoutBen, 2, [anna]),
    'roster-by-a-member': refused(
      'added by a member who is no admin',
      '2.1',
      'ERR_GROUP_DENIED',
      [start],
      raw(ben, [1, 'add', '', [cleo.publicKey]], [start.signed.hash]),
    ),
    'roster-by-a-removed-admin': refused(
      'by an admin after his removal',
      '2.1',
      'ERR_GROUP_DENIED',
      [start, withBen, withoutBen],
      raw(ben, [1, 'add', '', [cleo.publicKey]], [withoutBen.signed.hash]),
    ),
    'roster-removes-a-senior': refused(
      'ben removes anna',
      '2.2',
      'ERR_GROUP_DENIED',
      [start, withBen],
      raw(ben, [1, 'remove', '', [anna.publicKey]], [withBen.signed.hash]),
    ),
    'roster-adds-a-member': refused('adds who is in', '2.2', 'ERR_GROUP_INVALID', [start], raw(anna, [1, 'add', '', [ben.publicKey]], [start.signed.hash])),
    'roster-no-admin-left': refused(
      'removes the one admin',
      '2.2',
      'ERR_GROUP_INVALID',
      [start],
      raw(anna, [1, 'remove', '', [anna.publicKey]], [start.signed.hash]),
    ),
    'roster-other-group': refused(
      'of another group',
      '1',
      'ERR_GROUP_INVALID',
      [start],
      raw(anna, [1, 'add', '', [cleo.publicKey]], [start.signed.hash], cleo.did),
    ),
    'roster-false-id': refused(
      'a first entry that does not make its id',
      '1.1',
      'ERR_GROUP_INVALID',
      [],
      raw(anna, [1, 'create', 'team', [anna.publicKey]], []),
    ),
    'roster-twice': refused(
      'names one twice',
      '1.2',
      'ERR_GROUP_INVALID',
      [start],
      raw(anna, [1, 'add', '', [cleo.publicKey, cleo.publicKey]], [start.signed.hash]),
    ),
    'roster-other-type': refused(
      'of another type',
      '1',
      'ERR_GROUP_INVALID',
      [start],
      raw(anna, [1, 'add', '', [cleo.publicKey]], [start.signed.hash], id, 'text'),
    ),
    'roster-altered': refused('one bit turned', '1.3', 'ERR_STATEMENT_SIGNATURE', [start], flipped(withBen.signed.bytes, -1)),
    'roster-other-action': refused(
      'does what nobody knows',
      '1',
      'ERR_WIRE_MALFORMED',
      [start],
      raw(anna, [1, 'ban', '', [ben.publicKey]], [start.signed.hash]),
    ),
  }
}
