import type { Client } from '../../../client/index.ts'
import { saidLevel, levelMark } from '../../lib/levels.ts'
import { calledIn, shown } from '../../lib/shown.ts'
import { dayOf } from '../../lib/time.ts'

export type Explanation = Awaited<ReturnType<Client['explain']>>

/** A line about a statement: what it says, and its id for those who look closer. */
export interface ToldLine {
  readonly id: string
  readonly text: string
}

/** An explanation in the words of a person. Source: trust/v1 section 3. */
export interface Told {
  readonly sentence: string
  readonly levelName: string
  /** Set where experience with tasks moves the level off what was said. */
  readonly experience: string | undefined
  readonly ways: readonly { readonly people: readonly string[]; readonly text: string }[]
  readonly against: readonly ToldLine[]
  readonly ignored: readonly ToldLine[]
  /** What would give the next level; undefined when there is none. */
  readonly next: { readonly need: string; readonly near: readonly string[] } | undefined
  readonly until: string
}

const reasons: Readonly<Record<string, string>> = {
  alias: 'is one with the subject, or with another who has the vote',
  revoked: 'took it back',
  banned: 'is distrusted, or contradicted itself',
  superseded: 'said something newer',
  expired: 'said it too long ago',
  scope: 'spoke of another scope',
  stale: 'was not heard of lately',
  quota: 'introduced too many of late',
  issuerLevel: 'is trusted too little to be heard',
  depth: 'may not introduce this far',
}

const helps: Readonly<Record<string, string>> = {
  vouch: 'could vouch for it',
  raise: 'vouches for less than is needed',
  rise: 'vouches, and is trusted too little',
  refresh: 'vouches, and was not heard of lately',
}

export function toldOf(why: Explanation): Told {
  const called = calledIn(why.names)
  const { level, saidLevel: said, missingForNext } = why
  return {
    sentence: shown(why.sentence, 1_000),
    levelName: levelMark(level).name,
    experience:
      level === said ? undefined : `Words alone would make it ${levelMark(said).name}; its tasks for you ${level < said ? 'ended badly' : 'ended well'}.`,
    ways: why.because.map(({ path, minLevel, expires }) => ({
      people: path.map(called),
      text: `${saidLevel(minLevel)} or more on every step, until ${dayOf(expires)}`,
    })),
    against: why.vetoes.map(({ id, issuer, level: says, isDecisive }) => ({
      id,
      text: `${called(issuer)} says ${saidLevel(says)}${isDecisive ? '' : ', which is not enough alone'}`,
    })),
    ignored: why.ignored.map(({ id, issuer, reason }) => ({ id, text: `${called(issuer)} ${reasons[reason] ?? shown(reason, 40)}` })),
    next:
      missingForNext === null
        ? undefined
        : {
            need: `${levelMark(missingForNext.level).name}: ${shown(missingForNext.need, 300)}`,
            near: missingForNext.near.map(({ did, by }) => `${called(did)} ${helps[by] ?? ''}`),
          },
    until: why.validUntil === null ? 'as long as nobody says anything new' : `until ${dayOf(why.validUntil)}`,
  }
}
