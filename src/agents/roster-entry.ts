import { concat, dayMs, type Did, didFromKey, hex, keyFromDid, MeshError, type Random, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { type Keyring, openStatement, type Signed, signStatement, type Statement } from '../identity/index.ts'
import { codec, did, encode, listOf, literal, oneOf, row, textUpTo } from '../wire/index.ts'

/** Members of one group. Source: group/v1 section 1. */
export const groupMembersMax = 256
/** A group's name, UTF-16 units. Source: group/v1 section 1. */
export const groupNameCharsMax = 64
/** A signed roster entry. Source: group/v1 section 1. */
export const rosterEntryBytesMax = 10 * 1024
/** A roster entry, and with it a group, lives so long. Source: group/v1 section 1. */
export const rosterLifetimeMsMax = 3_650 * dayMs
/** Branches one entry may join. Source: group/v1 section 1. */
export const rosterParentsMax = 8

const actions = ['create', 'add', 'remove', 'admin', 'merge'] as const
export type RosterAction = (typeof actions)[number]

export const rosterPayload = codec(
  'roster entry',
  row({
    version: literal(1),
    action: oneOf(actions),
    /** Of the group, in its first entry; else empty. */
    name: textUpTo(groupNameCharsMax),
    who: listOf(did, groupMembersMax),
  }),
  rosterEntryBytesMax,
)

/** One signed change of who is in a group, verified as far as it can be by itself. */
export interface RosterEntry {
  readonly signed: Signed
  /** Hash of its statement: its name, and the name of the epoch it opens. */
  readonly ref: string
  /** The identity whose key signed it. */
  readonly author: Did
  readonly action: RosterAction
  readonly name: string
  readonly who: readonly Did[]
  /** Entries it follows; the first is the one whose roster it changes. */
  readonly parents: readonly string[]
}

/** Whose keys are whose: members are named by their first keys, whatever they sign with today. Source: identity/v1. */
export interface KeyOwners {
  subject(key: Did): Did
  /** @throws ERR_IDENTITY_* when what a key signed then does not count */
  check(key: Did, signedAt: number): void
}
const asTheyAre: KeyOwners = { subject: (key) => key, check: () => undefined }

interface OpenEntryOptions {
  readonly now: number
  readonly atAnyTime?: boolean
  readonly identities?: KeyOwners
}
interface SignEntryOptions {
  readonly keyring: Pick<Keyring, 'did' | 'sign'>
  readonly random: Random
  readonly now: number
  readonly identities?: KeyOwners
}

/** The id of a group: a hash of everything its first entry says but the id itself. Nobody holds a key to it. Source: group/v1 section 1. */
export function groupIdOf({ from, id, issuedAt, expiresAt, payload }: Pick<Statement, 'from' | 'id' | 'issuedAt' | 'expiresAt' | 'payload'>): Did {
  return didFromKey(sha256(concat(utf8('klp/1/group\0'), encode([keyFromDid(from), id, issuedAt, expiresAt, payload]))))
}

const invalid = (why: string): MeshError => new MeshError('ERR_GROUP_INVALID', why)

/**
 * Reads and verifies a roster entry: form, signature, time, and what it may say; whether its author had the right is for the roster to know.
 * @throws ERR_WIRE_*, ERR_STATEMENT_*, ERR_GROUP_INVALID. Source: group/v1 section 1.
 */
export function openRosterEntry(bytes: Uint8Array, { now, atAnyTime = false, identities = asTheyAre }: OpenEntryOptions): RosterEntry {
  if (bytes.length > rosterEntryBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a roster entry of ${bytes.length} bytes exceeds ${rosterEntryBytesMax}`)
  const signed = openStatement('group', bytes, { now, lifetimeMsMax: rosterLifetimeMsMax, atAnyTime })
  if (!atAnyTime) identities.check(signed.statement.from, signed.statement.issuedAt)
  return entryOf(signed, identities)
}

function entryOf(signed: Signed, { subject }: Pick<KeyOwners, 'subject'>): RosterEntry {
  const { statement, ref } = signed
  const { action, name, who } = rosterPayload.decode(statement.payload)
  const parents = statement.refs.map(hex)
  if (statement.type !== 'roster' || statement.caps.length > 0) throw invalid('a roster entry has the type roster and leans on nothing')
  if (new Set(who).size !== who.length || new Set(parents).size !== parents.length) throw invalid('a roster entry names nobody and nothing twice')
  const author = subject(statement.from)
  const isFirst = action === 'create'
  const parentsDue = isFirst ? parents.length === 0 : action === 'merge' ? parents.length > 1 : parents.length === 1
  if (!parentsDue) throw invalid(`a roster entry that does ${action} follows ${parents.length} others`)
  if (who.length === 0 && action !== 'merge') throw invalid(`a roster entry that does ${action} names somebody`)
  if (isFirst ? name === '' : name !== '') throw invalid('the first entry of a group names it, no other does')
  if (isFirst && (!who.includes(author) || statement.to !== groupIdOf(statement))) {
    throw invalid('the first entry of a group names its author and makes its id')
  }
  return { signed, ref, author, action, name, who, parents }
}

export interface RosterDraft {
  readonly action: RosterAction
  readonly name?: string
  readonly who: readonly Did[]
  readonly parents: readonly Uint8Array[]
}

/** Signs an entry; the first of a group makes the group's id. @throws ERR_GROUP_INVALID for one that says what it may not */
export function signRosterEntry(
  group: Did | undefined,
  { action, name = '', who, parents }: RosterDraft,
  { keyring, random, now, identities = asTheyAre }: SignEntryOptions,
): RosterEntry {
  const fields = {
    type: 'roster',
    id: random.bytes(16),
    payload: rosterPayload.encode({ version: 1, action, name, who }),
    refs: parents,
    issuedAt: now,
    expiresAt: now + rosterLifetimeMsMax,
  }
  const to = group ?? groupIdOf({ from: keyring.did, ...fields })
  return entryOf(signStatement('group', { to, ...fields }, { keyring, random }), identities)
}
