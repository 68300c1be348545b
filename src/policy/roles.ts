import { scopeCovers } from '../trust/index.ts'
import type { Command } from './commands.ts'

/** What each role may at most: sets of commands. Source: the seed's roles; grant/v1 section 5. */
export const roleCommands = {
  owner: ['/'],
  operator: ['/task', '/message', '/file', '/memory', '/network', '/subprocess', '/vectordb', '/llm', '/agent'],
  viewer: ['/message/send', '/file/send'],
  agent: ['/task/run', '/message/send', '/file', '/memory', '/network/outbound', '/vectordb', '/llm', '/agent'],
} as const satisfies Readonly<Record<string, readonly Command[]>>

export type RoleName = keyof typeof roleCommands

export const roleAllows = (role: RoleName, command: Command): boolean => roleCommands[role].some((allowed) => scopeCovers(allowed, command))
