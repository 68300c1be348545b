import type { ErrorCode } from '../base/index.ts'
import { type Level, levelName, scopeCovers } from '../trust/index.ts'
import { outside, type Use } from './caveats.ts'
import { type Command, explicitCommands, speaksOf } from './commands.ts'
import type { HeldToken } from './standing.ts'

export interface TokenQuestion {
  readonly command: Command
  readonly tokens: readonly HeldToken[]
  /** Commands nobody gives without a token. */
  readonly requireToken: readonly Command[]
  /** It must be by the owner's own token, for this bearer and by this name. */
  readonly isExplicit: boolean
  /** What whoever handed it on must hold. */
  readonly levelMin: Level
  /** What the task wants; left out where no task is meant. */
  readonly use?: Use | undefined
}

export type TokenAnswer =
  /** `token` is what it leans on; undefined where none is needed. */
  | { readonly holds: true; readonly token: HeldToken | undefined; readonly text: string }
  | { readonly holds: false; readonly code: ErrorCode; readonly text: string }

/** What tokens say to a command: nothing where none is needed, else whether one of them serves. Source: grant/v1 section 4. */
export function askTokens({ command, tokens, requireToken, isExplicit, levelMin, use }: TokenQuestion): TokenAnswer {
  const speaking = tokens.filter((token) => speaksOf(token.command, command) && (token.isDirect || !explicitCommands.has(command)))
  const isRequired = requireToken.some((required) => scopeCovers(required, command))
  if (!isExplicit && !isRequired && !speaking.some(({ binds }) => binds)) return { holds: true, token: undefined, text: `no token is needed for ${command}` }
  let best: { readonly code: ErrorCode; readonly text: string } | undefined
  for (const token of speaking) {
    const problem = problemOf(token, levelMin, use)
    if (problem === undefined) {
      return { holds: true, token, text: `token ${token.id.slice(0, 12)} for ${token.command} until ${new Date(token.expiresAt).toISOString()}` }
    }
    best ??= problem
  }
  return { holds: false, ...(best ?? { code: 'ERR_GRANT_NEEDED', text: `a capability token for ${command} is needed` }) }
}

function problemOf(
  { problem, throughLevel, caveats, id }: HeldToken,
  levelMin: Level,
  use: Use | undefined,
): { readonly code: ErrorCode; readonly text: string } | undefined {
  const name = `token ${id.slice(0, 12)}`
  if (problem !== undefined) return { code: problem.code, text: `${name}: ${problem.reason}` }
  if (throughLevel < levelMin) {
    return { code: 'ERR_TRUST_LOW', text: `${name} was handed on by somebody who is ${levelName(throughLevel)} here; ${levelName(levelMin)} is needed` }
  }
  const reason = use === undefined ? undefined : outside(caveats, use)
  return reason === undefined ? undefined : { code: 'ERR_GRANT_NEEDED', text: `${name}: ${reason}` }
}
