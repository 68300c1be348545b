export { createAsker, type TaskOrder, type TaskProgress, type Tasks } from './asker.ts'
export { createExecutor, type Executor } from './executor.ts'
export type { ReceiptDocument } from './receipt.ts'
