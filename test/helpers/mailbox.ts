import { createAudit } from '../../src/audit/index.ts'
import type { HolderLimits } from '../../src/agents/index.ts'
import { createSeededRandom, createVirtualClock, type Did, fromUtf8, MeshError, minuteMs, silentLogger, utf8, type VirtualClock } from '../../src/base/index.ts'
import { openBundle, openPrekeys, type PrekeyBundle, type PrekeyRing } from '../../src/envelope/index.ts'
import type { Keyring } from '../../src/identity/index.ts'
import { createSimulator, type Host, type LinkSettings, type Simulator } from '../../src/net/index.ts'
import { recordRules } from '../../src/node/index.ts'
import { createMailboxes, type MailboxDoors, type Mailboxes } from '../../src/node/mailboxes.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { keyringOf } from './raw-peer.ts'

/** Somebody with mailboxes and nothing else: what is picked up is noted, once by content as a replay guard would. */
export interface Resident {
  readonly did: Did
  readonly keyring: Keyring
  readonly host: Host
  readonly store: MemoryStore
  readonly prekeys: PrekeyRing
  /** Bundles that peers showed when they introduced their holders. */
  readonly learned: ReadonlyMap<Did, PrekeyBundle>
  readonly mailboxes: Mailboxes
  readonly doors: MailboxDoors
  /** Texts of the items taken, in order. */
  readonly taken: string[]
  /** Calls of `receiveStored`, also of what was known. */
  opened: number
  /** Makes `receiveStored` throw or refuse for a text. */
  judge: (text: string) => 'take' | 'refuse' | 'throw'
  /** Deposits a text for somebody, as its newest bundle says. */
  post(to: Resident, text: string): ReturnType<Mailboxes['deposit']>
  leaveWorld(): void
}

export interface Street extends AsyncDisposable {
  readonly clock: VirtualClock
  readonly simulator: Simulator
  /** A resident; the same seed and store make it again after it left. */
  move(seed: number, options?: { readonly serve?: Partial<HolderLimits>; readonly store?: MemoryStore; readonly knows?: readonly Did[] }): Promise<Resident>
  run<T>(promise: Promise<T>): Promise<T>
  /** Keys that others rotated to. */
  readonly successors: Map<Did, Did>
}

export function createStreet(link: Partial<LinkSettings> = {}): Street {
  const clock = createVirtualClock()
  const simulator = createSimulator({ seed: 5, clock, ...link })
  const residents: Resident[] = []
  const successors = new Map<Did, Did>()
  return {
    clock,
    simulator,
    run: clock.run,
    successors,
    async move(seed, { serve, store = createMemoryStore(), knows = [] } = {}) {
      const keyring = keyringOf(seed)
      const random = createSeededRandom(seed + clock.monotonic())
      const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
      const host = await simulator.host(keyring.did, { store: store.sub('dht'), rules: recordRules(clock) })
      const taken: string[] = []
      const learned = new Map<Did, PrekeyBundle>()
      const mailboxes = await createMailboxes({
        host,
        store: store.sub('mailbox'),
        keyring,
        clock,
        random,
        logger: silentLogger,
        audit: await createAudit({ store, sign: keyring.sign, did: keyring.did, clock, logger: silentLogger }),
        prekeys,
        serve: serve === undefined ? false : { workBits: 4, ...serve },
        publish: async () => undefined,
        learnBundle: (peer, bytes) => void learned.set(peer, openBundle(bytes, clock.now())),
        newestBundle: () => Promise.reject(new MeshError('ERR_NO_PREKEYS', 'there is no DHT in this street')),
        currentKey: async (key) => successors.get(key) ?? key,
        isKnown: (peer) => knows.includes(peer),
        async receiveStored(sealed) {
          resident.opened++
          const text = fromUtf8(sealed)
          const verdict = resident.judge(text)
          if (verdict === 'throw') throw new Error('not now')
          if (verdict === 'refuse') return 'refused'
          if (taken.includes(text)) return 'known'
          taken.push(text)
          return 'taken'
        },
      })
      const resident: Resident = {
        did: keyring.did,
        keyring,
        host,
        store,
        prekeys,
        learned,
        mailboxes,
        doors: mailboxes.doors,
        taken,
        opened: 0,
        judge: () => 'take',
        async post(to, text) {
          const { bundle } = await to.prekeys.current()
          return await mailboxes.deposit({ recipient: bundle, sealed: utf8(text), expiresAt: clock.now() + 60 * minuteMs })
        },
        leaveWorld() {
          mailboxes.stop()
          simulator.crash(keyring.did)
        },
      }
      await mailboxes.start()
      residents.push(resident)
      return resident
    },
    async [Symbol.asyncDispose]() {
      for (const { mailboxes } of residents) mailboxes.stop()
      await clock.run(simulator.stop())
    },
  }
}

/** Everybody knows the way to everybody. */
export async function acquaint(street: Street, residents: readonly Resident[]): Promise<void> {
  for (const one of residents) {
    for (const other of residents) if (one !== other) await street.run(one.host.learn(other.did, other.host.addresses()))
  }
}
