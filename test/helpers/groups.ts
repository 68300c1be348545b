import { type GroupMessage, openGroups, type GroupsRoom } from '../../src/agents/index.ts'
import { createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, type Did, MeshError, randomInt, silentLogger, toMeshError, type VirtualClock } from '../../src/base/index.ts'
import type { Keyring } from '../../src/identity/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { keyringOf } from './raw-peer.ts'

interface Item {
  readonly from: Did
  readonly type: string
  readonly encoding: 'bytes'
  readonly body: string
}

export interface Member {
  readonly keyring: Keyring
  readonly did: Did
  readonly store: MemoryStore
  /** The room of its present life. */
  readonly room: GroupsRoom
  readonly groups: GroupsRoom['groups']
  /** What reached it, across its lives. */
  readonly got: GroupMessage[]
  readonly bodies: readonly string[]
}

/**
 * Group rooms of many nodes and a post office between them that loses nothing for good, as the outbox does: lines from member to member,
 * each in order, held while the receiver is off or cut off, delivered once into the receiver's durable batch.
 */
export interface PostOffice {
  readonly clock: VirtualClock
  readonly members: readonly Member[]
  member(index: number): Member
  /** Delivers until nothing more can be. */
  settle(): Promise<void>
  run<T>(promise: Promise<T>): Promise<T>
  partition(...sides: readonly (readonly number[])[]): void
  heal(): void
  crash(index: number): void
  restart(index: number): Promise<void>
  /** Starts a member anew with another key of the same identity. */
  rotate(index: number): Promise<void>
  /** From now on these are lost for good, as those that expire. */
  lose(which: (item: Item & { readonly to: Did }) => boolean): void
  /** Refusals so far: type and code. */
  readonly refusals: readonly string[]
  /** Every message that was posted, for those who listen in. */
  readonly posted: readonly (Item & { readonly to: Did })[]
  /** Hands a message straight to a member, as a hostile one would. */
  inject(to: number, item: Item): Promise<void>
}

export async function createPostOffice({
  count,
  seed,
  isOrdered = true,
}: {
  readonly count: number
  readonly seed: number
  readonly isOrdered?: boolean
}): Promise<PostOffice> {
  const clock = createVirtualClock()
  const chance = createSeededRandom(seed)
  const lines = new Map<string, Item[]>()
  const posted: (Item & { readonly to: Did })[] = []
  const refusals: string[] = []
  let sides: readonly (readonly number[])[] = []
  const off = new Set<number>()
  const lives: { keyring: Keyring; store: MemoryStore; room: GroupsRoom; got: GroupMessage[]; take(item: Item): Promise<void> }[] = []

  const owners = new Map<Did, Did>()
  const subject = (key: Did): Did => owners.get(key) ?? key
  let lost: (item: Item & { readonly to: Did }) => boolean = () => false

  async function open(index: number, store: MemoryStore, got: GroupMessage[], keyring = keyringOf(seed * 1_000 + index)): Promise<void> {
    const first = keyringOf(seed * 1_000 + index)
    const audit = await createAudit({ store, sign: first.sign, did: first.did, clock, logger: silentLogger })
    let kept = 0
    const room = await openGroups({
      store,
      keyring,
      clock,
      random: createSeededRandom(seed * 77 + index * 1_009 + Math.floor(clock.monotonic()) + got.length),
      logger: silentLogger,
      audit,
      identities: { subject, check: () => undefined },
      isKnown: () => false,
      keep: () => ({ ops: [{ type: 'put', key: `inbox/${kept++}`, value: new Uint8Array(1) }], release: () => undefined }),
      onMessage: (message) => void got.push(message),
      async send(to, message) {
        const item = { from: keyring.did, ...message }
        posted.push({ ...item, to })
        if (lost({ ...item, to })) return { status: 'queued' }
        const name = `${keyring.identity} ${to}`
        lines.set(name, [...(lines.get(name) ?? []), item])
        return { status: 'queued' }
      },
    })
    lives[index] = {
      keyring,
      store,
      room,
      got,
      async take(item) {
        const taken = await room.takers.get(item.type)?.(item)
        if (taken === undefined) throw new MeshError('ERR_USAGE', `nobody takes ${item.type}`)
        try {
          await store.durable(taken.ops)
        } catch (error) {
          taken.release?.()
          throw error
        }
        taken.done?.()
      },
    }
    room.start()
  }
  const at = (index: number): (typeof lives)[number] => {
    const life = lives[index]
    if (life === undefined) throw new RangeError(`no member ${index}`)
    return life
  }
  const indexOf = (did: Did): number => lives.findIndex(({ keyring }) => keyring.identity === did)
  const reach = (from: number, to: number): boolean => !off.has(to) && (sides.length === 0 || sides.some((side) => side.includes(from) && side.includes(to)))
  const memberOf = (index: number): Member => {
    const { keyring, store, room, got } = at(index)
    return { keyring, did: keyring.identity, store, room, groups: room.groups, got, bodies: got.map(({ body }) => body) }
  }

  for (let index = 0; index < count; index++) await open(index, createMemoryStore(), [])
  return {
    clock,
    get members() {
      return lives.map((_, index) => memberOf(index))
    },
    member: memberOf,
    async settle() {
      for (;;) {
        await clock.advance(1)
        const ready = [...lines].filter(([name, items]) => {
          const [from = '', to = ''] = name.split(' ')
          return items.length > 0 && reach(indexOf(from as Did), indexOf(to as Did))
        })
        const chosen = ready[randomInt(chance, ready.length)]
        if (chosen === undefined) return
        const [name, items] = chosen
        const place = isOrdered ? 0 : randomInt(chance, items.length)
        const [item] = items.splice(place, 1)
        if (item === undefined) continue
        try {
          await at(indexOf(name.split(' ')[1] as Did)).take(item)
        } catch (error) {
          const { code } = toMeshError(error)
          if (code === 'ERR_STORE_FAILED') items.splice(place, 0, item)
          else refusals.push(`${item.type} ${code}`)
        }
      }
    },
    run: clock.run,
    partition: (...given) => {
      sides = given
    },
    heal: () => {
      sides = []
    },
    crash(index) {
      off.add(index)
      at(index).store.crash()
    },
    async restart(index) {
      off.delete(index)
      await open(index, at(index).store, at(index).got, at(index).keyring)
    },
    async rotate(index) {
      const old = at(index).keyring
      const next = keyringOf(seed * 1_000 + index + 500)
      owners.set(next.did, old.identity)
      await open(index, at(index).store, at(index).got, { ...next, identity: old.identity, box: old.box })
    },
    lose(which) {
      lost = which
    },
    refusals,
    posted,
    inject: (to, item) => at(to).take(item),
  }
}
