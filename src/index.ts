export type { Agent, Message } from './agents/index.ts'
export { type Did, type ErrorCode, MeshError } from './base/index.ts'
export type { BodySource, IncomingTransfer, OutgoingTransfer, ReceivedFile } from './files/index.ts'
export { parseDid } from './identity/index.ts'
export type { ExecutionResult, Sandbox, SandboxConfiguration, SandboxConfigurationGiven } from './boxes/index.ts'
export { createNode, type MeshNode, type NodeEvent, type NodeOptions } from './node/index.ts'
export type { ReceiptDocument, TaskOrder, TaskProgress } from './tasks/index.ts'
export {
  computeTrustFromCsv,
  type CsvAnswer,
  type CsvQuestion,
  type DrawFormat,
  drawGraph,
  type Explanation,
  type GraphView,
  type LevelChange,
  type Supposition,
  TrustLevel,
  type TrustSnapshot,
  viewGraph,
} from './trust/index.ts'
