import { scopeCovers } from '../trust/index.ts'
import type { Command } from './commands.ts'

const apiOfOperator = [
  '/api/read',
  '/api/mesh',
  '/api/message',
  '/api/file',
  '/api/task',
  '/api/trust',
  '/api/grant',
  '/api/agent',
  '/api/audit',
  '/api/token',
  '/api/self',
] as const

/** What each role may at most: sets of commands. Source: the seed's roles; grant/v1 section 5, api/v1 section 2. */
export const roleCommands = {
  owner: ['/'],
  operator: [...apiOfOperator, '/task', '/message', '/file', '/memory', '/network', '/subprocess', '/vectordb', '/llm', '/agent'],
  viewer: ['/api/read', '/api/audit/read', '/api/self', '/message/send', '/file/send'],
  agent: [
    '/api/read',
    '/api/message',
    '/api/task',
    '/api/self',
    '/task/run',
    '/message/send',
    '/file',
    '/memory',
    '/network/outbound',
    '/vectordb',
    '/llm',
    '/agent',
  ],
} as const satisfies Readonly<Record<string, readonly Command[]>>

export type RoleName = keyof typeof roleCommands

export const roleAllows = (role: RoleName, command: Command): boolean => roleCommands[role].some((allowed) => scopeCovers(allowed, command))
