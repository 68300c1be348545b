import { isolationLevels } from '../sandbox/index.ts'
import { limitNames } from './caveats.ts'
import { capabilityOf, type Command, commands, fileScope, messageScope, nativeCommand, taskScope } from './commands.ts'
import { denied, type Verdict } from './decision.ts'
import { levelName, TrustLevel } from '../trust/index.ts'
import { type Asker, decideFile, decideMessage, decideTask, type Policy, type TaskQuestion } from './policy.ts'

const nothingUsed = Object.fromEntries(limitNames.map((name) => [name, 0])) as unknown as TaskQuestion['limits']
const [weakest] = isolationLevels

/** May somebody do this here, as far as it can be said beforehand? What is no command here is denied. Source: grant/v1 section 4. */
export function decideCommand(policy: Policy | undefined, command: Command, who: Asker): Verdict {
  if (command === messageScope) return decideMessage(policy, who.level, who)
  if (command === fileScope) return decideFile(policy, who.level, who)
  const capability = capabilityOf(command)
  if (capability === undefined && command !== taskScope && command !== nativeCommand) {
    return denied('policy', 'ERR_POLICY_DENIED', `${command} is nothing that others may be allowed here; there are ${commands.join(', ')}`)
  }
  const verdict = decideTask(policy, {
    ...who,
    isolation: command === nativeCommand ? weakest : 'sandboxed',
    limits: nothingUsed,
    capabilities: capability === undefined ? [] : [capability],
    codeHash: 'any',
  })
  if (command !== nativeCommand || !verdict.allow || verdict.grant.isolation === 'native') return verdict
  if (who.level < TrustLevel.AUTHORITY) return denied('ceiling', 'ERR_POLICY_DENIED', `native is for ${levelName(TrustLevel.AUTHORITY)} only`)
  return denied('policy', 'ERR_POLICY_DENIED', `the policy has ${levelName(who.level)} run ${verdict.grant.isolation} or stronger`)
}
