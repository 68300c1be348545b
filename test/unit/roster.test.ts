import { describe, expect, test } from 'vitest'
import { createSeededRandom, type Did, MeshError, randomInt } from '../../src/base/index.ts'
import type { Keyring } from '../../src/identity/index.ts'
import { createRoster, type Roster, rosterLateMax, rosterWaitingMax } from '../../src/agents/roster.ts'
import { openRosterEntry, type RosterAction, type RosterEntry, signRosterEntry } from '../../src/agents/roster-entry.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const now = Date.UTC(2026, 0, 1)
const people = Array.from({ length: 8 }, (_, index) => keyringOf(200 + index))
const [anna, ben, cleo, dora, emil] = people as [Keyring, Keyring, Keyring, Keyring, Keyring]
const random = createSeededRandom(5)
const code = (expected: string): unknown => expect.objectContaining({ code: expected })

const first = (creator: Keyring, ...others: readonly Keyring[]): RosterEntry =>
  signRosterEntry(
    undefined,
    { action: 'create', name: 'team', who: [creator.did, ...others.map(({ did }) => did)], parents: [] },
    { keyring: creator, random, now },
  )
const after = (author: Keyring, action: RosterAction, who: readonly Keyring[], ...parents: readonly RosterEntry[]): RosterEntry =>
  signRosterEntry(
    parents[0]?.signed.statement.to,
    { action, who: who.map(({ did }) => did), parents: parents.map(({ signed }) => signed.hash) },
    { keyring: author, random, now },
  )
function rosterOf(entries: readonly RosterEntry[]): Roster {
  const group = entries.find(({ action }) => action === 'create')?.signed.statement.to ?? people[0]?.did
  const roster = createRoster(group as Did)
  for (const entry of entries) {
    try {
      roster.add(entry)
    } catch (error) {
      if (!(error instanceof MeshError)) throw error
    }
  }
  return roster
}
const summary = (roster: Roster) => ({
  heads: roster.heads().map(({ entry, members, admins }) => [entry.ref, [...members].toSorted(), admins]),
  entries: roster
    .entries()
    .map(({ ref }) => ref)
    .toSorted(),
})
/** An entry whose hash is lower than that of another: what somebody gets who tries often enough. */
function ground(make: () => RosterEntry, below: RosterEntry): RosterEntry {
  for (;;) {
    const entry = make()
    if (entry.ref < below.ref) return entry
  }
}

test('entries in any order, some twice, some by people without a right, give the same roster', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const chance = createSeededRandom(seed)
    const pick = <T>(list: readonly T[]): T => list[randomInt(chance, list.length)] as T
    const entries = [first(anna, ben, cleo)]
    const grown = rosterOf(entries)
    for (let step = 0; step < 40; step++) {
      // Half the time after the newest, else after anything there ever was.
      const base = chance.fraction() < 0.5 ? grown.head() : grown.at(pick(grown.entries()).ref)
      if (base === undefined) throw new Error('unreachable')
      const author = chance.fraction() < 0.8 ? (people.find(({ did }) => did === pick(base.admins)) ?? anna) : pick(people)
      const action = pick(['add', 'remove', 'admin', 'merge'] as const)
      const ends = grown.heads().map(({ entry }) => entry)
      const entry =
        action === 'merge' && ends.length > 1
          ? after(author, 'merge', [], ...ends.slice(0, 8))
          : after(author, action === 'merge' ? 'add' : action, [pick(people)], base.entry)
      entries.push(entry)
      try {
        grown.add(entry)
      } catch (error) {
        expect(error).toBeInstanceOf(MeshError)
      }
    }
    const expected = summary(grown)
    for (let round = 0; round < 5; round++) {
      const shuffled = [...entries, ...entries.slice(0, 10)].map((entry) => [chance.fraction(), entry] as const).toSorted(([a], [b]) => a - b)
      expect(summary(rosterOf(shuffled.map(([, entry]) => entry)))).toEqual(expected)
    }
  }
})

