import { type Audit, pinApproved, pinBroken, pinned } from '../audit/index.ts'
import { type Clock, type Did, MeshError } from '../base/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { codec, did, instant, nullable, row, textUpTo } from '../wire/index.ts'
import type { EventHub } from './events.ts'

/** Pins of one node. Source: join/v1 section 10. */
export const pinsMax = 4_096
/** Longest name of what is pinned. */
export const pinSourceCharsMax = 512

/** Whom something that is no identity led to when it was first used: an address without a peer ID, a domain. Gives no trust. */
export interface Pin {
  readonly source: string
  readonly did: Did
  /** ms since 1970 */
  readonly since: number
  /** Who answered there last, when that is somebody else and not approved. */
  readonly offered: Did | undefined
}

export interface Pins {
  readonly doors: PinDoors
  /** Pins what `source` leads to at first; later refuses anybody else. @throws ERR_PIN_CHANGED, ERR_OVERLOADED */
  meet(source: string, did: Did): Promise<void>
  /** Somebody else answered than who was expected by identity: written down and told. */
  alarm(source: string, expected: Did, did: Did): Promise<void>
}

export interface PinDoors {
  list(): readonly Pin[]
  /** Takes whoever answered last for the right one from now on. @throws ERR_NOT_FOUND */
  approve(source: string): Promise<Pin>
  /** Forgets a pin: the next contact pins anew. @throws ERR_NOT_FOUND */
  remove(source: string): Promise<Pin>
}

const stored = codec('pin', row({ source: textUpTo(pinSourceCharsMax), did, since: instant, offered: nullable(did) }), 2_048)

export interface PinsOptions {
  readonly store: Store
  readonly clock: Clock
  readonly audit: Audit
  readonly events: EventHub
  readonly self: Did
  subject(key: Did): Did
}

export async function openPins({ store, clock, audit, events, self, subject }: PinsOptions): Promise<Pins> {
  const pins = new Map<string, Pin>()
  let writing: Promise<unknown> = Promise.resolve()
  for await (const [, bytes] of store.range({})) {
    const pin = stored.decode(bytes)
    pins.set(pin.source, pin)
  }
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = writing.then(act)
    writing = turn.catch(() => undefined)
    return turn
  }
  async function keep(pin: Pin, entry: Parameters<Audit['record']>[0]): Promise<Pin> {
    await audit.record(entry, store.qualify([put(pin.source, stored.encode(pin))]))
    pins.set(pin.source, pin)
    return pin
  }
  function get(source: string): Pin {
    const pin = pins.get(source)
    if (pin === undefined) throw new MeshError('ERR_NOT_FOUND', `nothing is pinned for '${source.slice(0, 128)}'`, { hint: 'see `kindmesh pin list`' })
    return pin
  }
  async function alarm(source: string, expected: Did, who: Did): Promise<void> {
    await audit.record(pinBroken({ did: self, source, expected, found: who }))
    events.emit({ event: 'pin', source, expected, found: who })
  }
  return {
    alarm,
    meet: (given, key) =>
      inTurn(async () => {
        const source = given.slice(0, pinSourceCharsMax)
        const who = subject(key)
        const pin = pins.get(source)
        if (pin === undefined) {
          if (pins.size >= pinsMax) throw new MeshError('ERR_OVERLOADED', `${pinsMax} pins are kept`, { hint: 'remove some: `kindmesh pin list`' })
          await keep({ source, did: who, since: clock.now(), offered: undefined }, pinned({ did: self, source, peer: who }))
          return
        }
        // One identity under its next key is still the one.
        if (subject(pin.did) === who) return
        await keep({ ...pin, offered: who }, pinBroken({ did: self, source, expected: subject(pin.did), found: who }))
        events.emit({ event: 'pin', source, expected: subject(pin.did), found: who })
        throw new MeshError('ERR_PIN_CHANGED', `${who} answers at ${source}; since ${new Date(pin.since).toISOString()} it was ${subject(pin.did)}`)
      }),
    doors: {
      list: () => [...pins.values()].map((pin) => ({ ...pin, did: subject(pin.did) })).toSorted((a, b) => a.source.localeCompare(b.source)),
      approve: (source) =>
        inTurn(async () => {
          const pin = get(source)
          if (pin.offered === undefined) return pin
          const approved = { source, did: pin.offered, since: clock.now(), offered: undefined }
          return await keep(approved, pinApproved({ did: self, source, peer: pin.offered, before: pin.did }))
        }),
      remove: (source) =>
        inTurn(async () => {
          const pin = get(source)
          await audit.record(pinApproved({ did: self, source, peer: undefined, before: pin.did }), store.qualify([del(source)]))
          pins.delete(source)
          return pin
        }),
    },
  }
}
