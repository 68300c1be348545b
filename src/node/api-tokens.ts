import { type Audit, apiTokenCreated, apiTokenMisused, apiTokenRevoked } from '../audit/index.ts'
import { base64url, type Clock, createTally, dayMs, type Did, hex, type Logger, MeshError, minuteMs, type Random, toMeshError, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { apiRights, type Command, rightsCover } from '../policy/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { bytesOf, codec, instant, listOf, literal, row, textUpTo } from '../wire/index.ts'

/** Tokens of the local API that are kept. Source: api/v1 section 4. */
export const apiTokensMax = 256
/** Longest life of a token. */
export const apiTokenLifetimeMsMax = 400 * dayMs
/** Life of a token unless said otherwise. */
export const apiTokenLifetimeMsDefault = 30 * dayMs
/** Rights of one token. */
export const apiTokenRightsMax = 32
export const surfaceCharsMax = 32
/** Tokens shown as another surface's that are written down per minute. */
export const misusesNotedMax = 20
const secretBytesLength = 32

/** Surfaces whose credentials are made elsewhere. */
const reserved: ReadonlySet<string> = new Set(['cli', 'console'])
const surfaceForm = /^[a-z][a-z0-9-]*$/

export interface ApiTokenView {
  readonly id: string
  /** The program it is for; shown as another, it is refused. */
  readonly surface: string
  readonly rights: readonly Command[]
  /** Whose call made it: `user:<id>`, `token:<id>`, or the node's own command line. */
  readonly madeBy: string
  /** ms since 1970 */
  readonly createdAt: number
  readonly expiresAt: number
  /** Since the node started. */
  readonly lastUsedAt: number | undefined
}

/** Who makes a token, and what it may at most. */
export interface ApiTokenMaker {
  readonly by: string
  readonly rights: readonly Command[]
  readonly expiresAt?: number | undefined
}

/** Tokens with which programs of this machine use the API. */
export interface ApiTokens {
  /** The text is shown once and kept nowhere. @throws ERR_USAGE, ERR_POLICY_DENIED for a right its maker does not have, ERR_OVERLOADED */
  create(
    fields: { readonly surface: string; readonly rights: readonly Command[]; readonly lifetimeMs?: number | undefined },
    maker?: ApiTokenMaker,
  ): Promise<ApiTokenView & { readonly token: string }>
  list(): readonly ApiTokenView[]
  /** Ends it at once, and those made with it. By its id or the beginning of one. @throws ERR_NOT_FOUND, ERR_USAGE */
  revoke(id: string): Promise<ApiTokenView>
  /** The token with this text while it counts; `shownAs` is the surface its bearer says to be. */
  check(text: string, shownAs?: string): ApiTokenView | undefined
}

interface Kept extends Omit<ApiTokenView, 'lastUsedAt'> {
  readonly hash: Uint8Array
}

const stored = codec<Kept & { readonly version: 1 }>(
  'API token',
  row({
    version: literal(1),
    id: textUpTo(32),
    hash: bytesOf(32),
    surface: textUpTo(surfaceCharsMax),
    rights: listOf(textUpTo(64), apiTokenRightsMax),
    madeBy: textUpTo(128),
    createdAt: instant,
    expiresAt: instant,
  }),
  4_096,
)

export interface ApiTokensOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly audit: Pick<Audit, 'record'>
  readonly logger: Logger
  readonly did: Did
  /** Rights of a person as they are now; undefined when there is nobody of that id. */
  rightsOfUser?(id: string): readonly Command[] | undefined
}

const machine: ApiTokenMaker = { by: 'machine', rights: ['/'] }

