/** The first may do most. Source: auth/v1. */
export const roles = ['owner', 'operator', 'viewer', 'agent'] as const
export type Role = (typeof roles)[number]

export const roleMeanings: Readonly<Record<Role, string>> = {
  owner: 'everything, people and keys too',
  operator: 'runs the node: peers, tasks, trust, messages, settings',
  viewer: 'sees how it does and reads the audit log; changes nothing',
  agent: 'for programs: messages and tasks',
}
