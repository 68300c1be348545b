export {
  decideFile,
  decideMessage,
  decideTask,
  type Decision,
  fileScope,
  messageScope,
  type Policy,
  type TaskGrant,
  type TaskQuestion,
  taskScope,
} from './policy.ts'
