import { base64url, MeshError, nameLook, plainName } from '../base/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { type StoredCredential, type StoredUser, userCodec, userNameCharsMax, usersMax } from './records.ts'
import type { CredentialView, User } from './types.ts'

/** A user with all that is kept. */
export interface UserEntry extends StoredUser {
  readonly id: string
}

/** Users and their passkeys: in memory, and on disk. Writes are for a durable batch of the caller's, `remember` and `drop` for after it. */
export interface UserBook {
  list(): readonly UserEntry[]
  find(id: string): UserEntry | undefined
  /** By a name in any spelling that looks like it. */
  named(name: string): UserEntry | undefined
  /** Whose passkey it is. */
  holder(credential: Uint8Array): { readonly user: UserEntry; readonly credential: StoredCredential } | undefined
  /** The passkey is that user's, and in use. */
  holds(id: string, credential: Uint8Array): boolean
  /** @throws ERR_NOT_FOUND */
  get(id: string): UserEntry
  write(entry: UserEntry): readonly StoreOp[]
  erase(id: string): readonly StoreOp[]
  remember(entry: UserEntry): void
  drop(id: string): void
  /** The form in which a new user's name is kept. @throws ERR_USAGE, ERR_NAME_TAKEN, ERR_OVERLOADED */
  freeName(text: string): string
}

export const viewUser = ({ id, name, role, createdAt, lastLoginAt }: UserEntry): User => ({
  ...{ id, name, role, createdAt },
  ...(lastLoginAt === undefined ? {} : { lastLoginAt }),
})

export const viewCredential = ({ id, label, createdAt, lastUsedAt, backedUp, disabled }: StoredCredential): CredentialView => ({
  ...{ id: base64url(id), label, createdAt, backedUp, disabled },
  ...(lastUsedAt === undefined ? {} : { lastUsedAt }),
})

/** @throws ERR_USAGE for one that people could take for another, or that turns or hides the text around it */
export function parseUserName(text: string): string {
  const plain = plainName(text, userNameCharsMax)
  if (plain.ok) return plain.name
  throw new MeshError('ERR_USAGE', `no name of a user: ${plain.reason}`, {
    hint: `letters and digits of one script, also . _ - ' and single spaces, at most ${userNameCharsMax}`,
  })
}

export async function openUserBook(store: Store): Promise<UserBook> {
  const users = new Map<string, UserEntry>()
  const byLook = new Map<string, string>()
  const byCredential = new Map<string, string>()
  function drop(id: string): void {
    const entry = users.get(id)
    if (entry === undefined) return
    users.delete(id)
    byLook.delete(nameLook(entry.name))
    for (const credential of entry.credentials) byCredential.delete(base64url(credential.id))
  }
  function remember(entry: UserEntry): void {
    drop(entry.id)
    users.set(entry.id, entry)
    byLook.set(nameLook(entry.name), entry.id)
    for (const credential of entry.credentials) byCredential.set(base64url(credential.id), entry.id)
  }
  const find = (id: string | undefined): UserEntry | undefined => (id === undefined ? undefined : users.get(id))
  for await (const [id, bytes] of store.range({})) remember({ id, ...userCodec.decode(bytes) })

  const holder: UserBook['holder'] = (id) => {
    const user = find(byCredential.get(base64url(id)))
    const credential = user?.credentials.find((other) => base64url(other.id) === base64url(id))
    return user === undefined || credential === undefined ? undefined : { user, credential }
  }

  return {
    list: () => [...users.values()].toSorted((a, b) => a.createdAt - b.createdAt || a.name.localeCompare(b.name)),
    find,
    named: (name) => find(byLook.get(nameLook(name.slice(0, userNameCharsMax).normalize('NFKC').trim()))),
    holder,
    holds(id, credential) {
      const held = holder(credential)
      return held?.user.id === id && !held.credential.disabled
    },
    get(id) {
      const entry = users.get(id)
      if (entry === undefined) throw new MeshError('ERR_NOT_FOUND', `no user ${JSON.stringify(id.slice(0, 64))} here`, { hint: 'see `kindmesh user list`' })
      return entry
    },
    write: ({ id, ...entry }) => store.qualify([put(id, userCodec.encode({ version: 1, ...entry }))]),
    erase: (id) => store.qualify([del(id)]),
    remember,
    drop,
    freeName(text) {
      const name = parseUserName(text)
      if (byLook.has(nameLook(name))) {
        throw new MeshError('ERR_NAME_TAKEN', 'another user has that name, or one that looks like it', { hint: 'choose another name' })
      }
      if (users.size >= usersMax) throw new MeshError('ERR_OVERLOADED', `${usersMax} users are kept`, { hint: 'remove those who left' })
      return name
    },
  }
}
