import { createTally, type Clock, type Did, didFromKey, hex, keyFromDid, type Logger, MeshError, minuteMs, toMeshError } from '../base/index.ts'
import { checkedSenderKey, decodeGroupFrame, isOfChain, openGroupFrame, receivingChain } from '../envelope/index.ts'
import { clockSkewMsMax, openStatement } from '../identity/index.ts'
import type { StoreOp } from '../store/index.ts'
import type { Taken } from './mail.ts'
import { bytesOfBody, frameBody, keyBody, plainBody, rosterBody } from './group-bodies.ts'
import { chainName, type GroupRecord, type GroupShelf, type HeldChain, type PendingFrame } from './group-record.ts'
import { type KeyOwners, openRosterEntry } from './roster-entry.ts'
import { decodeSaid, type Said } from './said.ts'

/** Groups this node is told of; those of creators nobody here trusts have a smaller share. Source: group/v1 section 3. */
export const groupsMax = 256
export const groupsOfStrangersMax = 64
/** A message in a group may be under way so long. Source: group/v1 section 3. */
export const groupMessageLifetimeMsMax = 7 * 24 * 60 * minuteMs
/** Body of a message in a group, bytes. Source: group/v1 section 3. */
export const groupBodyBytesMax = 56 * 1024
/** Chains held of one member of a group; the oldest go. Source: group/v1 section 3. */
export const groupChainsMax = 8
/** Frames of a group that wait for their key, and their bytes. Source: group/v1 section 3. */
export const groupPendingMax = 256
export const groupPendingBytesMax = 4 << 20
/** Times a minute a member's key is asked for, and given to one who asks. Source: group/v1 section 3. */
export const groupWantsMax = 6

/** A message from a member, opened. */
export interface GroupMessage extends Said {
  /** Statement id, hexadecimal. */
  readonly id: string
  /** Id of the group, hexadecimal. */
  readonly group: string
  readonly from: Did
  readonly type: string
  readonly receivedAt: number
}

/** Takes a message of another member's node that belongs to a group. */
export type GroupTaker = (message: { readonly from: Did; readonly encoding: string; readonly body: string }) => Promise<Taken>

export interface InwardOptions {
  /** This node, by its identity. */
  readonly did: Did
  readonly identities: KeyOwners
  readonly clock: Clock
  readonly logger: Logger
  readonly shelf: GroupShelf
  readonly groups: Map<string, GroupRecord>
  isKnown(did: Did): boolean
  keep(message: GroupMessage): { readonly ops: readonly StoreOp[]; release(): void }
  onMessage(message: GroupMessage): void
  /** The roster changed, or somebody wants to leave. */
  onRoster(group: GroupRecord): void
  /** Ask `from` for its key. */
  want(group: GroupRecord, from: Did): void
  /** Hand our key to `to` again. */
  handOver(group: GroupRecord, to: Did): void
}

const denied = (why: string): MeshError => new MeshError('ERR_GROUP_DENIED', why)

