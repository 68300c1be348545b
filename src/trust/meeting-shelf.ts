import { type Clock, createTally, type Did, equal, hourMs, MeshError, minuteMs } from '../base/index.ts'
import { partiesOf } from '../identity/index.ts'
import { openTrustStatement } from './statements.ts'

/** How long what was left here is kept unless left again. trust/v1 section 5. */
export const shelfTtlMs = 48 * hourMs
/** Issuers whose word about one subject is kept because the subject itself left it here. trust/v1 section 5. */
export const shelfOfSubjectMax = 24
/** Issuers who left theirs about one subject. trust/v1 section 5. */
export const shelfOfIssuersMax = 32
/** Those of whom somebody else left it: their key is another by now. trust/v1 section 5. */
export const shelfOfOthersMax = 8
/** Subjects about whom one issuer's word is kept. trust/v1 section 5. */
export const shelfPerIssuerMax = 256
/** Statements one peer may have left here. trust/v1 section 5. */
export const shelfPerStorerMax = 1_024
/** Statements kept in all. trust/v1 section 5. */
export const shelfMax = 16_384
/** Signatures of one peer's puts looked at in a minute. trust/v1 section 5. */
export const shelfChecksPerPeerMax = 128
/** Signatures of all puts looked at in a minute. trust/v1 section 5. */
export const shelfChecksMax = 6_000

const sweepPauseMs = hourMs

/** One issuer's newest word about one subject, as it travels. */
export interface ShelfItem {
  readonly kind: 'attestation' | 'revocation'
  readonly bytes: Uint8Array
}

export type ShelfOutcome = 'kept' | 'known' | 'invalid' | 'full' | 'busy'

export interface MeetingShelfOptions {
  readonly clock: Clock
  /** The identity a key speaks for, as far as it is known here. */
  subject(key: Did): Did
  /** May its word introduce somebody here? Such an issuer's word is kept before that of others. */
  isCertified(issuer: Did): boolean
  /** Two words of one issuer with one seq: proof that it contradicts itself. */
  onContradiction?(held: ShelfItem, offered: ShelfItem): void
  readonly limits?: Partial<Record<'ofSubject' | 'ofIssuers' | 'ofOthers' | 'perIssuer' | 'perStorer' | 'all' | 'checksPerPeer' | 'checks', number>>
}

/** Who leaves a statement, and the public network that is seen in. */
export interface Storer {
  readonly peer: Did
  readonly place?: string | undefined
}

/**
 * What others left here about subjects this node is close to: one entry an issuer and subject, the highest seq wins. In memory, bounded in every
 * direction, forgotten unless left again. A crowd in one place plays for its own places only. Source: trust/v1 section 5.
 */
export interface MeetingShelf {
  put(storer: Storer, item: ShelfItem): ShelfOutcome
  /** What is kept about a subject, those of certified issuers first. */
  list(subject: Did): readonly ShelfItem[]
  readonly size: number
  /** Puts not kept since the start, by outcome. */
  readonly refused: Readonly<Record<'invalid' | 'full' | 'busy', number>>
}

type Side = 'subject' | 'issuer' | 'other'
const strength: Readonly<Record<Side, number>> = { other: 0, issuer: 1, subject: 2 }

interface Entry {
  readonly item: ShelfItem
  readonly issuer: Did
  readonly subject: Did
  readonly seq: number
  readonly expiresAt: number
  readonly side: Side
  readonly storer: Did
  readonly place: string
  until: number
}

