export { type ApiRight, apiRights, rightsCover } from './api-rights.ts'
export { type Caveats, commonHosts, hostCovers, narrowed } from './caveats.ts'
export { createChainOpener } from './chain-cache.ts'
export { decideCommand } from './check.ts'
export { type Command, explicitCapabilities, explicitCommands, fileScope, isCommandPath, messageScope, taskScope } from './commands.ts'
export { type Decision, type Reason, type Reasons, type Verdict } from './decision.ts'
export { type Asker, decideFile, decideMessage, decideTask, levelMinOf, type Policy, type Reach, type TaskGrant, type TaskQuestion } from './policy.ts'
export { roleCommands, type RoleName } from './roles.ts'
export { type CommandView, policyView, type PolicyView } from './show.ts'
export { decodeGrantContent, encodeGrantContent } from './grant-content.ts'
export { chainProblem, type HeldToken, heldToken, type TokenPlace } from './standing.ts'
export {
  bytesOfGrantText,
  checkNarrower,
  encodeChain,
  type GrantChain,
  grantChainBytesMax,
  grantChainLengthMax,
  grantLifetimeMsMax,
  grantText,
  isGrantText,
  signToken,
  type Token,
  type TokenFields,
} from './token.ts'
