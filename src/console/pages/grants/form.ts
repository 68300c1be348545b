/** Commands that can be granted, with what they let somebody do. Source: grant/v1 section 1. */
export const grantCommands = [
  { command: '/task/run', meaning: 'run tasks here' },
  { command: '/message/send', meaning: 'send messages here' },
  { command: '/file/send', meaning: 'send files here' },
  { command: '/file/read', meaning: 'read files by tasks' },
  { command: '/file/write', meaning: 'write files by tasks' },
  { command: '/memory/read', meaning: 'read memories' },
  { command: '/memory/write', meaning: 'write memories' },
  { command: '/network/outbound', meaning: 'reach the network by tasks' },
  { command: '/network/inbound', meaning: 'be reached by tasks from the network' },
  { command: '/vectordb/access', meaning: 'search vectors' },
  { command: '/subprocess/spawn', meaning: 'start programs in the sandbox' },
  { command: '/llm/invoke', meaning: 'ask language models' },
  { command: '/agent/delegate', meaning: 'hand work to agents' },
  { command: '/vault/access', meaning: 'read named secrets: needs your passkey' },
  { command: '/system/api', meaning: 'call the system: needs your passkey' },
  { command: '/sandbox/native', meaning: 'run without isolation: needs your passkey' },
] as const

export interface CaveatsForm {
  readonly hosts: string
  readonly secrets: string
  readonly isolation: string
  readonly wallMs: string
}

export interface Caveats {
  hosts?: string[]
  secrets?: string[]
  isolation?: 'native' | 'sandboxed' | 'containerized' | 'virtualized'
  limits?: Record<string, number>
}

const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '')

/** What a form narrows a grant to; undefined when to nothing. A text says what is wrong. */
export function caveatsOf({ hosts, secrets, isolation, wallMs }: CaveatsForm): Caveats | string | undefined {
  const caveats: Caveats = {}
  if (words(hosts).length > 0) caveats.hosts = words(hosts)
  if (words(secrets).length > 0) caveats.secrets = words(secrets)
  if (isolation !== '') caveats.isolation = isolation as NonNullable<Caveats['isolation']>
  if (wallMs.trim() !== '') {
    const value = Number(wallMs)
    if (!Number.isSafeInteger(value) || value < 0) return 'Time must be a whole number of milliseconds'
    caveats.limits = { wallMs: value }
  }
  return Object.keys(caveats).length === 0 ? undefined : caveats
}