/** What comes from other members. Source: group/v1 section 3. */
export function createGroupInward(options: InwardOptions): Readonly<Record<'roster' | 'key' | 'frame' | 'want' | 'leave', GroupTaker>> {
  const { did, identities, clock, logger, shelf, groups } = options
  const { subject } = identities
  const wants = createTally<string>({ clock, most: groupWantsMax, windowMs: minuteMs })

  /** A group both are in now. @throws ERR_GROUP_DENIED */
  async function shared(id: Uint8Array, from: Did): Promise<GroupRecord> {
    const group = groups.get(hex(id))
    if (group?.isStale === true) await shelf.refresh(group)
    const members = group?.roster.head()?.members
    if (group === undefined || group.hasLeft || members?.has(did) !== true || !members.has(subject(from))) throw denied('not both of us are in that group')
    return group
  }
  const ahead =
    (group: GroupRecord, more?: () => void): (() => void) =>
    () => {
      group.isStale = true
      more?.()
    }

  async function groupFor(id: Uint8Array, from: Did): Promise<{ readonly group: GroupRecord; readonly isNew: boolean }> {
    const known = groups.get(hex(id))
    if (known !== undefined) {
      if (known.isStale) await shelf.refresh(known)
      return { group: known, isNew: false }
    }
    const strangers = [...groups.values()].filter(({ roster }) => !options.isKnown(roster.entries()[0]?.author ?? from)).length
    if (groups.size >= groupsMax || (!options.isKnown(from) && strangers >= groupsOfStrangersMax)) {
      throw new MeshError('ERR_OVERLOADED', 'this node is in as many groups as it takes')
    }
    const group = await shelf.load(didFromKey(id))
    // Another message may have been first.
    const first = groups.get(group.hex)
    if (first === undefined) groups.set(group.hex, group)
    return { group: first ?? group, isNew: first === undefined }
  }
  function takeEntries(group: GroupRecord, from: Did, entries: readonly Uint8Array[]): StoreOp[] {
    const ops: StoreOp[] = []
    let refusal: MeshError | undefined
    let known = 0
    const told = group.told.get(subject(from)) ?? new Set<string>()
    group.told.set(subject(from), told)
    const isMember = (): boolean => group.roster.heads().some(({ members }) => members.has(subject(from)))
    for (const bytes of entries) {
      try {
        const entry = openRosterEntry(bytes, { now: clock.now(), identities })
        const isDue = entry.parents.every((ref) => group.roster.at(ref) !== undefined)
        // Only members may make us keep what says nothing yet.
        if (!isDue && !isMember()) throw denied('the entry follows one that is not here')
        if (group.roster.add(entry)) ops.push(shelf.putEntry(group, entry))
        told.add(entry.ref)
        known++
      } catch (error) {
        refusal = toMeshError(error)
        logger.info('roster entry refused', { from, code: refusal.code })
      }
    }
    if (refusal !== undefined && known === 0) throw refusal
    return ops
  }

  /** Opens a frame if its chain is here. @throws ERR_GROUP_KEY, ERR_CRYPTO_OPEN, ERR_STATEMENT_*, ERR_WIRE_*, ERR_OVERLOADED */
  function openFrame(group: GroupRecord, from: Did, bytes: Uint8Array): (Taken & { readonly message: GroupMessage }) | undefined {
    const frame = decodeGroupFrame(bytes)
    const held = [...group.chains.values()].find((one) => one.from === from && isOfChain(frame, one.chain, one))
    // An earlier key of the chain may still be under way.
    if (held === undefined || frame.n < held.chain.first) return undefined
    const opened = openGroupFrame(held.chain, frame, { group: keyFromDid(group.id), epoch: held.epoch, sender: from })
    const { statement } = openStatement('message', opened.content, { now: clock.now(), lifetimeMsMax: groupMessageLifetimeMsMax })
    if (statement.to !== group.id) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the message was said in another group')
    if (statement.from !== from) throw new MeshError('ERR_STATEMENT_SENDER', 'the message was signed by somebody else than the member that sent it')
    const said = decodeSaid(statement.type, statement.payload, groupBodyBytesMax)
    const message: GroupMessage = { id: hex(statement.id), group: group.hex, from, type: statement.type, ...said, receivedAt: clock.now() }
    const kept = options.keep(message)
    const next: HeldChain = { ...held, chain: opened.chain }
    group.chains.set(chainName(next), next)
    return {
      message,
      ops: [...kept.ops, ...shelf.qualify(group, [shelf.putChain(group, next)])],
      done: () => options.onMessage(message),
      release: kept.release,
    }
  }
  /** What waited for a key of `from`. */
  function openPending(group: GroupRecord, from: Did): readonly Taken[] {
    const taken: Taken[] = []
    for (const [name, { from: author, frame, until }] of group.pending) {
      if (author !== from && until >= clock.now()) continue
      try {
        const opened = until < clock.now() ? { ops: [] } : openFrame(group, from, frame)
        if (opened === undefined) continue
        taken.push(opened)
      } catch (error) {
        logger.info('a group message that waited is not taken', { from, code: toMeshError(error).code })
      }
      group.pending.delete(name)
      taken.push({ ops: shelf.qualify(group, [shelf.delPending(group, name)]) })
    }
    return taken
  }
  function wait(group: GroupRecord, pending: PendingFrame): Taken {
    const bytes = [...group.pending.values()].reduce((sum, { frame }) => sum + frame.length, pending.frame.length)
    if (group.pending.size >= groupPendingMax || bytes > groupPendingBytesMax) {
      throw new MeshError('ERR_OVERLOADED', 'as many messages of this group as fit wait for their keys', { details: { retryAfterMs: minuteMs } })
    }
    const { name, op } = shelf.putPending(group, pending)
    group.pending.set(name, pending)
    return {
      ops: shelf.qualify(group, [op]),
      done: () => {
        if (wants.count(`ask ${group.hex} ${pending.from}`)) options.want(group, subject(pending.from))
      },
      release: ahead(group),
    }
  }

  const lines = new Map<string, Promise<unknown>>()
  /** One after the other in each group, in the order in which they came: a key is of nothing before its epoch is here. */
  async function inLine<B extends { readonly group: Uint8Array }>(body: B, act: (body: B) => Promise<Taken>): Promise<Taken> {
    const name = hex(body.group)
    const before = lines.get(name) ?? Promise.resolve()
    const turn = before.then(() => act(body))
    const over = turn.then(
      () => undefined,
      () => undefined,
    )
    lines.set(name, over)
    void over.then(() => lines.get(name) === over && lines.delete(name))
    return await turn
  }

  return {
    roster: (message) =>
      inLine(rosterBody.decode(bytesOfBody(message)), async (body) => {
        const { group, isNew } = await groupFor(body.group, message.from)
        const before = group.roster.head()?.entry.ref
        const drop = (): void => void (isNew && groups.delete(group.hex))
        try {
          const ops = takeEntries(group, message.from, body.entries)
          if (group.roster.head() === undefined) throw new MeshError('ERR_GROUP_INVALID', 'the log of a group begins with its first entry')
          return {
            ops: shelf.qualify(group, ops),
            done: () => {
              if (group.roster.head()?.entry.ref !== before) options.onRoster(group)
            },
            release: ahead(group, drop),
          }
        } catch (error) {
          drop()
          throw error
        }
      }),
    key: (message) =>
      inLine(keyBody.decode(bytesOfBody(message)), async ({ group: id, epoch, key }) => {
        const group = await shared(id, message.from)
        const members = group.roster.at(hex(epoch))?.members
        if (members === undefined) throw new MeshError('ERR_GROUP_INVALID', 'the key is of an epoch that is not known here')
        if (!members.has(subject(message.from)) || !members.has(did)) throw denied('not both of us were in that epoch')
        const given: HeldChain = { from: message.from, epoch, chain: receivingChain(checkedSenderKey(key)) }
        const name = chainName(given)
        const before = group.chains.get(name)
        const held = before === undefined ? given : { ...before, chain: receivingChain(given.chain, before.chain) }
        if (held.chain === before?.chain) return { ops: [] }
        group.chains.set(name, held)
        const own = [...group.chains].filter(([, { from }]) => from === message.from).map(([own]) => own)
        const gone = own.slice(0, Math.max(0, own.length - groupChainsMax))
        for (const old of gone) group.chains.delete(old)
        const waited = openPending(group, message.from)
        // After those that waited: their keys are in it by now.
        const now = group.chains.get(name) ?? held
        return {
          ops: [...waited.flatMap(({ ops }) => ops), ...shelf.qualify(group, [shelf.putChain(group, now), ...gone.map((old) => shelf.delChain(group, old))])],
          done: () => waited.forEach((taken) => taken.done?.()),
          release: ahead(group, () => waited.forEach((taken) => taken.release?.())),
        }
      }),
    frame: (message) =>
      inLine(frameBody.decode(bytesOfBody(message)), async ({ group: id, frame }) => {
        const group = await shared(id, message.from)
        const opened = openFrame(group, message.from, frame)
        if (opened === undefined) return wait(group, { from: message.from, frame, until: clock.now() + groupMessageLifetimeMsMax + clockSkewMsMax })
        return { ...opened, release: ahead(group, opened.release) }
      }),
    want: (message) =>
      inLine(plainBody.decode(bytesOfBody(message)), async ({ group: id }) => {
        const group = await shared(id, message.from)
        if (!wants.count(`give ${group.hex} ${message.from}`)) {
          throw new MeshError('ERR_OVERLOADED', 'the key was asked for too often', { details: { retryAfterMs: minuteMs } })
        }
        return { ops: [], done: () => options.handOver(group, subject(message.from)) }
      }),
    leave: (message) =>
      inLine(plainBody.decode(bytesOfBody(message)), async ({ group: id }) => {
        const group = await shared(id, message.from)
        group.leaving.add(subject(message.from))
        return { ops: shelf.qualify(group, [shelf.putFlags(group)]), done: () => options.onRoster(group), release: ahead(group) }
      }),
  }
}
