import { dayMs, type Did, hourMs } from '../../src/base/index.ts'
import type { Attestation, Level, Revocation, TrustQuestion } from '../../src/trust/index.ts'

/**
 * The trust rule as the spec says it, slow and plain: sets and loops until nothing changes. The fast one must agree with it.
 * Source: trust/v1 section 2.
 */
export function referenceLevels({ root, scope, attestations, revocations = [], now, headAge, depthMax = 4 }: TrustQuestion): (subject: Did) => Level {
  const revoked = [...revocations]
  const given = [...new Map([...attestations].map((a) => [`${a.issuer} ${a.subject} ${a.id}`, a])).values()]
  const all = given.filter((a) => a.issuer !== a.subject && a.subject !== root && !isVoid(a, revoked))
  const people = [...new Set([root, ...all.flatMap((a) => [a.issuer, a.subject])])]
  const faulty = new Set(all.filter((a) => a.issuer !== root && all.some((b) => isConflict(a, b))).map((a) => a.issuer))
  const live = all.filter((a) => !faulty.has(a.issuer) && a.expiresAt > now && !isSoftRevoked(a, revoked, now) && liveScopes(a).some((s) => covers(s, scope)))

  function liveScopes(a: Attestation): string[] {
    return a.scopes.filter((s) => !all.some((b) => b.issuer === a.issuer && b.subject === a.subject && b.scopes.includes(s) && isNewer(b, a)))
  }

  const distrusts = (i: Did, v: Did): boolean => live.some((a) => a.issuer === i && a.subject === v && a.level === -1)
  const cautions = (i: Did, v: Did): boolean => live.some((a) => a.issuer === i && a.subject === v && a.level === 0)

  /** Depth that i grants v at level l, undefined when i does not say so now. */
  function says(i: Did, v: Did, l: number, mustName = false): number | undefined {
    if (distrusts(i, v) || (cautions(i, v) && l > 1)) return undefined
    const fresh = i === root || headAge === undefined || (headAge(i) ?? Infinity) <= ([0, 7 * dayMs, 48 * hourMs, 24 * hourMs, hourMs][l] ?? 0)
    const saying = live.filter(
      (a) => a.issuer === i && a.subject === v && fresh && aged(a, now) >= l && (!mustName || liveScopes(a).some((s) => names(s, scope))),
    )
    return saying.length === 0 ? undefined : Math.max(...saying.map((a) => a.depth))
  }

  const admittedAt = (i: Did, v: Did): number => admissionTimes(i, all).get(v) ?? -Infinity

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
      for (const v of people) {
        if (v === root) continue
        const offers: number[] = []
        for (const i of people) {
          const left = isIntroducer(held, i)
          const d = edge(i, v)
          if (left < 1 || d === undefined || (banned.has(v) && i !== root)) continue
          for (let n = 0; n < (i === root ? k : votes(i)); n++) offers.push(Math.min(d, left - 1))
        }
        const kth = offers.sort((a, b) => b - a)[k - 1]
        if (kth !== undefined && kth > (held.get(v) ?? -1)) next.set(v, kth)
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
    const vetoers = people.filter((i) => i !== root && isVeto(i, v) && has(Math.max(2, l), i) && counts(i, v))
    return vetoers.length >= 2 || vetoers.some((i) => has(4, i) || rootSays(i, 2))
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

  return (subject) => {
    if (subject === root) return 4
    for (const l of [4, 3, 2, 1] as const) if (has(l, subject)) return l
    return distrusted.has(subject) ? -1 : 0
  }
}

const covers = (scope: string, path: string): boolean => `${path}/`.startsWith(scope.endsWith('/') ? scope : `${scope}/`)

const names = (scope: string, path: string): boolean => covers('/authority', scope) && covers(scope, path === '/' ? '/authority' : `/authority${path}`)

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
