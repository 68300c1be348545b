import type { SaidWord } from '../../lib/levels.ts'
import { scopesIn } from '../trust/scopes.ts'

/** What a form says about how far somebody is trusted. */
export interface Terms {
  level: SaidWord
  /** As typed. */
  scopes: string
  lifetimeMs: number
  /** How far the subject may introduce others; undefined leaves it to the node. */
  depth: number | undefined
  /** AUTHORITY is given only with this. */
  isConfirmed: boolean
}

export const termsDefault = (level: SaidWord = 'verified'): Terms => ({
  level,
  scopes: '/task/run',
  lifetimeMs: 90 * 86_400_000,
  depth: undefined,
  isConfirmed: false,
})

/** What is wrong with them, in words; undefined when they can be signed. */
export function problemOf({ level, scopes, isConfirmed }: Terms, scopesMax = 8): string | undefined {
  if (scopesIn(scopes, scopesMax) === undefined) return `Name 1 to ${scopesMax} scopes such as /task/run, with blanks between.`
  return level === 'authority' && !isConfirmed ? 'Say that you mean AUTHORITY.' : undefined
}
