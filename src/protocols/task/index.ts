export { callTask, type TaskCall } from './client.ts'
export {
  countersignCodec,
  receiptCodec,
  receiptLifetimeMs,
  requestCodec,
  taskCodeBytesMax,
  type TaskEvent,
  taskInputBytesMax,
  taskLifetimeMsMax,
  type TaskReceipt,
  type TaskRequest,
  taskResultBytesMax,
} from './codec.ts'
export { type OpenedTask, serveTasks } from './server.ts'
