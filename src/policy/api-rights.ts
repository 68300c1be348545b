import { scopeCovers } from '../trust/index.ts'
import type { Command } from './commands.ts'

/** Rights of people and programs at this machine's own API. Peers are never granted one: none is among `commands`. Source: api/v1 section 2. */
export const apiRights = {
  '/api/read': 'see how the node does: peers, tasks, trust, grants, settings',
  '/api/mesh': 'connect, ping, say what the node offers',
  '/api/message': 'send messages, ask agents, speak in groups and topics, keep mailboxes',
  '/api/message/read': 'read what was said',
  '/api/file': 'send files of this machine, and take files into its folders',
  '/api/task': 'run tasks on peers and stop them',
  '/api/task/read': 'read what tasks were given, printed and gave back',
  '/api/trust': 'say whom the node trusts: attest, revoke, approve, name, invite, join',
  '/api/grant': 'give and withdraw capability tokens',
  '/api/agent': 'add, change, start, stop and remove agents',
  '/api/sign': 'have the node sign JSON documents',
  '/api/identity': 'change, export and recover the keys of the node',
  '/api/config': 'change settings',
  '/api/vault': 'keep and change secrets, seal and unseal',
  '/api/vault/read': 'read secrets',
  '/api/users': 'invite and remove people, change their roles, end their sessions',
  '/api/self': 'one’s own sessions, passkeys and codes',
  '/api/token': 'make and revoke tokens for programs, never with more rights than one’s own',
  '/api/audit': 'check and prove the audit log',
  '/api/audit/read': 'read the audit log',
} as const satisfies Readonly<Record<Command, string>>

export type ApiRight = keyof typeof apiRights

/** True for what no peer can be granted. Source: grant/v1 section 1. */
export const isOfApi = (command: Command): boolean => scopeCovers('/api', command)

/** Does one of these rights cover another? */
export const rightsCover = (rights: readonly Command[], right: Command): boolean => rights.some((held) => scopeCovers(held, right))
