/** What code and agents may be allowed. The words of the seed's AgentCapability. Source: signed-json/v1 section 5, sandbox/v1 section 4. */
export const agentCapabilities = [
  'file:read',
  'file:write',
  'network:inbound',
  'network:outbound',
  'memory:read',
  'memory:write',
  'subprocess:spawn',
  'vectordb:access',
  'llm:invoke',
  'agent:delegate',
  'vault:access',
  'system:api',
] as const
export type AgentCapability = (typeof agentCapabilities)[number]
