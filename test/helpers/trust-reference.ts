import { dayMs, type Did, hourMs } from '../../src/base/index.ts'
import type { Attestation, Level, Revocation, TrustQuestion } from '../../src/trust/index.ts'

/**
 * The trust rule as the spec says it, slow and plain: sets and loops until nothing changes. The fast one must agree with it.
 * Source: trust/v1 section 2.
 */
export function referenceLevels(question: TrustQuestion): (subject: Did) => Level {
  const { root, scope, attestations, revocations = [], now, headAge, depthMax = 4, experience = [], warrants = [], controllerOf = (did) => did } = question
  const revoked = [...revocations]
  const given = [...new Map([...attestations].map((a) => [`${a.issuer} ${a.subject} ${a.id}`, a])).values()]
  const all = given.filter((a) => a.issuer !== a.subject && a.subject !== root && !isVoid(a, revoked))
  const isOwn = (a: Attestation): boolean => a.issuer !== root && controllerOf(a.issuer) === controllerOf(a.subject)
  const people = [...new Set([root, ...all.flatMap((a) => [a.issuer, a.subject])])]
  const convicted = [...warrants].filter((issuer) => issuer !== root)
  const samePair = Map.groupBy(all, (a) => `${a.issuer} ${a.subject}`)
  const beside = (a: Attestation): Attestation[] => samePair.get(`${a.issuer} ${a.subject}`) ?? []
  const faulty = new Set([...convicted, ...all.filter((a) => a.issuer !== root && beside(a).some((b) => isConflict(a, b))).map((a) => a.issuer)])
  const live = all.filter(
    (a) => !faulty.has(a.issuer) && !isOwn(a) && a.expiresAt > now && !isSoftRevoked(a, revoked, now) && liveScopes(a).some((s) => covers(s, scope)),
  )
  const livePair = new Map(
    Map.groupBy(live, (a) => a.issuer)
      .entries()
      .map(([i, said]) => [i, Map.groupBy(said, (a) => a.subject)]),
  )
  const spokenOf = (i: Did): Iterable<Did> => livePair.get(i)?.keys() ?? []
  const speaking = Map.groupBy(live, (a) => a.subject)
  const liveOf = (i: Did, v: Did): Attestation[] => livePair.get(i)?.get(v) ?? []

  function liveScopes(a: Attestation): string[] {
    return a.scopes.filter((s) => !beside(a).some((b) => b.scopes.includes(s) && isNewer(b, a)))
  }

  const distrusts = (i: Did, v: Did): boolean => liveOf(i, v).some((a) => a.level === -1)
  const cautions = (i: Did, v: Did): boolean => liveOf(i, v).some((a) => a.level === 0)

  /** Depth that i grants v at level l, undefined when i does not say so now. */
  function says(i: Did, v: Did, l: number, mustName = false): number | undefined {
    if (liveOf(i, v).length === 0 || distrusts(i, v) || (cautions(i, v) && l > 1)) return undefined
    const fresh = i === root || headAge === undefined || (headAge(i) ?? Infinity) <= ([0, 7 * dayMs, 48 * hourMs, 24 * hourMs, hourMs][l] ?? 0)
    const saying = liveOf(i, v).filter((a) => fresh && aged(a, now) >= l && (!mustName || liveScopes(a).some((s) => names(s, scope))))
    return saying.length === 0 ? undefined : Math.max(...saying.map((a) => a.depth))
  }

  const turns = new Map(people.map((i) => [i, admissionTimes(i, all)]))
  const admittedAt = (i: Did, v: Did): number => turns.get(i)?.get(v) ?? -Infinity

  const banned = new Set<Did>() // from the current level down
  const distrusted = new Set<Did>() // of those, by distrust and not by caution
  const holds: Map<Did, number>[] = [new Map(), new Map(), new Map(), new Map(), new Map()] // by level: depth left
  const has = (l: number, v: Did): boolean => holds[l]?.has(v) === true
  const rootSays = (v: Did, l: number): boolean => says(root, v, l) !== undefined
  const counts = (i: Did, v: Did): boolean => i === root || has(4, i) || admittedAt(i, v) <= now

  /** Least fixpoint: whoever has k votes holds it, with the k-th best depth. */
  function fixpoint(
    k: number,
    start: Map<Did, number>,
    votes: (i: Did) => number,
    edge: (i: Did, v: Did) => number | undefined,
    isIntroducer: (held: Map<Did, number>, i: Did) => number,
  ): Map<Did, number> {
    let held = new Map([...start, [root, depthMax]])
    for (;;) {
      const next = new Map(held)
      const offers = new Map<Did, Offer[]>()
      for (const i of people) {
        const left = isIntroducer(held, i)
        for (const v of left < 1 ? [] : spokenOf(i)) {
          const d = v === root || (banned.has(v) && i !== root) ? undefined : edge(i, v)
          if (d === undefined) continue
          const offer = { by: controllerOf(i), depth: Math.min(d, left - 1), votes: i === root ? k : votes(i) }
          const others = offers.get(v)
          if (others === undefined) offers.set(v, [offer])
          else others.push(offer)
        }
      }
      for (const [v, all] of offers) {
        const best = [4, 3, 2, 1, 0].find((depth) => votesFor(all, depth) >= k)
        if (best !== undefined && best > (held.get(v) ?? -1)) next.set(v, best)
      }
      if ([...next].every(([v, left]) => held.get(v) === left)) return held
      held = next
    }
  }

  function level(l: number): Map<Did, number> {
    if (l === 4) {
      const left = (held: Map<Did, number>, i: Did): number => held.get(i) ?? -1
      const naming = fixpoint(
        1,
        new Map(),
        () => 1,
        (i, v) => says(i, v, 4, true),
        left,
      )
      return fixpoint(
        1,
        new Map(),
        () => 1,
        (i, v) => says(i, v, 4),
        (_, i) => naming.get(i) ?? -1,
      )
    }
    const k = [0, 1, 2, 3][l] ?? 1
    const authority = [0, 1, 2, 2][l] ?? 1
    const introducer = (held: Map<Did, number>, i: Did): number => (l === 1 ? holds[2]?.get(i) : held.get(i)) ?? (i === root ? depthMax : -1)
    return fixpoint(
      k,
      holds[l + 1] ?? new Map<Did, number>(),
      (i) => (has(4, i) ? authority : 1),
      (i, v) => (counts(i, v) ? says(i, v, l) : undefined),
      introducer,
    )
  }

  function vetoesSuffice(v: Did, l: number, isVeto: (i: Did, v: Did) => boolean): boolean {
    const issuers = [...new Set(speaking.get(v)?.map((a) => a.issuer))]
    const vetoers = issuers.filter((i) => i !== root && isVeto(i, v) && has(Math.max(2, l), i) && counts(i, v))
    return new Set(vetoers.map(controllerOf)).size >= 2 || vetoers.some((i) => has(4, i) || rootSays(i, 2))
  }

  for (const v of people) if (distrusts(root, v)) distrusted.add(v)
  for (const v of people) if (distrusts(root, v) || cautions(root, v)) banned.add(v)
  for (let l = 4; l >= 1; l--) {
    if (l === 1) for (const v of people) if (!distrusted.has(v)) banned.delete(v)
    for (;;) {
      holds[l] = level(l)
      const judged = people.filter((v) => v !== root && has(l, v) && !has(l + 1, v) && !rootSays(v, l) && !banned.has(v))
      const byDistrust = judged.filter((v) => vetoesSuffice(v, l, distrusts))
      const byEither = l === 1 ? [] : judged.filter((v) => vetoesSuffice(v, l, (i, u) => distrusts(i, u) || cautions(i, u)))
      for (const v of byDistrust) distrusted.add(v)
      for (const v of [...byDistrust, ...byEither]) banned.add(v)
      if (byDistrust.length + byEither.length === 0) break
    }
  }
  for (const v of people) if (!has(1, v) && vetoesSuffice(v, 0, distrusts)) distrusted.add(v)

  const said = (subject: Did): Level => {
    for (const l of [4, 3, 2, 1] as const) if (has(l, subject)) return l
    return distrusted.has(subject) ? -1 : 0
  }
  const lived = [...experience]
  return (subject) => {
    if (subject === root) return 4
    const level = said(subject)
    const mine = lived.filter((e) => e.subject === subject)
    const [s, f] = [mine.reduce((sum, e) => sum + e.successes, 0), mine.reduce((sum, e) => sum + e.failures, 0)]
    const p = (s + 1) / (s + f + 2)
    if (level === 0 && p >= 0.9) return 1
    if (level >= 1 && f >= 3 && p < 0.25 && !rootSays(subject, 1)) return 0
    return level >= 1 && f >= 3 && p < 0.5 ? 1 : level
  }
}

