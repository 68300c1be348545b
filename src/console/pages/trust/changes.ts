import type { Client } from '../../../client/index.ts'
import { levelMark, type SaidWord } from '../../lib/levels.ts'
import { calledIn } from '../../lib/shown.ts'

export type Simulation = Awaited<ReturnType<Client['simulateTrust']>>
export type Supposed = Parameters<Client['simulateTrust']>[0]

export interface Change {
  readonly did: string
  readonly called: string
  readonly before: number
  readonly after: number
}

export interface Changes {
  readonly headline: string
  readonly fallen: readonly Change[]
  readonly risen: readonly Change[]
}

/** Who would fall and who would rise, the furthest first. */
export function changesOf({ scope, changes, names }: Simulation): Changes {
  const called = calledIn(names)
  const all = changes.map(({ subject, before, after }): Change => ({ did: subject, called: called(subject), before, after }))
  const far = (a: Change, b: Change): number => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || (a.did < b.did ? -1 : 1)
  const fallen = all.filter(({ before, after }) => after < before).toSorted(far)
  const risen = all.filter(({ before, after }) => after > before).toSorted(far)
  const people = (count: number): string => `${count} ${count === 1 ? 'peer' : 'peers'}`
  const headline =
    all.length === 0 ? `Nobody’s level in ${scope} would change.` : `In ${scope} ${people(fallen.length)} would fall and ${people(risen.length)} would rise.`
  return { headline, fallen, risen }
}

export const changeText = ({ called, before, after }: Change): string => `${called}: ${levelMark(before).name} → ${levelMark(after).name}`

/** What to ask before a statement is signed. */
export const supposedWord = (
  scope: string,
  word: { readonly subject: string; readonly level: SaidWord; readonly scopes: readonly string[]; readonly depth?: number },
): Supposed => ({
  scope,
  add: [{ subject: word.subject, level: word.level, scopes: [...word.scopes], ...(word.depth === undefined ? {} : { depth: word.depth }) }],
})

/** What to ask before statements are taken back. */
export const supposedRevocation = (scope: string, ids: readonly string[], kind: 'soft' | 'hard'): Supposed => ({ scope, revoke: [...ids], kind })
