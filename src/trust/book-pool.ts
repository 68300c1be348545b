import { type Did, hex } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import type { TrustItem } from './statements.ts'

/** Statements put aside, unverified, of issuers who are not certified here. Source: trust/v1 section 6. */
export const poolMax = 10_000
/** Of these so many about one subject. */
export const poolPerSubjectMax = 64

/** Something unverified: nobody but its bearer says that it is the issuer's. */
export interface Pooled {
  readonly item: TrustItem
  readonly issuer: Did
  readonly subject: Did
  /** The peer that handed it over. */
  readonly from: Did | undefined
}

/** Unverified statements, in memory only. Whoever hands over more than its share loses its own first, so that one flood does not wash out what others brought. */
export interface BookPool {
  readonly size: number
  put(pooled: Pooled): void
  has(issuer: Did): boolean
  /** Takes all out that one issuer is said to have signed, oldest first. */
  take(issuer: Did): readonly Pooled[]
  issuers(): Iterable<Did>
}

interface Entry extends Pooled {
  readonly key: string
}

export function createBookPool({ most = poolMax, perSubject = poolPerSubjectMax }: { readonly most?: number; readonly perSubject?: number } = {}): BookPool {
  /** Least lately handed over first. The key is the hash of all bytes: a copy under a false signature stands beside the true one. */
  const entries = new Map<string, Entry>()
  const byIssuer = createGroups<Did>()
  const bySubject = createGroups<Did>()
  const byBearer = createGroups<Did | undefined>()

  function add(entry: Entry): void {
    entries.set(entry.key, entry)
    byIssuer.add(entry.issuer, entry)
    bySubject.add(entry.subject, entry)
    byBearer.add(entry.from, entry)
  }
  function drop(entry: Entry): void {
    entries.delete(entry.key)
    byIssuer.remove(entry.issuer, entry)
    bySubject.remove(entry.subject, entry)
    byBearer.remove(entry.from, entry)
  }
  return {
    get size() {
      return entries.size
    },
    put(pooled) {
      const key = hex(sha256(pooled.item.bytes))
      const known = entries.get(key)
      if (known !== undefined) {
        // Whoever brought it first answers for it.
        drop(known)
        add(known)
        return
      }
      const about = bySubject.of(pooled.subject)
      if (about.size >= perSubject) drop(firstOf(about, ({ from }) => from === pooled.from))
      if (entries.size >= most) {
        const own = byBearer.of(pooled.from)
        // Several at a time: looking for the oldest in a set that lost its oldest one by one costs more than all the rest.
        const isGreedy = own.size > most / (byBearer.size + 1)
        for (const entry of firstFew(isGreedy ? own : entries.values(), isGreedy ? Math.ceil(own.size / 20) : 1)) drop(entry)
      }
      add({ ...pooled, key })
    },
    has: (issuer) => byIssuer.of(issuer).size > 0,
    take(issuer) {
      const taken = [...byIssuer.of(issuer)]
      for (const entry of taken) drop(entry)
      return taken
    },
    issuers: () => byIssuer.keys(),
  }
}

function firstFew(entries: Iterable<Entry>, count: number): readonly Entry[] {
  const few: Entry[] = []
  for (const entry of entries) if (few.push(entry) >= count) break
  return few
}

/** The first that is wanted, else the first. */
function firstOf(entries: Iterable<Entry>, isWanted: (entry: Entry) => boolean): Entry {
  let first: Entry | undefined
  for (const entry of entries) {
    if (isWanted(entry)) return entry
    first ??= entry
  }
  return first as Entry
}

interface Groups<K> {
  readonly size: number
  of(key: K): ReadonlySet<Entry>
  add(key: K, entry: Entry): void
  remove(key: K, entry: Entry): void
  keys(): Iterable<K>
}

const nothing: ReadonlySet<Entry> = new Set()

function createGroups<K>(): Groups<K> {
  const groups = new Map<K, Set<Entry>>()
  return {
    get size() {
      return groups.size
    },
    of: (key) => groups.get(key) ?? nothing,
    add(key, entry) {
      const group = groups.get(key)
      if (group === undefined) groups.set(key, new Set([entry]))
      else group.add(entry)
    },
    remove(key, entry) {
      const group = groups.get(key)
      group?.delete(entry)
      if (group?.size === 0) groups.delete(key)
    },
    keys: () => groups.keys(),
  }
}
