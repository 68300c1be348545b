import { MeshError } from '../base/index.ts'
import type { Agent } from './message.ts'

export const agentsMax = 1_024

/** Replies with what it was asked. */
export const echoAgent: Agent = { name: 'echo', receive: async ({ data }) => data }

/** Built-in agents by name, for `agent add`. */
export const builtInAgents: Readonly<Record<string, Agent>> = { echo: echoAgent }

/** Who lives here. */
export interface Agents {
  /** @throws ERR_USAGE for a bad or taken name, ERR_OVERLOADED */
  register(agent: Agent): void
  /** @throws ERR_AGENT_UNKNOWN */
  remove(name: string): void
  /** @throws ERR_AGENT_UNKNOWN */
  get(name: string): Agent
  list(): readonly string[]
}

/** `onChange` is called when somebody has moved in or out. */
export function createAgents({ onChange = () => undefined }: { readonly onChange?: () => void } = {}): Agents {
  const agents = new Map<string, Agent>()
  return {
    register(agent) {
      if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(agent.name)) {
        throw new MeshError('ERR_USAGE', `'${agent.name}' is no agent name: small letters, digits, - and _, at most 64`)
      }
      if (agents.has(agent.name)) throw new MeshError('ERR_USAGE', `agent ${agent.name} is registered already`)
      if (agents.size >= agentsMax) throw new MeshError('ERR_OVERLOADED', `${agentsMax} agents live here`)
      agents.set(agent.name, agent)
      onChange()
    },
    remove(name) {
      if (!agents.delete(name)) throw new MeshError('ERR_AGENT_UNKNOWN', `no agent '${name}' lives here`)
      onChange()
    },
    get(name) {
      const agent = agents.get(name)
      if (agent === undefined) throw new MeshError('ERR_AGENT_UNKNOWN', `no agent '${name}' lives here`)
      return agent
    },
    list: () => [...agents.keys()].sort(),
  }
}
