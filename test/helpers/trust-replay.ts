import { dayMs } from '../../src/base/index.ts'
import { type Attestation, computeTrust, type StatementLevel } from '../../src/trust/index.ts'
import { did, scope } from './trust-graphs.ts'
import { type Rating, ratingSays } from './trust-sets.ts'

/** How often a rater liked whom he rated. */
export interface Share {
  asked: number
  good: number
}

export interface Replay {
  /** Ratings looked at, and those of them where neither was new: the rater had rated somebody, the rated had been rated. */
  readonly all: Share
  readonly base: Share
  /** Those whose subject the rater's own node held at VERIFIED or more just before, with distrust and caution heard and not. */
  readonly withVeto: Share
  readonly withoutVeto: Share
  /** The difference: whom only distrust and caution kept from VERIFIED. */
  readonly vetoed: Share
}

export interface ReplayOptions {
  readonly level: (stars: number) => StatementLevel
  readonly depth: number
  /** Looks at the ratings whose place leaves `rest` when divided by `every`. */
  readonly every: number
  readonly rest: number
}

/**
 * Goes through the ratings in order of time. Just before somebody rates another (nobody does so twice) his node answers for him, as its own root, from all that had been said till then;
 * then it is seen what he says.
 */
export function replay(ratings: readonly Rating[], { level, depth, every, rest }: ReplayOptions): Replay {
  const said = new Map<string, Attestation[]>()
  const rated = new Set<string>()
  const share = (): Share => ({ asked: 0, good: 0 })
  const found = { all: share(), base: share(), withVeto: share(), withoutVeto: share(), vetoed: share() }
  ratings.forEach((rating, place) => {
    if (place % every === rest) look(rating)
    const statement = ratingSays(rating, level(rating.stars), depth)
    said.set(statement.issuer, [...(said.get(statement.issuer) ?? []), statement])
    rated.add(rating.to)
  })
  return found

  function look({ from, to, stars, at }: Rating): void {
    const [root, subject] = [did(from), did(to)]
    const note = (share: Share): void => {
      share.asked++
      if (stars > 0) share.good++
    }
    note(found.all)
    if (!said.has(root) || !rated.has(to)) return
    note(found.base)
    const able = audible(root, at)
    if (!able.has(subject)) return
    const heard = [...able].flatMap((who) => said.get(who) ?? [])
    const isHeld = (attestations: readonly Attestation[]): boolean => computeTrust({ root, scope, now: at, attestations }).level(subject) >= 2
    // Distrust and caution only lower, so whoever is held with them is held without.
    if (isHeld(heard)) {
      note(found.withVeto)
      note(found.withoutVeto)
    } else if (isHeld(heard.filter(({ level: held }) => held > 0))) {
      note(found.withoutVeto)
      note(found.vetoed)
    }
  }

  /** Everybody who could hold VERIFIED were depth, quota and distrust no matter: what the others say cannot count. Saves the rule the rest of the network. */
  function audible(root: string, at: number): ReadonlySet<string> {
    const votes = new Map<string, number>([[root, 2]])
    const all = new Set([root])
    for (const who of all) {
      for (const { subject, level: held, issuedAt } of said.get(who) ?? []) {
        const age = at - issuedAt
        if (held - (age >= 365 * dayMs ? 2 : age >= 180 * dayMs ? 1 : 0) < 2) continue
        votes.set(subject, (votes.get(subject) ?? 0) + (who === root ? 2 : 1))
        if ((votes.get(subject) ?? 0) >= 2) all.add(subject)
      }
    }
    return all
  }
}

/** In percent. */
export const precision = ({ asked, good }: Share): number => (100 * good) / asked

/** Ratings as levels: one good deal (1) is BASIC, 2 to 5 VERIFIED, 6 and more TRUSTED; any negative rating is distrust. */
export const levelOfStars = (stars: number): StatementLevel => (stars < 0 ? -1 : stars < 2 ? 1 : stars < 6 ? 2 : 3)

/** One step stricter: 3 to 5 is VERIFIED. */
export const strictLevelOfStars = (stars: number): StatementLevel => (stars < 0 ? -1 : stars < 3 ? 1 : stars < 6 ? 2 : 3)
