import { type Attestation, computeTrust, type Level, type StatementLevel } from '../../src/trust/index.ts'
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
  /** Those whose subject it held at TRUSTED, and those it held in distrust. */
  readonly trusted: Share
  readonly distrusted: Share
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
  const found = { all: share(), base: share(), withVeto: share(), withoutVeto: share(), trusted: share(), distrusted: share() }
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
    const heard = [...audible(root, at)].flatMap((who) => said.get(who) ?? [])
    if (!heard.some((statement) => statement.subject === subject)) return
    const ask = (attestations: readonly Attestation[]): Level => computeTrust({ root, scope, now: at, attestations }).level(subject)
    const held = ask(heard)
    if (held >= 2) note(found.withVeto)
    if (held >= 3) note(found.trusted)
    if (held < 0) note(found.distrusted)
    // Distrust and caution only lower, so whoever is held with them is held without.
    if (held >= 2 || ask(heard.filter((statement) => statement.level > 0)) >= 2) note(found.withoutVeto)
  }

  /** Everybody who could hold VERIFIED were depth, age, quota and distrust no matter: what the others say cannot count. Saves the rule the rest of the network. */
  function audible(root: string, at: number): ReadonlySet<string> {
    const votes = new Map<string, number>([[root, 2]])
    const all = new Set([root])
    for (const who of all) {
      for (const { subject, level: held, expiresAt } of said.get(who) ?? []) {
        if (held < 2 || expiresAt <= at) continue
        votes.set(subject, (votes.get(subject) ?? 0) + (who === root ? 2 : 1))
        if ((votes.get(subject) ?? 0) >= 2) all.add(subject)
      }
    }
    return all
  }
}

/** In percent. */
export const precision = ({ asked, good }: Share): number => (100 * good) / asked

/** Ratings as levels: what traders call a good first deal or two is BASIC, 3 to 5 VERIFIED, 6 and more TRUSTED; any negative rating is distrust. */
export const strictLevels = (stars: number): StatementLevel => (stars < 0 ? -1 : stars < 3 ? 1 : stars < 6 ? 2 : 3)
/** One good deal is VERIFIED already: what people do who look at ratings one by one. */
export const easyLevels = (stars: number): StatementLevel => (stars < 0 ? -1 : stars < 6 ? 2 : 3)