export function createMeetingShelf({ clock, subject: identityOf, isCertified, onContradiction, limits = {} }: MeetingShelfOptions): MeetingShelf {
  const most: Readonly<Record<Side, number>> = {
    subject: limits.ofSubject ?? shelfOfSubjectMax,
    issuer: limits.ofIssuers ?? shelfOfIssuersMax,
    other: limits.ofOthers ?? shelfOfOthersMax,
  }
  const { perIssuer = shelfPerIssuerMax, perStorer = shelfPerStorerMax, all = shelfMax } = limits
  const checksOfPeer = createTally<Did>({ clock, most: limits.checksPerPeer ?? shelfChecksPerPeerMax, windowMs: minuteMs })
  const checks = createTally<'all'>({ clock, most: limits.checks ?? shelfChecksMax, windowMs: minuteMs })
  const subjects = new Map<Did, Map<Did, Entry>>()
  const issuers = new Map<Did, number>()
  const storers = new Map<Did, number>()
  const places = new Map<string, Set<Entry>>()
  const refused = { invalid: 0, full: 0, busy: 0 }
  let size = 0
  let sweptAt = clock.monotonic()

  const isOver = ({ until, expiresAt }: Entry): boolean => until <= clock.monotonic() || expiresAt <= clock.now()

  function add(entry: Entry): void {
    const about = subjects.get(entry.subject) ?? new Map<Did, Entry>()
    subjects.set(entry.subject, about)
    about.set(entry.issuer, entry)
    const there = places.get(entry.place) ?? new Set<Entry>()
    places.set(entry.place, there)
    there.add(entry)
    bump(issuers, entry.issuer, 1)
    bump(storers, entry.storer, 1)
    size++
  }
  function drop(entry: Entry): void {
    const about = subjects.get(entry.subject)
    about?.delete(entry.issuer)
    if (about?.size === 0) subjects.delete(entry.subject)
    const there = places.get(entry.place)
    there?.delete(entry)
    if (there?.size === 0) places.delete(entry.place)
    bump(issuers, entry.issuer, -1)
    bump(storers, entry.storer, -1)
    size--
  }
  function sweep(): void {
    if (clock.monotonic() - sweptAt < sweepPauseMs) return
    sweptAt = clock.monotonic()
    for (const about of [...subjects.values()]) for (const entry of [...about.values()]) if (isOver(entry)) drop(entry)
  }
  /** Who must go for `entry` among those of its side about its subject; undefined when there is room, null when nobody has to. */
  function loserAbout(entry: Entry): Entry | undefined | null {
    const rivals = [...(subjects.get(entry.subject)?.values() ?? [])].filter(({ side }) => side === entry.side)
    if (rivals.length < most[entry.side]) return undefined
    // The subject picks its own.
    if (entry.side === 'subject') return rivals[0] ?? null
    const strangers = rivals.filter(({ issuer }) => !isCertified(issuer))
    if (isCertified(entry.issuer)) return strangers[0] ?? null
    return crowded(entry.place, groupBy(strangers))
  }
  /** The same over the whole shelf. */
  const loserOfAll = (entry: Entry): Entry | undefined | null => (size < all ? undefined : crowded(entry.place, places))

  /** The first to have come of the place with the most entries, unless that of the newcomer has as many. */
  function crowded(place: string, groups: ReadonlyMap<string, ReadonlySet<Entry>>): Entry | null {
    let largest: ReadonlySet<Entry> | undefined
    for (const group of groups.values()) if (group.size > (largest?.size ?? 0)) largest = group
    if (largest === undefined || largest.size < (groups.get(place)?.size ?? 0) + 2) return null
    for (const entry of largest) if (!isCertified(entry.issuer)) return entry
    return null
  }
  function keep(entry: Entry, before: Entry | undefined): ShelfOutcome {
    if (before !== undefined) drop(before)
    const back = (): ShelfOutcome => {
      if (before !== undefined) add(before)
      return 'full'
    }
    if ((issuers.get(entry.issuer) ?? 0) >= perIssuer || (storers.get(entry.storer) ?? 0) >= perStorer) return back()
    const near = loserAbout(entry)
    if (near === null) return back()
    if (near !== undefined) drop(near)
    const far = loserOfAll(entry)
    if (far === null) return back()
    if (far !== undefined) drop(far)
    add(entry)
    return 'kept'
  }
  function judge({ peer, place }: Storer, item: ShelfItem): ShelfOutcome {
    const parties = partiesOf(item.kind, item.bytes)
    if (parties === undefined) return 'invalid'
    const [issuer, about, who] = [identityOf(parties.from), identityOf(parties.to), identityOf(peer)]
    const side: Side = who === about ? 'subject' : who === issuer ? 'issuer' : 'other'
    const found = subjects.get(about)?.get(issuer)
    const before = found !== undefined && isOver(found) ? undefined : found
    if (found !== undefined && before === undefined) drop(found)
    if (before !== undefined && equal(before.item.bytes, item.bytes)) {
      const until = clock.monotonic() + shelfTtlMs
      // The subject's own choice, or its issuer's word, weighs more than a stranger's.
      if (strength[side] > strength[before.side]) keep({ ...before, side, storer: peer, place: place ?? peer, until }, before)
      else if (side === before.side) before.until = until
      return 'known'
    }
    if (!checksOfPeer.count(peer) || !checks.count('all')) return 'busy'
    let opened
    try {
      opened = openTrustStatement(item, clock.now())
    } catch (error) {
      if (error instanceof MeshError) return 'invalid'
      throw error
    }
    const { seq, signed } = opened
    if (before !== undefined && seq <= before.seq) {
      if (seq === before.seq) onContradiction?.(before.item, item)
      return seq === before.seq ? 'invalid' : 'known'
    }
    const copy = { kind: item.kind, bytes: item.bytes.slice() }
    const facts = { item: copy, issuer, subject: about, seq, expiresAt: signed.statement.expiresAt, until: clock.monotonic() + shelfTtlMs }
    return keep({ ...facts, side, storer: peer, place: place ?? peer }, before)
  }

  return {
    put(storer, item) {
      sweep()
      const outcome = judge(storer, item)
      if (outcome !== 'kept' && outcome !== 'known') refused[outcome]++
      return outcome
    },
    list(subject) {
      const entries = [...(subjects.get(identityOf(subject))?.values() ?? [])].filter((entry) => !isOver(entry))
      const rank = ({ issuer, side }: Entry): number => (isCertified(issuer) ? 0 : side === 'other' ? 2 : 1)
      return entries.toSorted((a, b) => rank(a) - rank(b)).map(({ item }) => item)
    },
    get size() {
      return size
    },
    refused,
  }
}

function groupBy(entries: readonly Entry[]): ReadonlyMap<string, ReadonlySet<Entry>> {
  const groups = new Map<string, Set<Entry>>()
  for (const entry of entries) groups.set(entry.place, (groups.get(entry.place) ?? new Set<Entry>()).add(entry))
  return groups
}

function bump(counts: Map<Did, number>, key: Did, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}