export async function openApiTokens({ store, clock, random, audit, logger, did, rightsOfUser }: ApiTokensOptions): Promise<ApiTokens> {
  const tokens = new Map<string, Kept>()
  const byHash = new Map<string, string>()
  const usedAt = new Map<string, number>()
  const tally = createTally<string>({ clock, most: misusesNotedMax, windowMs: minuteMs })
  for await (const [, bytes] of store.range({})) remember(stored.decode(bytes))

  function remember(token: Kept): void {
    tokens.set(token.id, token)
    byHash.set(hex(token.hash), token.id)
  }
  function drop({ id, hash }: Kept): void {
    tokens.delete(id)
    byHash.delete(hex(hash))
    usedAt.delete(id)
  }
  const viewOf = ({ hash: _hash, ...view }: Kept): ApiTokenView => ({ ...view, lastUsedAt: usedAt.get(view.id) })

  /** What a token still gives: never more than its maker has now, nothing once its maker is gone. */
  function rightsNow({ rights, madeBy, expiresAt }: Kept): readonly Command[] {
    if (expiresAt <= clock.now()) return []
    if (madeBy === machine.by) return rights
    const [kind, id = ''] = madeBy.split(':')
    const parent = kind === 'token' ? tokens.get(id) : undefined
    const most = kind === 'user' ? rightsOfUser?.(id) : parent === undefined ? undefined : rightsNow(parent)
    return most === undefined ? [] : rights.filter((right) => rightsCover(most, right))
  }

  function find(start: string): Kept {
    const found = [...tokens.values()].filter(({ id }) => id.startsWith(start))
    if (found.length > 1) throw new MeshError('ERR_USAGE', `several tokens begin with ${start.slice(0, 32)}`)
    if (found[0] === undefined || start === '') throw new MeshError('ERR_NOT_FOUND', `no token ${start.slice(0, 32)}`, { hint: 'see `kindmesh token list`' })
    return found[0]
  }

  return {
    async create({ surface, rights, lifetimeMs = apiTokenLifetimeMsDefault }, maker = machine) {
      checkFields(surface, rights, lifetimeMs)
      const over = rights.find((right) => !rightsCover(maker.rights, right))
      if (over !== undefined) {
        throw new MeshError('ERR_POLICY_DENIED', `its maker does not have ${over}`, { hint: 'a token has no more rights than who makes it' })
      }
      const now = clock.now()
      const expired = [...tokens.values()].filter(({ expiresAt }) => expiresAt <= now)
      if (tokens.size - expired.length >= apiTokensMax) {
        throw new MeshError('ERR_OVERLOADED', `${apiTokensMax} tokens are kept`, { hint: 'revoke some: `kindmesh token list`' })
      }
      const text = `km.${surface}.${base64url(random.bytes(secretBytesLength))}`
      const expiresAt = Math.min(now + lifetimeMs, maker.expiresAt ?? Infinity)
      const token: Kept = { id: hex(random.bytes(8)), hash: sha256(utf8(text)), surface, rights, madeBy: maker.by, createdAt: now, expiresAt }
      const ops = [put(token.id, stored.encode({ version: 1, ...token })), ...expired.map(({ id }) => del(id))]
      await audit.record(apiTokenCreated({ did, id: token.id, surface, rights, expiresAt }), store.qualify(ops))
      expired.forEach(drop)
      remember(token)
      return { ...viewOf(token), token: text }
    },
    list: () => [...tokens.values()].toSorted((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)).map(viewOf),
    async revoke(start) {
      const token = find(start)
      await audit.record(apiTokenRevoked({ did, id: token.id, surface: token.surface }), store.qualify([del(token.id)]))
      const view = viewOf(token)
      drop(token)
      return view
    },
    check(text, shownAs) {
      const token = tokens.get(byHash.get(hex(sha256(utf8(text)))) ?? '')
      if (token === undefined) return undefined
      if (shownAs !== undefined && shownAs !== token.surface) {
        if (tally.count(token.id)) {
          audit
            .record(apiTokenMisused({ did, id: token.id, surface: token.surface, shown: shownAs.slice(0, surfaceCharsMax) }))
            .catch((error: unknown) => logger.error('a misused token is not in the audit log', { code: toMeshError(error).code }))
        }
        return undefined
      }
      const rights = rightsNow(token)
      if (rights.length === 0) return undefined
      usedAt.set(token.id, clock.now())
      return { ...viewOf(token), rights }
    },
  }
}

function checkFields(surface: string, rights: readonly Command[], lifetimeMs: number): void {
  const problem = fieldsProblem(surface, rights, lifetimeMs)
  if (problem !== undefined) throw new MeshError('ERR_USAGE', problem)
}

function fieldsProblem(surface: string, rights: readonly Command[], lifetimeMs: number): string | undefined {
  if (!surfaceForm.test(surface) || surface.length > surfaceCharsMax) return 'a surface is named by small letters, digits and dashes, such as mcp'
  if (reserved.has(surface)) return `${surface} has credentials of its own`
  if (rights.length === 0 || rights.length > apiTokenRightsMax) return `a token has 1 to ${apiTokenRightsMax} rights`
  const unknown = rights.find((right) => right !== '/api' && !Object.hasOwn(apiRights, right))
  if (unknown !== undefined) return `there is no right ${unknown.slice(0, 64)}; there are ${Object.keys(apiRights).join(', ')}`
  if (!Number.isSafeInteger(lifetimeMs) || lifetimeMs < 1 || lifetimeMs > apiTokenLifetimeMsMax) return 'a token lives at most 400 days'
  return undefined
}
