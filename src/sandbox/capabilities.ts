// A type alone: this file goes into workers, where no other room is.
import type { AgentCapability } from '../base/index.ts'

/** Calls a guest may make of its host, by name, with the capability each needs. There are no others. Source: sandbox/v1 section 4. */
export const hostCallCapabilities = {
  /** `(url, { method, headers, body, redirect })` -> `{ status, headers, text, url }` */
  fetch: 'network:outbound',
  /** `(key)` -> value or null */
  'memory.get': 'memory:read',
  /** `(prefix)` -> keys */
  'memory.list': 'memory:read',
  /** `(key, value, { ttlMs })` -> null */
  'memory.set': 'memory:write',
  /** `(key)` -> true when it was there */
  'memory.delete': 'memory:write',
  /** `(name)` -> text */
  'vault.get': 'vault:access',
  /** `(path, { encoding, offset, length })` -> text or base64 */
  readFile: 'file:read',
  /** `(path)` -> `[{ name, type, size }]` */
  list: 'file:read',
  /** `(path, text, { encoding, append })` -> bytes written */
  writeFile: 'file:write',
  /** `(program, arguments, { stdin })` -> `{ exitCode, stdout, stderr }`; at `containerized` or stronger */
  spawn: 'subprocess:spawn',
  /** `(did, data, { agent, timeoutMs })` -> reply */
  'mesh.ask': 'agent:delegate',
  /** `({ on, code, input, limits, isolation })` -> `{ ok, result, receipt }` */
  delegate: 'agent:delegate',
  /** `({ model, messages, … })` -> answer of the provider the operator configured */
  llm: 'llm:invoke',
  /** `({ collection, operation, … })` -> answer of the provider the operator configured */
  vectordb: 'vectordb:access',
  /** `(text)` -> base64 signature by a key made for this run alone; its public key by `crypto.publicKey` */
  'crypto.sign': undefined,
  'crypto.publicKey': undefined,
} as const satisfies Readonly<Record<string, AgentCapability | undefined>>
export type HostCallName = keyof typeof hostCallCapabilities
