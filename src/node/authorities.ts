import { type Audit, authorityListAdded, authorityListRemoved, authorityListUpdated } from '../audit/index.ts'
import { base64, type Clock, type Did, MeshError } from '../base/index.ts'
import { type Keyring, signedJsonBytesMax, signedJsonInput } from '../identity/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { type Attestation, type Level, TrustLevel } from '../trust/index.ts'
import { bytesUpTo, codec, instant, intWithin, listOf, row, textUpTo } from '../wire/index.ts'
import {
  attestationsOf,
  type AuthorityListFile,
  authorityListText,
  checkSuccession,
  listAudience,
  listIssuer,
  parseAuthorityList,
  type SignerBook,
  signersOf,
} from './authority-list.ts'

/** Authority lists of one node. Source: join/v1 section 12. */
export const authorityListsMax = 64

const stored = codec(
  'authority list',
  row({
    text: bytesUpTo(2 * signedJsonBytesMax),
    level: intWithin(TrustLevel.BASIC, TrustLevel.AUTHORITY),
    scopes: listOf(textUpTo(64), 8),
    addedAt: instant,
    updatedAt: instant,
  }),
  2 * signedJsonBytesMax + 1_024,
)

/** A list this node follows. Times in ms since 1970. */
export interface FollowedList {
  readonly name: string
  readonly version: number
  readonly expires: number
  readonly threshold: number
  readonly keys: readonly Did[]
  readonly entries: number
  /** Most that an entry counts for here, and where. */
  readonly level: Level
  readonly scopes: readonly string[]
  readonly addedAt: number
  readonly updatedAt: number
}

export interface FollowOptions {
  /** Most that an entry counts for; VERIFIED unless given. */
  readonly level?: Level | undefined
  /** `/task/run` unless given. */
  readonly scopes?: readonly string[] | undefined
}

/** Lists of identities that several keepers sign together. Source: join/v1 section 12. */
export interface Authorities {
  /** What a file says and who signed it; nothing is kept. @throws ERR_LIST_INVALID */
  inspect(text: string): {
    readonly list: AuthorityListFile['list']
    readonly signers: readonly Did[]
    readonly isGood: boolean
    readonly reason: string | undefined
  }
  /** Follows a list, or takes its next version. @throws ERR_LIST_INVALID, ERR_OVERLOADED, ERR_USAGE */
  add(text: string, options?: FollowOptions): Promise<FollowedList>
  list(): readonly FollowedList[]
  /** @throws ERR_NOT_FOUND */
  remove(name: string): Promise<FollowedList>
  /** The same text with this node's signature. @throws ERR_LIST_INVALID when it is none of the keepers */
  sign(text: string): string
}

export interface AuthoritiesOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly audit: Audit
  readonly book: SignerBook
  /** Takes what a list says in place of what it said before. */
  derive(source: string, attestations: readonly Attestation[]): void
}

interface Followed extends FollowedList {
  readonly file: AuthorityListFile
  readonly text: string
}

export async function openAuthorities({ store, keyring, clock, audit, book, derive }: AuthoritiesOptions): Promise<Authorities> {
  const self = keyring.identity
  const followed = new Map<string, Followed>()
  const speak = ({ name, file, level, scopes, addedAt }: Followed): void => derive(listIssuer(name), attestationsOf(file, { level, scopes, addedAt }, self))
  for await (const [, bytes] of store.range({})) {
    const { text, ...rest } = stored.decode(bytes)
    const entry = followedOf(new TextDecoder().decode(text), { ...rest, level: rest.level as Level })
    followed.set(entry.name, entry)
    speak(entry)
  }
  const view = ({ file: _file, text: _text, ...rest }: Followed): FollowedList => rest

  return {
    inspect(text) {
      const file = parseAuthorityList(text)
      const signers = signersOf(file, file.list.keys, book)
      try {
        checkSuccession(file, followed.get(file.list.name)?.file, { now: clock.now(), book })
        return { list: file.list, signers, isGood: true, reason: undefined }
      } catch (error) {
        if (!(error instanceof MeshError)) throw error
        return { list: file.list, signers, isGood: false, reason: error.message }
      }
    },
    async add(text, { level, scopes } = {}) {
      const file = parseAuthorityList(text)
      const { name, version } = file.list
      const before = followed.get(name)
      checkSuccession(file, before?.file, { now: clock.now(), book })
      if (before === undefined && followed.size >= authorityListsMax) {
        throw new MeshError('ERR_OVERLOADED', `${authorityListsMax} lists are followed`, { hint: 'remove one' })
      }
      const now = clock.now()
      const entry = followedOf(text, {
        level: level ?? before?.level ?? TrustLevel.VERIFIED,
        scopes: [...(scopes ?? before?.scopes ?? ['/task/run'])],
        addedAt: before?.addedAt ?? now,
        updatedAt: now,
      })
      if (entry.level < TrustLevel.BASIC) throw new MeshError('ERR_USAGE', 'a list counts for basic or more')
      const facts = { did: self, name, version, hash: file.hash }
      const event = before === undefined ? authorityListAdded({ ...facts, level: entry.level, scopes: entry.scopes }) : authorityListUpdated(facts)
      const value = stored.encode({
        text: new TextEncoder().encode(text),
        level: entry.level,
        scopes: [...entry.scopes],
        addedAt: entry.addedAt,
        updatedAt: now,
      })
      await audit.record(event, store.qualify([put(name, value)]))
      followed.set(name, entry)
      speak(entry)
      return view(entry)
    },
    list: () => [...followed.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1)).map(view),
    async remove(name) {
      const entry = followed.get(name)
      if (entry === undefined) throw new MeshError('ERR_NOT_FOUND', `no list ${name} is followed`, { hint: '`kindmesh authorities list` names them' })
      await audit.record(authorityListRemoved({ did: self, name, version: entry.version, hash: entry.file.hash }), store.qualify([del(name)]))
      followed.delete(name)
      derive(listIssuer(name), [])
      return view(entry)
    },
    sign(text) {
      const file = parseAuthorityList(text)
      if (!file.list.keys.map(book.subject).includes(self)) {
        throw new MeshError('ERR_LIST_INVALID', `list ${file.list.name} does not name this node among its keys`, { hint: `its maker adds ${self}` })
      }
      const others = file.signatures.filter(({ did }) => book.subject(did) !== self)
      const signature = base64(keyring.sign(signedJsonInput(file.signed, listAudience)))
      return authorityListText(file.signed, [...others, { did: keyring.did, signature }])
    },
  }
}

function followedOf(text: string, kept: Pick<FollowedList, 'level' | 'scopes' | 'addedAt' | 'updatedAt'>): Followed {
  const file = parseAuthorityList(text)
  const { name, version, expires, threshold, keys, entries } = file.list
  return { name, version, expires, threshold, keys, entries: entries.length, ...kept, file, text }
}
