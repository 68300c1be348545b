export { type AskOptions, type BridgeConfiguration, type BridgeOptions, type BridgeServices, createHostBridge, type Refusal, type RunBridge } from './bridge.ts'
export { createMemories, type Memories } from './memories.ts'
export { type SecretSource } from './secrets.ts'
export type { Resolver } from './destinations.ts'
