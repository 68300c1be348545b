import { base64url, type Clock, hex, type Logger, minuteMs, type Random, toMeshError, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { deviceLabel } from './device.ts'
import { elapsedMs, keptMoment, moment, type Moment } from './elapsed.ts'
import type { FactorType } from './factors.ts'
import { sessionCodec } from './records.ts'
import type { LoginContext, OpenedSession, RoleName, Session } from './types.ts'

/** Bytes of a session's token. Source: auth/v1 section 5. */
export const sessionTokenBytes = 32
const sessionTokenChars = 43
/** Sessions of one user; the one not seen for longest makes room. Source: auth/v1 section 5. */
export const sessionsPerUserMax = 16
/** How often it is written down that a session was seen. */
export const seenWriteEveryMs = minuteMs
/** How long a verification of the person counts for acts of high risk. Source: auth/v1 section 6. */
export const stepUpLifeMs = 5 * minuteMs

export interface SessionLife {
  readonly absoluteMs: number
  readonly idleMs: number
}

interface Entry {
  readonly id: string
  readonly userId: string
  readonly tokenHash: Uint8Array
  readonly created: Moment
  seen: Moment
  /** What is on disk of `seen`. */
  seenWritten: Moment
  readonly steppedUp: Moment | undefined
  readonly factors: readonly FactorType[]
  readonly credential: Uint8Array | undefined
  readonly device: string
}

export interface SessionDraft {
  readonly userId: string
  readonly factors: readonly FactorType[]
  readonly credential?: Uint8Array | undefined
  readonly context: LoginContext
  /** The person was verified just now. */
  readonly isVerified: boolean
}

/** A session that is open once its writes are on disk and `commit` was called. What it takes the place of is over at once. */
export interface MadeSession {
  readonly session: OpenedSession
  readonly ops: readonly StoreOp[]
  /** Sessions that end with it, for which it makes room or whose place it takes. */
  readonly ended: readonly Session[]
  commit(): void
}

/** Who is logged in: in memory, and on disk for the next start. Writes are for a durable batch of the caller's. */
export interface Sessions {
  /** The live session of a token; it was seen now. */
  find(token: string): Session | undefined
  get(id: string): Session | undefined
  list(userId?: string): readonly Session[]
  make(draft: SessionDraft): MadeSession
  /** The same session under a new token, its person verified just now. */
  renew(id: string): MadeSession | undefined
  /** Ends sessions, at once; the writes that make it last. */
  end(ids: readonly string[]): readonly StoreOp[]
  /** The person behind it was verified within the time that counts. */
  isFresh(session: Session): boolean
  ofCredential(credential: Uint8Array): readonly Session[]
}

export interface SessionsOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  life(): SessionLife
  /** Undefined when there is no such user any more. */
  roleOf(userId: string): RoleName | undefined
}

const keyOf = (tokenHash: Uint8Array): string => hex(tokenHash)

