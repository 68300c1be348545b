export { type Inbox, openInbox } from './inbox.ts'
export { createMail, type Mail, type MailOptions, type Outgoing, type SendOptions } from './mail.ts'
export type { Agent, Message } from './message.ts'
export { type Agents, builtInAgents, createAgents } from './registry.ts'