interface Offer {
  readonly by: Did
  readonly depth: number
  readonly votes: number
}

/** What all controllers together have for a depth of so much or more: each the most that any one of its identities has. */
function votesFor(offers: readonly Offer[], depth: number): number {
  const most = new Map<Did, number>()
  for (const offer of offers) if (offer.depth >= depth) most.set(offer.by, Math.max(offer.votes, most.get(offer.by) ?? 0))
  return [...most.values()].reduce((sum, votes) => sum + votes, 0)
}

const covers = (scope: string, path: string): boolean => `${path}/`.startsWith(scope.endsWith('/') ? scope : `${scope}/`)

const names = (scope: string, path: string): boolean =>
  scope === 'authority/*' || (covers('/authority', scope) && covers(scope, path === '/' ? '/authority' : `/authority${path}`))

const isConflict = (a: Attestation, b: Attestation): boolean =>
  a.id !== b.id && a.issuer === b.issuer && a.subject === b.subject && a.seq === b.seq && a.scopes.some((s) => b.scopes.includes(s))

const isNewer = (b: Attestation, a: Attestation): boolean => b.seq > a.seq || (b.seq === a.seq && (b.level < a.level || (b.level === a.level && b.id < a.id)))

const aged = (a: Attestation, now: number): number => a.level - (now - a.issuedAt >= 365 * dayMs ? 2 : now - a.issuedAt >= 180 * dayMs ? 1 : 0)

