export { type Caveats, caveatsProblem, commonHosts, hostCovers, narrowed, outside, type Use, widened } from './caveats.ts'
export { createChainOpener } from './chain-cache.ts'
export { decideCommand } from './check.ts'
export {
  ceilingOf,
  type Command,
  commandOf,
  commands,
  explicitCommands,
  fileScope,
  isCommandPath,
  messageScope,
  nativeCommand,
  speaksOf,
  taskScope,
} from './commands.ts'
export { type Decision, type Reason, type Reasons, type Verdict } from './decision.ts'
export {
  type Asker,
  decideFile,
  decideMessage,
  decideTask,
  levelMinOf,
  type Policy,
  type Reach,
  type TaskGrant,
  type TaskQuestion,
} from './policy.ts'
export { roleAllows, roleCommands, type RoleName, roleNames } from './roles.ts'
export { chainProblem, type HeldToken, heldToken, type TokenPlace } from './standing.ts'
export {
  bytesOfGrantText,
  checkNarrower,
  encodeChain,
  type GrantChain,
  grantBytesMax,
  grantChainBytesMax,
  grantChainLengthMax,
  grantLifetimeMsMax,
  grantText,
  isGrantText,
  openChain,
  openToken,
  signToken,
  type Token,
  type TokenFields,
} from './token.ts'
