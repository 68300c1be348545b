import type { Policy } from '../policy/index.ts'
import { taskResultBytesMax } from '../protocols/task/index.ts'
import { sandboxLimitsMax } from '../sandbox/index.ts'
import { TrustLevel } from '../trust/index.ts'

/** What a node allows when its operator says nothing else. Source: grant/v1 section 5. */
export const policyDefault: Policy = {
  taskLevelMin: TrustLevel.VERIFIED,
  isolationFloor: { 1: 'virtualized', 2: 'sandboxed', 3: 'sandboxed', 4: 'sandboxed' },
  // Of files, a task reaches those that came with it and those it sends back.
  taskCapabilities: { 2: ['file:read', 'file:write'], 3: ['file:read', 'file:write'], 4: ['file:read', 'file:write'] },
  // No more comes back over the wire.
  taskLimitsMax: { ...sandboxLimitsMax, outputBytes: taskResultBytesMax },
  messageLevelMin: TrustLevel.UNKNOWN,
  strangers: false,
  levelMin: {},
  requireToken: [],
  roles: {},
  sources: {},
}