export async function openSessions({ store, clock, random, logger, life, roleOf }: SessionsOptions): Promise<Sessions> {
  const byId = new Map<string, Entry>()
  const byToken = new Map<string, Entry>()
  const stale: StoreOp[] = []
  for await (const [id, bytes] of store.range({})) {
    const { userId, tokenHash, factors, credential, device, ...kept } = sessionCodec.decode(bytes)
    const [created, seen] = [keptMoment(clock, kept.createdAt), keptMoment(clock, kept.lastSeenAt)]
    // Of a time that is yet to come: the clock went back, and nobody knows how old it is.
    if (created === undefined || seen === undefined) stale.push(del(id))
    else {
      const steppedUp = kept.steppedUpAt === undefined ? undefined : keptMoment(clock, kept.steppedUpAt)
      add({ id, userId, tokenHash, created, seen, seenWritten: seen, steppedUp, factors, credential, device })
    }
  }
  for (const { id } of [...byId.values()].filter((entry) => !isLive(entry))) {
    stale.push(del(id))
    drop(id)
  }
  if (stale.length > 0) await store.durable(stale)

  function add(entry: Entry): void {
    byId.set(entry.id, entry)
    byToken.set(keyOf(entry.tokenHash), entry)
  }
  function drop(id: string): void {
    const entry = byId.get(id)
    if (entry === undefined) return
    byId.delete(id)
    byToken.delete(keyOf(entry.tokenHash))
  }
  function isLive({ userId, created, seen }: Entry): boolean {
    const { absoluteMs, idleMs } = life()
    return roleOf(userId) !== undefined && elapsedMs(clock, created) < absoluteMs && elapsedMs(clock, seen) < idleMs
  }
  /** The entry while it lives; one whose time is over goes for good, whatever the clock says later. */
  function living(entry: Entry | undefined): Entry | undefined {
    if (entry === undefined || isLive(entry)) return entry
    drop(entry.id)
    write(store.durable([del(entry.id)]))
    return undefined
  }
  const write = (written: Promise<void>): void =>
    void written.catch((error: unknown) => logger.warn('a session is not on disk', { code: toMeshError(error).code }))
  const record = ({ id, userId, tokenHash, created, seen, steppedUp, factors, credential, device }: Entry): StoreOp =>
    put(
      id,
      sessionCodec.encode({
        ...{ version: 1, userId, tokenHash, factors, credential, device },
        ...{ createdAt: created.at, lastSeenAt: seen.at, steppedUpAt: steppedUp?.at },
      }),
    )
  const view = ({ id, userId, created, seen, steppedUp, factors, device }: Entry): Session => ({
    id,
    userId,
    role: roleOf(userId) ?? 'agent',
    createdAt: created.at,
    lastSeenAt: seen.at,
    ...(steppedUp === undefined ? {} : { steppedUpAt: steppedUp.at }),
    factors,
    device,
  })
  const all = (userId?: string): readonly Entry[] =>
    [...byId.values()].filter((entry) => (userId === undefined || entry.userId === userId) && living(entry) !== undefined)
  function made(entry: Omit<Entry, 'tokenHash'>, ended: readonly Entry[]): MadeSession {
    const token = base64url(random.bytes(sessionTokenBytes))
    const next: Entry = { ...entry, tokenHash: sha256(utf8(token)) }
    // At once: one that is seen in the meantime would be written again behind its end.
    for (const { id } of [...ended, next]) drop(id)
    return {
      session: { ...view(next), token, expiresAt: next.created.at + life().absoluteMs },
      ops: store.qualify([...ended.map(({ id }) => del(id)), record(next)]),
      ended: ended.map(view),
      commit: () => add(next),
    }
  }
  function find(token: string): Entry | undefined {
    return token.length === sessionTokenChars ? living(byToken.get(keyOf(sha256(utf8(token))))) : undefined
  }

  return {
    find(token) {
      const entry = find(token)
      if (entry === undefined) return undefined
      entry.seen = moment(clock)
      if (elapsedMs(clock, entry.seenWritten) >= seenWriteEveryMs) {
        entry.seenWritten = entry.seen
        write(store.batch([record(entry)]))
      }
      return view(entry)
    },
    get(id) {
      const entry = living(byId.get(id))
      return entry === undefined ? undefined : view(entry)
    },
    list: (userId) =>
      all(userId)
        .toSorted((a, b) => b.seen.tick - a.seen.tick)
        .map(view),
    make({ userId, factors, credential, context, isVerified }) {
      const now = moment(clock)
      const replaced = context.replaces === undefined ? undefined : find(context.replaces)
      const own = all(userId)
        .filter((entry) => entry !== replaced)
        .toSorted((a, b) => a.seen.tick - b.seen.tick)
      const ended = [...own.slice(0, Math.max(0, own.length - sessionsPerUserMax + 1)), ...(replaced === undefined ? [] : [replaced])]
      return made(
        {
          ...{ id: hex(random.bytes(12)), userId, created: now, seen: now, seenWritten: now, factors, credential },
          ...{ steppedUp: isVerified ? now : undefined, device: deviceLabel(context.userAgent) },
        },
        ended,
      )
    },
    renew(id) {
      const entry = living(byId.get(id))
      if (entry === undefined) return undefined
      const now = moment(clock)
      return made({ ...entry, seen: now, seenWritten: now, steppedUp: now }, [])
    },
    end(ids) {
      for (const id of ids) drop(id)
      return store.qualify(ids.map((id) => del(id)))
    },
    isFresh({ id }) {
      const steppedUp = living(byId.get(id))?.steppedUp
      return steppedUp !== undefined && elapsedMs(clock, steppedUp) < stepUpLifeMs
    },
    ofCredential: (credential) =>
      all()
        .filter((entry) => entry.credential !== undefined && base64url(entry.credential) === base64url(credential))
        .map(view),
  }
}
