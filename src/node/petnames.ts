import { type Audit, nameRemoved, nameSet } from '../audit/index.ts'
import { type Clock, type Did, MeshError, nameLook, plainName } from '../base/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { codec, did, instant, row, textUpTo } from '../wire/index.ts'

/** Longest petname, in UTF-16 units. Source: join/v1 section 8. */
export const petnameCharsMax = 48
/** Petnames of one node. Source: join/v1 section 8. */
export const petnamesMax = 10_000

/** A name of the operator's own for somebody. Nobody else's word sets one. */
export interface Petname {
  readonly name: string
  readonly did: Did
  /** ms since 1970 */
  readonly since: number
}

export interface Petnames {
  /** Gives somebody a name. A name that leads to somebody else is replaced only when that is said. @throws ERR_USAGE, ERR_NAME_TAKEN, ERR_OVERLOADED */
  set(name: string, did: Did, options?: { readonly replace?: boolean | undefined }): Promise<Petname>
  /** In order of name. */
  list(): readonly Petname[]
  /** @throws ERR_NOT_FOUND */
  remove(name: string): Promise<Petname>
  /** Whom a text names, when it is a petname. */
  find(text: string): Did | undefined
  /** The first name somebody was given. */
  nameOf(did: Did): string | undefined
}

const stored = codec('petname', row({ name: textUpTo(petnameCharsMax), did, since: instant }), 512)

/** The form in which a name is kept. @throws ERR_USAGE for one that could pass for a DID, an address or another name */
export function parsePetname(text: string): string {
  const plain = plainName(text, petnameCharsMax)
  if (plain.ok) return plain.name
  throw new MeshError('ERR_USAGE', `no petname: ${plain.reason}`, {
    hint: `letters and digits of one script, also . _ - ' and single spaces, at most ${petnameCharsMax}`,
  })
}

const keyOf = (name: string): string => name.toLowerCase().normalize('NFKC')

export interface PetnamesOptions {
  readonly store: Store
  readonly clock: Clock
  readonly audit: Audit
  readonly self: Did
  /** The identity of a key, as it is known at the time of the call. */
  subject(key: Did): Did
}

export async function openPetnames({ store, clock, audit, self, subject }: PetnamesOptions): Promise<Petnames> {
  const names = new Map<string, Petname>()
  const skeletons = new Map<string, string>()
  const byDid = new Map<Did, Set<string>>()
  function add(key: string, entry: Petname): void {
    names.set(key, entry)
    skeletons.set(nameLook(key), key)
    byDid.set(entry.did, (byDid.get(entry.did) ?? new Set()).add(key))
  }
  function drop(key: string, entry: Petname): void {
    names.delete(key)
    skeletons.delete(nameLook(key))
    byDid.get(entry.did)?.delete(key)
  }
  for await (const [key, bytes] of store.range({})) add(key, stored.decode(bytes))
  let writing: Promise<unknown> = Promise.resolve()
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = writing.then(act)
    writing = turn.catch(() => undefined)
    return turn
  }
  return {
    set: (text, given, { replace = false } = {}) =>
      inTurn(async () => {
        const name = parsePetname(text)
        const key = keyOf(name)
        const who = subject(given)
        const before = names.get(key)
        const twin = skeletons.get(nameLook(key))
        if (twin !== undefined && twin !== key) {
          throw new MeshError('ERR_NAME_TAKEN', `'${name}' looks like '${names.get(twin)?.name ?? ''}'`, {
            hint: 'choose a name that nobody takes for the other',
          })
        }
        if (before !== undefined && subject(before.did) !== who && !replace) {
          throw new MeshError('ERR_NAME_TAKEN', `'${before.name}' is ${before.did}`, { hint: 'if it is somebody else from now on, say so: --replace' })
        }
        if (before === undefined && names.size >= petnamesMax) throw new MeshError('ERR_OVERLOADED', `${petnamesMax} petnames are kept`)
        const entry = { name, did: who, since: clock.now() }
        await audit.record(nameSet({ did: self, peer: who, name, before: before?.did }), store.qualify([put(key, stored.encode(entry))]))
        if (before !== undefined) drop(key, before)
        add(key, entry)
        return entry
      }),
    list: () => [...names.values()].map((entry) => ({ ...entry, did: subject(entry.did) })).toSorted((a, b) => a.name.localeCompare(b.name)),
    remove: (text) =>
      inTurn(async () => {
        const key = keyOf(
          text
            .slice(0, 4 * petnameCharsMax)
            .normalize('NFKC')
            .trim(),
        )
        const entry = names.get(key)
        if (entry === undefined) throw new MeshError('ERR_NOT_FOUND', `no petname '${text.slice(0, 64)}'`, { hint: 'see `kindmesh name list`' })
        await audit.record(nameRemoved({ did: self, peer: entry.did, name: entry.name }), store.qualify([del(key)]))
        drop(key, entry)
        return entry
      }),
    find(text) {
      if (text.length > 4 * petnameCharsMax) return undefined
      const entry = names.get(keyOf(text.normalize('NFKC').trim()))
      return entry === undefined ? undefined : subject(entry.did)
    },
    nameOf(who) {
      const [key] = byDid.get(who) ?? byDid.get(subject(who)) ?? []
      return key === undefined ? undefined : names.get(key)?.name
    },
  }
}
