import { type Did, MeshError } from '../base/index.ts'
import { groupMembersMax, type RosterEntry, rosterParentsMax } from './roster-entry.ts'

/** Entries of one group's log. Source: group/v1 section 2. */
export const rosterEntriesMax = 1_024
/** Bytes of one group's log. Source: group/v1 section 2. */
export const rosterBytesMax = 1 << 20
/** Entries that wait for the one they follow. Source: group/v1 section 2. */
export const rosterWaitingMax = 64
/** Entries taken of one author who is no member any more: what he said before can come late, and be no flood. Source: group/v1 section 2. */
export const rosterLateMax = 32

/** Who is in a group after some entry. */
export interface RosterState {
  readonly members: ReadonlySet<Did>
  /** In the order they were named: an admin removes only those named after him. */
  readonly admins: readonly Did[]
}

export interface RosterHead extends RosterState {
  readonly entry: RosterEntry
}

/** The log of a group: signed entries, each following others, and the one that counts. The same entries give the same roster in whatever order they come. Source: group/v1 section 2. */
export interface Roster {
  /** True when the entry is new: taken, or waiting for one it follows. @throws ERR_GROUP_DENIED, ERR_GROUP_INVALID, ERR_OVERLOADED */
  add(entry: RosterEntry): boolean
  /** The entry that counts, and who is in; undefined before the first entry is here. */
  head(): RosterHead | undefined
  /** Entries nothing follows, the one that counts first. More than one is a fork. */
  heads(): readonly RosterHead[]
  at(ref: string): RosterHead | undefined
  /** Each after those it follows. */
  entries(): readonly RosterEntry[]
  /** Entries that wait for others. */
  waiting(): readonly RosterEntry[]
  /** `ref` and all it follows. */
  past(ref: string): ReadonlySet<string>
}

const denied = (why: string): MeshError => new MeshError('ERR_GROUP_DENIED', why)
const invalid = (why: string): MeshError => new MeshError('ERR_GROUP_INVALID', why)
const full = (why: string): MeshError => new MeshError('ERR_OVERLOADED', why)

