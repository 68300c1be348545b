export { decideFile, decideMessage, decideTask, type Decision, fileScope, messageScope, type Policy, type TaskGrant, taskScope } from './policy.ts'
