export type { NodeEvent } from './events.ts'
export { createNode, type MeshNode, type NodeOptions, policyDefault } from './node.ts'
export { createProfile, profilePaths, trimLineEnd } from './profile.ts'
export { decodeTicket, isTicket } from './ticket.ts'
