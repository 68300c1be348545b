import { type Audit, codeExecuted, codeExecutionFailed, sandboxCreated } from '../audit/index.ts'
import { createSandbox, createSandboxResources, type Sandbox, type SandboxConfigurationGiven, type SandboxParts } from '../boxes/index.ts'
import type { BridgeServices } from '../bridge/index.ts'
import { type Clock, type Did, hex, type Logger, type Random, utf8 } from '../base/index.ts'
import { contentHash } from '../crypto/index.ts'
import type { Sandboxes } from '../sandbox/index.ts'
import type { EventHub } from './events.ts'

export interface OwnSandboxesOptions {
  readonly sandboxes: Sandboxes
  readonly services: BridgeServices
  readonly audit: Audit
  readonly did: Did
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly events: EventHub
}

/** Sandboxes for the program this node is part of: what they reach is the node's, what they are refused is told to its bystanders, what they run stands in its log. */
export function createOwnSandboxes({ audit, did, events, ...options }: OwnSandboxesOptions): (given: SandboxConfigurationGiven) => Sandbox {
  const parts: SandboxParts = {
    ...options,
    resources: createSandboxResources(),
    onSecurityEvent: ({ agentId, kind, detail }) => events.emit({ event: 'security', agentId, kind, detail }),
    async watch({ agentId, level, backend, limits, code, input }) {
      const sandboxId = `${agentId}/${hex(options.random.bytes(8))}`
      const isolation = { isolationLevel: level, backend, limits }
      await audit.record(sandboxCreated({ did, requester: did, sandboxId, ...isolation }))
      return async (outcome) => {
        const { usage, security } = outcome
        const [codeHash, inputHash] = await Promise.all([contentHash(utf8(code)), contentHash(utf8(input))])
        const facts = { did, requester: did, executionId: sandboxId, codeHash, inputHash, ...isolation, usage, securityEvents: security.length }
        await audit.record(
          outcome.type === 'done'
            ? codeExecuted({ ...facts, resultHash: await contentHash(utf8(outcome.result)) })
            : codeExecutionFailed({ ...facts, code: outcome.code, reason: outcome.message }),
        )
      }
    },
  }
  return (given) => createSandbox(given, parts)
}
