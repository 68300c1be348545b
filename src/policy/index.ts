export { decideMessage, decideTask, type Decision, messageScope, type Policy, type TaskGrant, taskScope } from './policy.ts'
