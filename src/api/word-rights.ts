import { fileScope, messageScope, type PolicyView, taskScope } from '../policy/index.ts'
import { levelName, type OwnWord, scopeCovers } from '../trust/index.ts'

export interface Right {
  readonly command: string
  /** `token`: with a capability token besides. `named`: only where the operator's policy names the peer. */
  readonly how: 'yes' | 'token' | 'named'
}

/** What the policy gives for a word of this node alone: each command is decided by the level in one scope. Source: grant/v1 section 4. */
export function rightsOf({ scopes, countsFor }: Pick<OwnWord, 'scopes' | 'countsFor'>, { commands }: Pick<PolicyView, 'commands'>): readonly Right[] {
  if (countsFor < 1) return []
  return commands.flatMap(({ command, byLevel }) => {
    const decidedIn = command === messageScope || command === fileScope ? command : taskScope
    const how = byLevel[levelName(countsFor)] ?? 'no'
    return how === 'no' || !scopes.some((scope) => scopeCovers(scope, decidedIn)) ? [] : [{ command, how }]
  })
}
