/** Rights a token may be given, in words. Source: api/v1 section 2. */
export const tokenRights = [
  { right: '/api/read', meaning: 'see how the node does' },
  { right: '/api/mesh', meaning: 'connect and ping' },
  { right: '/api/message', meaning: 'send messages, ask agents' },
  { right: '/api/message/read', meaning: 'read what was said' },
  { right: '/api/file', meaning: 'send and take files' },
  { right: '/api/task', meaning: 'run tasks on peers' },
  { right: '/api/task/read', meaning: 'read what tasks printed and gave back' },
  { right: '/api/agent', meaning: 'add, change and stop agents' },
  { right: '/api/audit', meaning: 'check and prove the audit log' },
  { right: '/api/audit/read', meaning: 'read the audit log' },
  { right: '/api/trust', meaning: 'say whom the node trusts' },
  { right: '/api/grant', meaning: 'give and withdraw capability tokens' },
  { right: '/api/config', meaning: 'change settings' },
] as const