describe('rights', () => {
  const start = first(anna, ben, cleo)
  const withBen = after(anna, 'admin', [ben], start)
  const refusal =
    (entry: RosterEntry, ...before: readonly RosterEntry[]) =>
    () =>
      rosterOf(before).add(entry)

  test('only admins change a roster, and only in what can be', () => {
    expect(refusal(after(ben, 'add', [dora], start), start)).toThrow(code('ERR_GROUP_DENIED'))
    expect(refusal(after(dora, 'add', [dora], start), start)).toThrow(code('ERR_GROUP_DENIED'))
    expect(refusal(after(cleo, 'remove', [cleo], start), start)).toThrow(code('ERR_GROUP_DENIED'))
    expect(refusal(after(anna, 'add', [ben], start), start)).toThrow(code('ERR_GROUP_INVALID'))
    expect(refusal(after(anna, 'remove', [dora], start), start)).toThrow(code('ERR_GROUP_INVALID'))
    expect(refusal(after(anna, 'admin', [dora], start), start)).toThrow(code('ERR_GROUP_INVALID'))
    expect(refusal(after(anna, 'remove', [anna], start), start)).toThrow(code('ERR_GROUP_INVALID'))
    expect(rosterOf([start, withBen, after(ben, 'add', [dora], withBen)]).head()?.members.size).toBe(4)
  })

  test('an admin removes those named after him and not those before', () => {
    expect(refusal(after(ben, 'remove', [anna], withBen), start, withBen)).toThrow(code('ERR_GROUP_DENIED'))
    const withCleo = after(anna, 'admin', [cleo], withBen)
    expect(refusal(after(cleo, 'remove', [ben], withCleo), start, withBen, withCleo)).toThrow(code('ERR_GROUP_DENIED'))
    const without = after(ben, 'remove', [cleo], withCleo)
    expect(rosterOf([start, withBen, withCleo, without]).head()?.admins).toEqual([anna.did, ben.did])
    // He was removed: what he said before counts no more, what he says after never does.
    expect(refusal(after(cleo, 'add', [dora], without), start, withBen, withCleo, without)).toThrow(code('ERR_GROUP_DENIED'))
  })

  test('a removed admin cannot undo it by a fork from before, however low he makes its hash', () => {
    const removal = after(anna, 'remove', [ben], withBen)
    const fork = ground(() => after(ben, 'add', [dora, emil], withBen), removal)
    const roster = rosterOf([start, withBen, removal, fork])
    expect(roster.head()?.entry.ref).toBe(removal.ref)
    expect(roster.heads()).toHaveLength(2)
    // Nor from earlier still, nor by removing the one whose entry stands first.
    const withCleo = after(anna, 'admin', [cleo], withBen)
    const cleos = after(cleo, 'add', [emil], withCleo)
    const later = after(anna, 'remove', [ben], cleos)
    const counter = ground(() => after(ben, 'remove', [cleo], withCleo), cleos)
    expect(rosterOf([start, withBen, withCleo, cleos, later, counter]).head()?.entry.ref).toBe(later.ref)
    // Nor by merging his own branch over the true one.
    expect(refusal(after(ben, 'merge', [], fork, removal), start, withBen, removal, fork)).toThrow(code('ERR_GROUP_DENIED'))
  })
})

describe('a fork', () => {
  const start = first(anna, ben)
  const withBen = after(anna, 'admin', [ben], start)
  const one = after(anna, 'add', [cleo], withBen)
  const other = after(ben, 'add', [dora], withBen)

  test('is shown with both ends, the lower hash counts until an admin merges, and the merge is one end', () => {
    const forked = rosterOf([start, withBen, one, other])
    const [low, high] = one.ref < other.ref ? [one, other] : [other, one]
    expect(forked.heads().map(({ entry }) => entry.ref)).toEqual([low.ref, high.ref])
    const merged = rosterOf([start, withBen, one, other, after(anna, 'merge', [], low, high)])
    expect(merged.heads()).toHaveLength(1)
    expect(merged.head()?.members).toEqual(forked.at(low.ref)?.members)
    expect(() => merged.add(after(dora, 'merge', [], low, high))).toThrow(code('ERR_GROUP_DENIED'))
  })

  test('many ends of a former admin are bounded, and take nobody else the room', () => {
    const removal = after(anna, 'remove', [ben], withBen)
    const roster = rosterOf([start, withBen, removal])
    for (let n = 0; n < rosterLateMax; n++) roster.add(after(ben, 'add', [cleo], withBen))
    expect(() => roster.add(after(ben, 'add', [cleo], withBen))).toThrow(code('ERR_OVERLOADED'))
    expect(roster.head()?.entry.ref).toBe(removal.ref)
    roster.add(after(anna, 'add', [cleo], removal))
    expect(roster.head()?.members).toEqual(new Set([anna.did, cleo.did]))
  })

  test('entries that wait for others are bounded', () => {
    const roster = rosterOf([start])
    for (let n = 0; n < rosterWaitingMax; n++) roster.add(after(anna, 'add', [cleo], after(anna, 'add', [dora], start)))
    expect(() => roster.add(after(anna, 'add', [cleo], after(anna, 'add', [dora], start)))).toThrow(code('ERR_OVERLOADED'))
  })
})

test('an entry of another group, altered, expired or malformed is refused', () => {
  const start = first(anna, ben)
  const opened = (bytes: Uint8Array, at = now) => openRosterEntry(bytes, { now: at })
  expect(opened(start.signed.bytes).ref).toBe(start.ref)
  expect(() => rosterOf([start]).add(after(anna, 'add', [cleo], first(anna, ben)))).toThrow(code('ERR_GROUP_INVALID'))
  const altered = start.signed.bytes.slice()
  altered[altered.length - 1] = (altered.at(-1) ?? 0) ^ 1
  expect(() => opened(altered)).toThrow()
  expect(() => opened(start.signed.bytes, now - 300_000)).toThrow(code('ERR_STATEMENT_FUTURE'))
  expect(() => opened(new Uint8Array(10_241))).toThrow(code('ERR_WIRE_TOO_LARGE'))
  const sign = (draft: Parameters<typeof signRosterEntry>[1]) => () => signRosterEntry(start.signed.statement.to, draft, { keyring: anna, random, now })
  expect(sign({ action: 'add', who: [], parents: [start.signed.hash] })).toThrow(code('ERR_GROUP_INVALID'))
  expect(sign({ action: 'add', who: [cleo.did, cleo.did], parents: [start.signed.hash] })).toThrow(code('ERR_GROUP_INVALID'))
  expect(sign({ action: 'add', who: [cleo.did], parents: [] })).toThrow(code('ERR_GROUP_INVALID'))
  expect(sign({ action: 'merge', who: [], parents: [start.signed.hash] })).toThrow(code('ERR_GROUP_INVALID'))
  expect(sign({ action: 'add', name: 'renamed', who: [cleo.did], parents: [start.signed.hash] })).toThrow(code('ERR_GROUP_INVALID'))
  // Not of the group its own words make.
  expect(sign({ action: 'create', name: 'team', who: [anna.did], parents: [] })).toThrow(code('ERR_GROUP_INVALID'))
})
