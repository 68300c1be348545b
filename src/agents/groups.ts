import { type Audit, groupChanged } from '../audit/index.ts'
import { type Clock, dayMs, type Did, didFromKey, fromHex, hex, keyFromDid, type Logger, MeshError, type Random, toMeshError } from '../base/index.ts'
import { createGroupSender } from '../envelope/index.ts'
import { type Keyring, signStatement } from '../identity/index.ts'
import type { Store } from '../store/index.ts'
import { bodyOfBytes, frameBody, groupTypes, keyBody, plainBody, rosterBatchBytesMax, rosterBatchMax, rosterBody } from './group-bodies.ts'
import { createGroupInward, groupBodyBytesMax, groupMessageLifetimeMsMax, groupsMax, type GroupTaker, type InwardOptions } from './group-inward.ts'
import { createGroupShelf, type GroupRecord, type OwnChain } from './group-record.ts'
import type { RosterHead } from './roster.ts'
import { type RosterAction, type RosterEntry, rosterParentsMax, signRosterEntry } from './roster-entry.ts'
import { encodeSaid, type Said } from './said.ts'

/** A member changes its key by itself after this long, or so many messages. Source: group/v1 section 3. */
export const groupChainLifeMs = dayMs
export const groupChainMessagesMax = 1_000

export type DeliveryStatus = 'acknowledged' | 'deposited' | 'queued' | 'refused'

export interface GroupHeadView {
  /** Hash of the entry, hexadecimal: the epoch. */
  readonly head: string
  readonly author: Did
  readonly members: readonly Did[]
  readonly admins: readonly Did[]
}

/** A group as people and programs see it. */
export interface GroupView extends GroupHeadView {
  /** Hexadecimal. */
  readonly id: string
  readonly name: string
  readonly status: 'member' | 'left' | 'removed'
  /** More than one end of the log: the first counts until an admin merges. */
  readonly fork: boolean
  readonly heads: readonly GroupHeadView[]
  readonly entries: number
}

export interface GroupSent {
  /** Statement id, hexadecimal. */
  readonly id: string
  readonly group: string
  readonly epoch: string
  readonly recipients: readonly { readonly did: Did; readonly status: DeliveryStatus }[]
}

/** Closed groups: signed rosters, keys of members for each epoch, messages to all of them. Source: group/v1. */
export interface Groups {
  create(name: string, members?: readonly Did[]): Promise<GroupView>
  /** @throws ERR_GROUP_DENIED unless this node is an admin, ERR_GROUP_INVALID, ERR_NOT_FOUND */
  add(group: string, members: readonly Did[]): Promise<GroupView>
  remove(group: string, members: readonly Did[]): Promise<GroupView>
  /** Names further admins; they cannot remove those named before them. */
  admin(group: string, members: readonly Did[]): Promise<GroupView>
  /** Ends a fork: the roster that counts goes on, without those whom other branches removed. `lost` are those only other branches had added. */
  merge(group: string): Promise<GroupView & { readonly lost: readonly Did[] }>
  /** Tells the others; said again of a group that one has left, it is forgotten. */
  leave(group: string): Promise<void>
  /** Seals once, sends to every member, over their links, mailboxes, or later. */
  send(group: string, said: Partial<Said> & Pick<Said, 'body'> & { readonly type?: string }): Promise<GroupSent>
  list(): readonly GroupView[]
  /** The group that an id, the beginning of one, or a name means. @throws ERR_NOT_FOUND, ERR_USAGE when several fit */
  find(text: string): GroupView
}

export interface GroupsOptions extends Pick<InwardOptions, 'identities' | 'isKnown' | 'keep' | 'onMessage'> {
  /** The root store: groups live under `groups/`. */
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  /** Takes messages to one member in the order of the calls; each is on disk, and tried until its time is over, before this resolves. */
  send(to: Did, message: { readonly type: string; readonly encoding: 'bytes'; readonly body: string }): Promise<{ readonly status: DeliveryStatus }>
}

export interface GroupsRoom {
  readonly groups: Groups
  /** By type of message. */
  readonly takers: ReadonlyMap<string, GroupTaker>
  /** Finishes what was begun before the last stop. */
  start(): void
}

const viewOf = ({ entry, members, admins }: RosterHead): GroupHeadView => ({ head: entry.ref, author: entry.author, members: [...members], admins })

