import { base64url, type Clock, hex, type Logger, MeshError, type Random, toMeshError, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { elapsedMs, keptMoment, moment, type Moment } from './elapsed.ts'
import { inviteCodec, inviteLifeMs, type StoredInvite } from './records.ts'
import type { RoleName } from './types.ts'

/** One-time links that are open at a time. Source: auth/v1 section 4. */
export const userInvitesMax = 64
const inviteTokenBytes = 32
const inviteTokenChars = 43

/** A one-time link as people see it; its token is shown once. */
export interface InviteView {
  readonly id: string
  readonly role: RoleName
  readonly name?: string | undefined
  readonly createdAt: number
  readonly expiresAt: number
}

export interface InviteEntry extends StoredInvite {
  readonly id: string
  readonly since: Moment
}

/** Open one-time links. Writes are for a durable batch of the caller's. */
export interface UserInvites {
  list(): readonly InviteEntry[]
  /** @throws ERR_LINK_SPENT */
  open(token: string): InviteEntry
  find(id: string): InviteEntry | undefined
  /** @throws ERR_OVERLOADED */
  make(draft: Pick<StoredInvite, 'role' | 'name' | 'by' | 'first'>): { readonly token: string; readonly entry: InviteEntry; readonly ops: readonly StoreOp[] }
  erase(ids: readonly string[]): readonly StoreOp[]
  /** After the batch is on disk. */
  remember(entry: InviteEntry): void
  drop(ids: readonly string[]): void
}

export const viewInvite = ({ id, role, name, createdAt }: InviteEntry): InviteView => ({
  ...{ id, role, createdAt, expiresAt: createdAt + inviteLifeMs },
  ...(name === undefined ? {} : { name }),
})

export const linkSpent = (): MeshError => new MeshError('ERR_LINK_SPENT', 'the link is not open: never made, used, withdrawn or past its time')

export interface UserInvitesOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export async function openUserInvites({ store, clock, random, logger }: UserInvitesOptions): Promise<UserInvites> {
  const entries = new Map<string, InviteEntry>()
  const over: StoreOp[] = []
  for await (const [id, bytes] of store.range({})) {
    const stored = inviteCodec.decode(bytes)
    const since = keptMoment(clock, stored.createdAt)
    if (since === undefined) over.push(del(id))
    else entries.set(id, { id, ...stored, since })
  }
  if (over.length > 0) await store.durable(over)
  const isOpen = ({ since }: InviteEntry): boolean => elapsedMs(clock, since) < inviteLifeMs
  /** Takes out what is past its time, for good. */
  function sweep(): void {
    const late = [...entries.values()].filter((entry) => !isOpen(entry)).map(({ id }) => id)
    for (const id of late) entries.delete(id)
    if (late.length === 0) return
    store.durable(late.map((id) => del(id))).catch((error: unknown) => logger.warn('a link that ended is on disk still', { code: toMeshError(error).code }))
  }
  return {
    list() {
      sweep()
      return [...entries.values()]
    },
    open(token) {
      sweep()
      const hash = token.length === inviteTokenChars ? hex(sha256(utf8(token))) : undefined
      const entry = [...entries.values()].find(({ tokenHash }) => hex(tokenHash) === hash)
      if (entry === undefined) throw linkSpent()
      return entry
    },
    find(id) {
      sweep()
      return entries.get(id)
    },
    make({ role, name, by, first }) {
      sweep()
      if (entries.size >= userInvitesMax) {
        throw new MeshError('ERR_OVERLOADED', `${userInvitesMax} links are open`, { hint: 'withdraw some, or wait until they end' })
      }
      const token = base64url(random.bytes(inviteTokenBytes))
      const since = moment(clock)
      const stored: StoredInvite = { tokenHash: sha256(utf8(token)), role, name, createdAt: since.at, by, first }
      // No id begins with a dash: on a command line that is an option.
      const id = hex(random.bytes(9))
      return { token, entry: { id, ...stored, since }, ops: store.qualify([put(id, inviteCodec.encode({ version: 1, ...stored }))]) }
    },
    erase: (ids) => store.qualify(ids.map((id) => del(id))),
    remember: (entry) => void entries.set(entry.id, entry),
    drop(ids) {
      for (const id of ids) entries.delete(id)
    },
  }
}
