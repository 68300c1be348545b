import { agentCapabilities, type AgentCapability } from '../base/index.ts'
import { type Level, levelDistrust, scopeCovers, TrustLevel } from '../trust/index.ts'

/** A command path such as `/task/run`; a path covers itself and what is below it. Source: trust/v1 section 2.1, grant/v1 section 1. */
export type Command = string

/** The scope in which somebody must be trusted to run tasks here. */
export const taskScope = '/task/run'
/** The scope in which a node reads who may write to it. */
export const messageScope = '/message/send'
/** The scope in which a node reads who may send it files. */
export const fileScope = '/file/send'
/** To have a task run without isolation. */
export const nativeCommand = '/sandbox/native'
export const commandCharsMax = 64

/** `file:read` -> `/file/read`. Source: grant/v1 section 1. */
export const commandOf = (capability: AgentCapability): Command => `/${capability.replace(':', '/')}`
const byCommand: ReadonlyMap<Command, AgentCapability> = new Map(agentCapabilities.map((capability) => [commandOf(capability), capability]))
export const capabilityOf = (command: Command): AgentCapability | undefined => byCommand.get(command)

/** All that somebody else may be allowed here; what is not named is denied. */
export const commands: readonly Command[] = [taskScope, messageScope, fileScope, ...byCommand.keys(), nativeCommand]

/** These need AUTHORITY and the operator's own word about them. Source: grant/v1 section 4. */
export const explicitCapabilities = ['vault:access', 'system:api'] as const satisfies readonly AgentCapability[]
export const explicitCommands: ReadonlySet<Command> = new Set([...explicitCapabilities.map(commandOf), nativeCommand])

/** Lowest level at which a command may be allowed at all: no policy and no token goes below it. Undefined for what is no command here. Source: grant/v1 section 4. */
export function ceilingOf(command: Command): Level | undefined {
  if (explicitCommands.has(command)) return TrustLevel.AUTHORITY
  if (byCommand.has(command)) return TrustLevel.VERIFIED
  if (command === taskScope) return TrustLevel.UNKNOWN
  return command === messageScope || command === fileScope ? levelDistrust : undefined
}

const form = /^(?:\/|(?:\/[a-z0-9][a-z0-9_.-]*)+)$/
export const isCommandPath = (text: string): boolean => text.length <= commandCharsMax && form.test(text)

/** What is granted by name is granted by its own name alone: `/` and `/vault` do not say `/vault/access`. Source: grant/v1 section 4. */
export const speaksOf = (granted: Command, command: Command): boolean => (explicitCommands.has(command) ? granted === command : scopeCovers(granted, command))
