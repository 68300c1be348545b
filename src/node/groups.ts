import { type GroupsRoom, type Inbox, type Mail, openGroups, type Taker } from '../agents/index.ts'
import type { Audit } from '../audit/index.ts'
import { type Clock, type Did, type Logger, type Random, secondMs } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Store } from '../store/index.ts'
import type { EventHub } from './events.ts'
import type { KeyChains } from './key-chains.ts'

/** How long a change of a group, or a message in it, waits for members to answer; what is not there by then is on its way. */
const patienceMs = 3 * secondMs

export interface GroupsParts {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly inbox: Inbox
  readonly mail: Pick<Mail, 'send'>
  readonly takers: Map<string, Taker>
  readonly chains: Pick<KeyChains, 'subject' | 'check' | 'current'>
  readonly events: EventHub
  isKnown(did: Did): boolean
}

/** Groups over the mail: what members send each other is taken out of it, what is said goes to the inbox. */
export async function createGroups({ inbox, mail, takers, chains, events, ...parts }: GroupsParts): Promise<Pick<GroupsRoom, 'groups' | 'start'>> {
  const turns = new Map<Did, Promise<unknown>>()
  /** Finds the key in force of one member after the other message to it: its messages keep the order of the calls. */
  async function keyOf(to: Did): Promise<Did> {
    const turn = (turns.get(to) ?? Promise.resolve()).then(() => chains.current(to))
    const over = turn.catch(() => undefined)
    turns.set(to, over)
    void over.then(() => turns.get(to) === over && turns.delete(to))
    return await turn
  }
  const room = await openGroups({
    ...parts,
    identities: chains,
    keep: (message) => inbox.keep({ ...message, agent: '', priority: 5 }),
    onMessage: ({ id, from, type }) => events.emit({ event: 'message', id, from: chains.subject(from), type }),
    send: async (to, message) => await mail.send(await keyOf(to), message, { timeoutMs: patienceMs }),
  })
  for (const [type, taker] of room.takers) takers.set(type, taker)
  return room
}
