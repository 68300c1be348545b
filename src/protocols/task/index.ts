export { type ArtefactSink, callTask, type TaskCall } from './client.ts'
export {
  type Artefact,
  countersignCodec,
  receiptCodec,
  receiptLifetimeMs,
  requestCodec,
  resumeCodec,
  taskArtefactBytesMax,
  taskArtefactsMax,
  taskBundleBytesMax,
  taskCodeBytesMax,
  type TaskEvent,
  taskInputBytesMax,
  taskLifetimeMsMax,
  type TaskReceipt,
  taskReceiptBytesMax,
  type TaskRequest,
  taskResultBytesMax,
  type TaskResume,
  taskStatementTypes,
} from './codec.ts'
export { type OpenedTask, serveTasks } from './server.ts'