export async function openGroups(options: GroupsOptions): Promise<GroupsRoom> {
  const { keyring, identities, clock, random, logger, audit } = options
  const self = keyring.identity
  const shelf = createGroupShelf({ store: options.store.sub('groups'), keyring, now: clock.now, identities, logger })
  const groups = new Map<string, GroupRecord>()
  for (const name of await shelf.list()) {
    const group = await shelf.load(didFromKey(fromHex(name)))
    if (group.roster.head() !== undefined) groups.set(name, group)
  }

  /** Hands one message to the outbox of a member; its failure is that of this member alone. */
  async function post(to: Did, type: string, bytes: Uint8Array): Promise<DeliveryStatus> {
    try {
      return (await options.send(to, { type, ...bodyOfBytes(bytes) })).status
    } catch (error) {
      logger.info('a group message was refused', { to, type, code: toMeshError(error).code })
      return 'refused'
    }
  }
  /** What of the log a member has not had from us. */
  async function tell(group: GroupRecord, to: Did): Promise<DeliveryStatus> {
    const told = group.told.get(to) ?? new Set<string>()
    group.told.set(to, told)
    const due = group.roster.entries().filter(({ ref }) => !told.has(ref))
    const batches = batchesOf(due)
    for (const { ref } of due) told.add(ref)
    const body = (entries: readonly RosterEntry[]): Uint8Array =>
      rosterBody.encode({ version: 1, group: keyFromDid(group.id), entries: entries.map(({ signed }) => signed.bytes) })
    const statuses = await Promise.all(batches.map((batch) => post(to, groupTypes.roster, body(batch))))
    if (!statuses.includes('refused')) return statuses.at(-1) ?? 'acknowledged'
    for (const { ref } of due) told.delete(ref)
    return 'refused'
  }
  async function giveKey(group: GroupRecord, own: OwnChain, to: Did): Promise<void> {
    own.handed.add(to)
    const epoch = group.roster.at(own.epoch)?.entry.signed.hash
    if (epoch === undefined) throw new MeshError('ERR_INTERNAL', 'no such epoch')
    const body = keyBody.encode({ version: 1, group: keyFromDid(group.id), epoch, key: own.sender.handover() })
    // The log goes first: without it the key is of nothing.
    const statuses = await Promise.all([tell(group, to), post(to, groupTypes.key, body)])
    if (!statuses.includes('refused')) return
    own.handed.delete(to)
    group.told.delete(to)
  }
  /** The chain to send on: a new one for every epoch, after every start, and now and then. */
  function ownChain(group: GroupRecord, head: RosterHead): OwnChain {
    const { sending } = group
    const isGood = sending?.epoch === head.entry.ref && sending.sent < groupChainMessagesMax && Math.abs(clock.monotonic() - sending.madeAt) < groupChainLifeMs
    if (isGood) return sending
    const context = { group: keyFromDid(group.id), epoch: head.entry.signed.hash, sender: keyring.did }
    group.sending = { epoch: head.entry.ref, sender: createGroupSender({ context, random }), madeAt: clock.monotonic(), sent: 0, handed: new Set() }
    return group.sending
  }
  const othersOf = (group: GroupRecord, { members }: RosterHead): readonly Did[] => [...members].filter((did) => did !== self && !group.leaving.has(did))

  async function refreshed(text: string): Promise<{ readonly group: GroupRecord; readonly head: RosterHead }> {
    const group = groups.get(find(text).id)
    if (group?.isStale === true) await shelf.refresh(group)
    const head = group?.roster.head()
    if (group === undefined || head === undefined) throw new MeshError('ERR_NOT_FOUND', 'no such group')
    return { group, head }
  }
  async function keepEntry(group: GroupRecord, entry: RosterEntry): Promise<void> {
    group.roster.add(entry)
    const { action, who, signed } = entry
    try {
      await audit.record(
        groupChanged({ did: self, group: keyFromDid(group.id), entry: signed.hash, action, who }),
        shelf.qualify(group, [shelf.putEntry(group, entry)]),
      )
    } catch (error) {
      group.isStale = true
      throw error
    }
  }
  /** Signs a change, keeps it, and tells everybody whom it concerns. */
  async function change(
    group: GroupRecord,
    { action, who, parents }: { readonly action: RosterAction; readonly who: readonly Did[]; readonly parents?: readonly RosterHead[] },
  ): Promise<void> {
    const before = group.roster.head()
    const heads = parents ?? (before === undefined ? [] : [before])
    const draft = { action, who, parents: heads.map(({ entry }) => entry.signed.hash) }
    await keepEntry(group, signRosterEntry(group.id, draft, { keyring, random, now: clock.now(), identities }))
    const concerned = new Set([...heads.flatMap(({ members }) => [...members]), ...(group.roster.head()?.members ?? [])])
    concerned.delete(self)
    await Promise.all([...concerned].map((to) => tell(group, to)))
  }
  /** The most senior admin who stays removes whoever said that he leaves. */
  async function seeOff(group: GroupRecord): Promise<void> {
    const head = group.roster.head()
    const who = [...group.leaving].filter((did) => head?.members.has(did) === true)
    if (head === undefined || who.length === 0 || group.hasLeft) return
    if (head.admins.find((did) => !group.leaving.has(did)) === self) await change(group, { action: 'remove', who })
  }
  function onRoster(group: GroupRecord): void {
    const head = group.roster.head()
    if (head === undefined) return
    for (const did of group.leaving) if (!head.members.has(did)) group.leaving.delete(did)
    if (group.sending?.epoch !== head.entry.ref || [...group.sending.handed].some((did) => group.leaving.has(did))) group.sending = undefined
    // Removed since it left, and perhaps added anew one day.
    if (group.hasLeft && !head.members.has(self)) group.hasLeft = false
    seeOff(group).catch((error: unknown) => logger.warn('a member that leaves is not removed', { code: toMeshError(error).code }))
  }

  function viewOfGroup(group: GroupRecord): GroupView | undefined {
    const heads = group.roster.heads()
    const [head] = heads
    // Somebody may tell us of a group that never was ours.
    if (head === undefined || !group.roster.entries().some(({ ref }) => group.roster.at(ref)?.members.has(self))) return undefined
    const isIn = head.members.has(self)
    return {
      id: group.hex,
      name: group.roster.entries()[0]?.name ?? '',
      status: !isIn ? 'removed' : group.hasLeft ? 'left' : 'member',
      ...viewOf(head),
      fork: heads.length > 1,
      heads: heads.map(viewOf),
      entries: group.roster.entries().length,
    }
  }
  const list = (): readonly GroupView[] => [...groups.values()].map(viewOfGroup).filter((view) => view !== undefined)
  function find(text: string): GroupView {
    const named = list().filter(({ id, name }) => name === text || (text.length >= 6 && id.startsWith(text)))
    const active = named.filter(({ status }) => status === 'member')
    const fitting = active.length > 0 ? active : named
    const [only] = fitting
    if (only === undefined) throw new MeshError('ERR_NOT_FOUND', `no group '${text.slice(0, 64)}'`, { hint: 'see `kindmesh group list`' })
    if (fitting.length > 1) throw new MeshError('ERR_USAGE', `'${text.slice(0, 64)}' fits ${fitting.length} groups`, { hint: 'give the beginning of its id' })
    return only
  }
  function member(group: GroupRecord, head: RosterHead): void {
    if (group.hasLeft || !head.members.has(self)) throw new MeshError('ERR_GROUP_DENIED', 'this node is not in that group any more')
  }

  const room: Groups = {
    async create(name, members = []) {
      if (groups.size >= groupsMax) throw new MeshError('ERR_OVERLOADED', `this node is in ${groupsMax} groups`)
      const who = [self, ...new Set(members.filter((did) => did !== self))]
      const entry = signRosterEntry(undefined, { action: 'create', name, who, parents: [] }, { keyring, random, now: clock.now(), identities })
      const group = await shelf.load(entry.signed.statement.to)
      await keepEntry(group, entry)
      groups.set(group.hex, group)
      await Promise.all(who.slice(1).map((to) => tell(group, to)))
      return find(group.hex)
    },
    async add(text, who) {
      const { group } = await refreshed(text)
      await change(group, { action: 'add', who })
      return find(group.hex)
    },
    async remove(text, who) {
      const { group } = await refreshed(text)
      await change(group, { action: 'remove', who })
      group.sending = undefined
      return find(group.hex)
    },
    async admin(text, who) {
      const { group } = await refreshed(text)
      await change(group, { action: 'admin', who })
      return find(group.hex)
    },
    async merge(text) {
      const { group, head } = await refreshed(text)
      const others = group.roster.heads().slice(1, rosterParentsMax)
      if (others.length === 0) throw new MeshError('ERR_USAGE', 'the log of this group has one end: nothing to merge')
      const before = group.roster.past(head.entry.ref)
      const apart = others.flatMap(({ entry }) => [...group.roster.past(entry.ref)].filter((ref) => !before.has(ref)).map((ref) => group.roster.at(ref)?.entry))
      const removed = new Set(
        apart.flatMap((entry) =>
          entry !== undefined && (entry.action === 'remove' || entry.action === 'merge') && head.admins.includes(entry.author) ? entry.who : [],
        ),
      )
      const own = head.admins.indexOf(self)
      const isGone = (did: Did): boolean => others.some(({ members }) => !members.has(did))
      const who = [...removed].filter(
        (did) => did !== self && isGone(did) && head.members.has(did) && !(head.admins.includes(did) && head.admins.indexOf(did) < own),
      )
      await change(group, { action: 'merge', who, parents: [head, ...others] })
      const view = find(group.hex)
      const added = new Set(apart.flatMap((entry) => (entry?.action === 'add' ? entry.who : [])))
      const lost = [...added].filter((did) => !view.members.includes(did) && others.some(({ members }) => members.has(did)))
      return { ...view, lost }
    },
    async leave(text) {
      const { group, head } = await refreshed(text)
      if (group.hasLeft || !head.members.has(self)) {
        groups.delete(group.hex)
        await options.store.durable(await shelf.forget(group))
        return
      }
      const others = othersOf(group, head)
      if (head.admins.includes(self)) {
        if (head.admins.every((did) => did === self || group.leaving.has(did)) && others.length > 0) {
          throw new MeshError('ERR_USAGE', 'the group would be left without an admin', { hint: 'name another first: kindmesh group admin <group> <did>' })
        }
        if (others.length > 0) await change(group, { action: 'remove', who: [self] })
      }
      group.hasLeft = group.roster.head()?.members.has(self) === true
      group.sending = undefined
      const gone = [...group.chains.keys()].map((name) => shelf.delChain(group, name))
      const given = [...group.pending.keys()].map((name) => shelf.delPending(group, name))
      group.chains.clear()
      group.pending.clear()
      await options.store.durable(shelf.qualify(group, [shelf.putFlags(group), ...gone, ...given]))
      const body = plainBody.encode({ version: 1, group: keyFromDid(group.id) })
      if (group.hasLeft) await Promise.all(others.map((to) => post(to, groupTypes.leave, body)))
    },
    async send(text, { type = 'text', encoding = 'text', body }) {
      const { group, head } = await refreshed(text)
      member(group, head)
      const payload = encodeSaid(type, { encoding, body }, groupBodyBytesMax)
      const issuedAt = clock.now()
      const fields = { to: group.id, type, payload, issuedAt, expiresAt: issuedAt + groupMessageLifetimeMsMax }
      const signed = signStatement('message', fields, { keyring, random })
      const own = ownChain(group, head)
      const recipients = othersOf(group, head)
      // Keys first, at the place in the chain where this message is.
      const keys = recipients.filter((to) => !own.handed.has(to)).map((to) => giveKey(group, own, to))
      const frame = frameBody.encode({ version: 1, group: keyFromDid(group.id), frame: own.sender.seal(signed.bytes) })
      own.sent++
      const statuses = await Promise.all(recipients.map((to) => post(to, groupTypes.frame, frame)))
      await Promise.all(keys)
      return {
        id: hex(signed.statement.id),
        group: group.hex,
        epoch: own.epoch,
        recipients: recipients.map((did, index) => ({ did, status: statuses[index] ?? 'refused' })),
      }
    },
    list,
    find,
  }

  const inward = createGroupInward({
    did: self,
    identities,
    clock,
    logger,
    shelf,
    groups,
    isKnown: options.isKnown,
    keep: options.keep,
    onMessage: options.onMessage,
    onRoster,
    want: (group, from) => void post(from, groupTypes.want, plainBody.encode({ version: 1, group: keyFromDid(group.id) })),
    handOver(group, to) {
      const head = group.roster.head()
      if (head === undefined || group.leaving.has(to)) return
      group.told.delete(to)
      giveKey(group, ownChain(group, head), to).catch((error: unknown) => logger.info('a key was not handed over', { code: toMeshError(error).code }))
    },
  })
  return {
    groups: room,
    takers: new Map(Object.entries(inward).map(([name, taker]) => [groupTypes[name as keyof typeof groupTypes], taker])),
    start() {
      for (const group of groups.values()) onRoster(group)
    },
  }
}

function batchesOf(entries: readonly RosterEntry[]): readonly (readonly RosterEntry[])[] {
  const batches: RosterEntry[][] = []
  let bytes = Infinity
  for (const entry of entries) {
    const size = entry.signed.bytes.length + 8
    if (bytes + size > rosterBatchBytesMax || (batches.at(-1)?.length ?? 0) >= rosterBatchMax) {
      batches.push([])
      bytes = 0
    }
    batches.at(-1)?.push(entry)
    bytes += size
  }
  return batches
}
