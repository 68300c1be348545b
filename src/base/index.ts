export { type AgentCapability, agentCapabilities } from './agent-capabilities.ts'
export { base64, base64url, compare, concat, equal, fromBase64, fromHex, fromUtf8, hex, utf8 } from './bytes.ts'
export {
  type Clock,
  clockFrom,
  keepAlive,
  createVirtualClock,
  dayMs,
  hourMs,
  minuteMs,
  realClock,
  secondMs,
  type SignalOption,
  type VirtualClock,
  within,
} from './clock.ts'
export { type Did, didFromKey, keyBytesLength, keyFromDid, parseDidKey } from './did.ts'
export { codeFromPeer, type ErrorCode, errorTable, exitCodes, isErrorCode, MeshError, type MeshErrorOptions, toMeshError } from './errors.ts'
export { numbered, safeFileName } from './file-names.ts'
export { createLogger, type Logger, type LogLevel, silentLogger } from './log.ts'
export { createSeededRandom, type Random, randomInt, realRandom } from './random.ts'
export { TokenBucket } from './token-bucket.ts'
export { createTally } from './tally.ts'
export { profilePaths, trimLineEnd } from './profile-paths.ts'
export { nameLook, plainName } from './plain-name.ts'
export { createTurns } from './turns.ts'