function isVoid(a: Attestation, revocations: readonly Revocation[]): boolean {
  return revocations.some((r) => r.kind === 'hard' && r.issuer === a.issuer && (r.attestationId === a.id || a.issuedAt >= r.at || a.firstSeenAt >= r.at))
}

function isSoftRevoked(a: Attestation, revocations: readonly Revocation[], now: number): boolean {
  return revocations.some((r) => r.kind === 'soft' && r.issuer === a.issuer && r.attestationId === a.id && r.at <= now)
}

/** 64 subjects in any 30 days start to count; the next waits until the window has room. */
function admissionTimes(issuer: Did, all: readonly Attestation[]): Map<Did, number> {
  const seen = new Map<Did, number>()
  for (const a of all) if (a.issuer === issuer) seen.set(a.subject, Math.min(a.firstSeenAt, seen.get(a.subject) ?? Infinity))
  const admitted = new Map<Did, number>()
  for (const [subject, at] of [...seen].sort(([s, a], [t, b]) => a - b || (s < t ? -1 : 1))) {
    let turn = at
    const before = [...admitted.values()]
    for (;;) {
      const inWindow = before.filter((other) => other > turn - 30 * dayMs)
      if (inWindow.length < 64) break
      turn = Math.min(...inWindow) + 30 * dayMs
    }
    admitted.set(subject, turn)
  }
  // Whoever never waited counts at once.
  return new Map([...admitted].filter(([subject, turn]) => turn > (seen.get(subject) ?? turn)))
}