export function createRoster(group: Did): Roster {
  /** In order of taking: each after those it follows. */
  const taken = new Map<string, RosterHead>()
  const children = new Map<string, RosterHead[]>()
  const waiting = new Map<string, RosterEntry>()
  const late = new Map<Did, number>()
  let bytes = 0
  let current: RosterHead | undefined

  function take(entry: RosterEntry): void {
    const parents = entry.parents.map((ref) => taken.get(ref)).filter((head) => head !== undefined)
    const head: RosterHead = { entry, ...stateAfter(entry, parents) }
    if (current !== undefined && !current.members.has(entry.author)) {
      const count = (late.get(entry.author) ?? 0) + 1
      if (count > rosterLateMax) throw full(`more than ${rosterLateMax} entries of somebody who is not in the group`)
      late.set(entry.author, count)
    }
    taken.set(entry.ref, head)
    bytes += entry.signed.bytes.length
    for (const ref of entry.parents) children.set(ref, [...(children.get(ref) ?? []), head])
    current = walk()
  }
  function takeWaiting(): void {
    for (let isMore = true; isMore;) {
      isMore = false
      for (const entry of waiting.values()) {
        if (!entry.parents.every((ref) => taken.has(ref))) continue
        waiting.delete(entry.ref)
        try {
          take(entry)
          isMore = true
        } catch (error) {
          // What it follows gives its author no right: nobody takes it, in no order.
          if (!(error instanceof MeshError)) throw error
        }
      }
    }
  }
  /** From the first entry on, at each fork into the branch that counts. */
  function walk(): RosterHead | undefined {
    let [at] = taken.values()
    while (at !== undefined) {
      const next = choose(at, children.get(at.entry.ref) ?? [])
      if (next === undefined) return at
      at = next
    }
    return undefined
  }
  function choose(at: RosterHead, branches: readonly RosterHead[]): RosterHead | undefined {
    const sorted = branches.toSorted((a, b) => (a.entry.ref < b.entry.ref ? -1 : 1))
    if (sorted.length < 2) return sorted[0]
    const removers = new Map(sorted.map((branch) => [branch, removalsIn(branch, at.admins)] as const))
    const rank = (a: RosterHead, b: RosterHead): number => removers.get(a)?.get(b.entry.author) ?? Infinity
    return sorted.find((branch) => !sorted.some((other) => other !== branch && rank(other, branch) < rank(branch, other))) ?? sorted[0]
  }
  /** Whom a branch removes, and the place among `admins` of the most senior who does. */
  function removalsIn(branch: RosterHead, admins: readonly Did[]): ReadonlyMap<Did, number> {
    const found = new Map<Did, number>()
    const seen = new Set<RosterHead>([branch])
    for (const { entry } of seen) {
      for (const child of children.get(entry.ref) ?? []) seen.add(child)
      if (entry.action !== 'remove' && entry.action !== 'merge') continue
      const place = admins.indexOf(entry.author)
      const rank = place === -1 ? admins.length : place
      for (const did of entry.who) found.set(did, Math.min(rank, found.get(did) ?? Infinity))
    }
    return found
  }

  return {
    add(entry) {
      if (taken.has(entry.ref) || waiting.has(entry.ref)) return false
      if (entry.signed.statement.to !== group) throw invalid('the entry is of another group')
      if (taken.size + waiting.size >= rosterEntriesMax || bytes + entry.signed.bytes.length > rosterBytesMax) throw full('the log of this group is full')
      if (entry.action === 'create' || entry.parents.every((ref) => taken.has(ref))) {
        take(entry)
        takeWaiting()
        return true
      }
      if (waiting.size >= rosterWaitingMax) throw full(`${rosterWaitingMax} entries wait for others`)
      waiting.set(entry.ref, entry)
      return true
    },
    head: () => current,
    heads() {
      const open = [...taken.values()].filter(({ entry }) => !children.has(entry.ref))
      const others = open.filter((head) => head !== current).toSorted((a, b) => (a.entry.ref < b.entry.ref ? -1 : 1))
      return current === undefined ? others : [current, ...others]
    },
    at: (ref) => taken.get(ref),
    entries: () => [...taken.values()].map(({ entry }) => entry),
    waiting: () => [...waiting.values()],
    past(ref) {
      const found = new Set<string>([ref])
      for (const name of found) for (const parent of taken.get(name)?.entry.parents ?? []) found.add(parent)
      return found
    },
  }
}

/** Who is in after an entry. @throws ERR_GROUP_DENIED when its author has no right to it, ERR_GROUP_INVALID when it says what cannot be */
function stateAfter({ action, author, who }: RosterEntry, parents: readonly RosterState[]): RosterState {
  const [before] = parents
  if (before === undefined || action === 'create') return { members: new Set(who), admins: [author] }
  if (parents.length > rosterParentsMax) throw invalid(`an entry follows at most ${rosterParentsMax} others`)
  if (!parents.every(({ admins }) => admins.includes(author))) throw denied('only an admin of the group changes its roster')
  const { members, admins } = before
  if (action === 'add') {
    if (who.some((did) => members.has(did))) throw invalid('who is added is in already')
    if (members.size + who.length > groupMembersMax) throw invalid(`a group has at most ${groupMembersMax} members`)
    return { members: new Set([...members, ...who]), admins }
  }
  if (who.some((did) => !members.has(did))) throw invalid('who is removed or named is not in the group')
  if (action === 'admin') {
    if (who.some((did) => admins.includes(did))) throw invalid('who is named is an admin already')
    return { members, admins: [...admins, ...who] }
  }
  const own = admins.indexOf(author)
  if (who.some((did) => did !== author && admins.includes(did) && admins.indexOf(did) < own)) throw denied('an admin removes only admins named after him')
  const left = admins.filter((did) => !who.includes(did))
  if (left.length === 0) throw invalid('a group keeps an admin')
  return { members: new Set([...members].filter((did) => !who.includes(did))), admins: left }
}
