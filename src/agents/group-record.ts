import { type Did, hex, keyFromDid, type Logger, toMeshError, utf8 } from '../base/index.ts'
import { checkedSenderKey, groupFrameBytesMax, type GroupSender, groupSkippedMax, type ReceivingChain } from '../envelope/index.ts'
import type { Keyring } from '../identity/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bool, bytesOf, bytesUpTo, codec, did, instant, listOf, row, uintUpTo } from '../wire/index.ts'
import { createRoster, type Roster } from './roster.ts'
import { groupMembersMax, type KeyOwners, openRosterEntry, type RosterEntry } from './roster-entry.ts'

const counter = uintUpTo(0xffff_ffff)
const chainCodec = codec(
  'stored group chain',
  row({
    from: did,
    epoch: bytesOf(32),
    suite: uintUpTo(255),
    tag: bytesOf(4),
    n: counter,
    key: bytesOf(32),
    first: counter,
    skipped: listOf(row({ n: counter, key: bytesOf(32) }), groupSkippedMax),
  }),
  64 * 1024,
)
const pendingCodec = codec('pending group frame', row({ from: did, until: instant, frame: bytesUpTo(groupFrameBytesMax) }), 64 * 1024)
const flagsCodec = codec('group flags', row({ hasLeft: bool, leaving: listOf(did, groupMembersMax) }), 16 * 1024)

/** A chain of another member, and the epoch it belongs to. */
export interface HeldChain {
  /** The key it was handed over with. */
  readonly from: Did
  readonly epoch: Uint8Array
  readonly chain: ReceivingChain
}

/** A frame whose key is not here yet. */
export interface PendingFrame {
  readonly from: Did
  readonly frame: Uint8Array
  readonly until: number
}

/** What this node sends on, in memory only. */
export interface OwnChain {
  readonly epoch: string
  readonly sender: GroupSender
  readonly madeAt: number
  sent: number
  /** Members that have its key. */
  readonly handed: Set<Did>
}

/** One group as this node knows it. */
export interface GroupRecord {
  readonly id: Did
  readonly hex: string
  roster: Roster
  chains: Map<string, HeldChain>
  pending: Map<string, PendingFrame>
  /** Members that said they leave, and are not removed yet. */
  leaving: Set<Did>
  /** This node said that it leaves. */
  hasLeft: boolean
  sending: OwnChain | undefined
  /** Entries a member has from us or its own, by their names. */
  readonly told: Map<Did, Set<string>>
  nextEntry: number
  nextPending: number
  /** A write failed: what is in memory may be ahead of the disk. */
  isStale: boolean
}

/** Groups at rest: rosters as they are signed, chains sealed. */
export interface GroupShelf {
  load(id: Did): Promise<GroupRecord>
  /** Ids of the groups kept. */
  list(): Promise<readonly string[]>
  putEntry(group: GroupRecord, entry: RosterEntry): StoreOp
  putChain(group: GroupRecord, held: HeldChain): StoreOp
  delChain(group: GroupRecord, name: string): StoreOp
  putPending(group: GroupRecord, frame: PendingFrame): { readonly name: string; readonly op: StoreOp }
  delPending(group: GroupRecord, name: string): StoreOp
  putFlags(group: GroupRecord): StoreOp
  /** The whole group. */
  forget(group: GroupRecord): Promise<readonly StoreOp[]>
  /** Makes the memory what the disk says. */
  refresh(group: GroupRecord): Promise<void>
  qualify(group: GroupRecord, ops: readonly StoreOp[]): readonly StoreOp[]
}

export const chainName = ({ from, epoch, chain }: HeldChain): string => `${hex(keyFromDid(from))}/${hex(epoch)}/${hex(chain.tag)}`

const padded = (n: number): string => String(n).padStart(12, '0')

export function createGroupShelf({
  store,
  keyring,
  now,
  identities,
  logger,
}: {
  readonly store: Store
  readonly keyring: Keyring
  readonly now: () => number
  readonly identities: KeyOwners
  readonly logger: Logger
}): GroupShelf {
  const box = keyring.box('groups')
  const at = (group: Pick<GroupRecord, 'hex'>): Store => store.sub(group.hex)

  async function read(group: GroupRecord): Promise<void> {
    for await (const [key, value] of at(group).range({})) {
      const [kind = '', ...rest] = key.split('/')
      const name = rest.join('/')
      if (kind === 'e') {
        group.nextEntry = Math.max(group.nextEntry, Number(name) + 1)
        try {
          group.roster.add(openRosterEntry(value, { now: now(), atAnyTime: true, identities }))
        } catch (error) {
          logger.warn('a kept roster entry is not taken', { code: toMeshError(error).code })
        }
      } else if (kind === 'c') {
        const { from, epoch, first, skipped, ...chain } = chainCodec.decode(box.open(value, utf8('chain')))
        group.chains.set(name, { from, epoch, chain: { ...checkedSenderKey(chain), first, skipped: new Map(skipped.map(({ n, key: kept }) => [n, kept])) } })
      } else if (kind === 'p') {
        group.pending.set(name, pendingCodec.decode(value))
        group.nextPending = Math.max(group.nextPending, Number(name) + 1)
      } else if (kind === 'f') {
        const { hasLeft, leaving } = flagsCodec.decode(value)
        Object.assign(group, { hasLeft, leaving: new Set(leaving) })
      }
    }
  }
  const empty = (id: Did) => ({
    roster: createRoster(id),
    chains: new Map<string, HeldChain>(),
    pending: new Map<string, PendingFrame>(),
    leaving: new Set<Did>(),
    hasLeft: false,
    nextEntry: 0,
    nextPending: 0,
    isStale: false,
  })

  return {
    async load(id) {
      const group: GroupRecord = { id, hex: hex(keyFromDid(id)), sending: undefined, told: new Map(), ...empty(id) }
      await read(group)
      return group
    },
    async list() {
      const found = new Set<string>()
      for await (const [key] of store.range({})) found.add(key.slice(0, 64))
      return [...found]
    },
    putEntry: (group, { signed }) => put(`e/${padded(group.nextEntry++)}`, signed.bytes),
    putChain: (_group, held) => {
      const { suite, tag, n, key, first, skipped } = held.chain
      const list = [...skipped].map(([number, kept]) => ({ n: number, key: kept }))
      const value = chainCodec.encode({ from: held.from, epoch: held.epoch, suite, tag, n, key, first, skipped: list })
      return put(`c/${chainName(held)}`, box.seal(value, utf8('chain')))
    },
    delChain: (_group, name) => del(`c/${name}`),
    putPending(group, frame) {
      const name = padded(group.nextPending++)
      return { name, op: put(`p/${name}`, pendingCodec.encode(frame)) }
    },
    delPending: (_group, name) => del(`p/${name}`),
    putFlags: ({ hasLeft, leaving }) => put('f', flagsCodec.encode({ hasLeft, leaving: [...leaving] })),
    async forget(group) {
      const ops: StoreOp[] = []
      for await (const [key] of at(group).range({})) ops.push(del(key))
      return at(group).qualify(ops)
    },
    async refresh(group) {
      const { id, hex: name, sending, told } = group
      const fresh: GroupRecord = { id, hex: name, sending, told, ...empty(id) }
      await read(fresh)
      Object.assign(group, { ...fresh, sending: group.sending })
    },
    qualify: (group, ops) => at(group).qualify(ops),
  }
}
