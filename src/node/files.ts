import type { Audit } from '../audit/index.ts'
import type { Clock, Did, Logger, Random, SignalOption } from '../base/index.ts'
import type { PrekeyBundle, PrekeyRing, ReplayGuard } from '../envelope/index.ts'
import {
  createIncoming,
  freeBytes,
  type Incoming,
  type IncomingTransfer,
  type Keys,
  openIntake,
  openOutgoing,
  type Outgoing,
  type OutgoingTransfer,
} from '../files/index.ts'
import type { Keyring } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import type { Decision } from '../policy/index.ts'
import { serveStreams } from '../protocols/stream/index.ts'
import type { Store } from '../store/index.ts'
import type { EventHub } from './events.ts'

/** Files to and from peers. */
export interface Files extends Pick<Outgoing, 'send'>, Pick<Incoming, 'receive'> {
  /** Those that go out, by age, then those that come in. */
  list(): { readonly outgoing: readonly OutgoingTransfer[]; readonly incoming: readonly IncomingTransfer[] }
  /** Ends a transfer of either direction; a part that came is thrown away. False when none of that id goes on. */
  cancel(id: string): Promise<boolean>
}

export interface FilesOptions {
  readonly host: Host
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly audit: Audit
  readonly store: Store
  readonly prekeys: PrekeyRing
  readonly replay: ReplayGuard
  readonly events: EventHub
  readonly keys: Keys
  bundleOf(peer: Did, options: SignalOption): Promise<PrekeyBundle>
  decide(from: Did): Promise<Decision>
}

/** Serves bulk streams and sends what was queued. */
export async function createFiles(options: FilesOptions): Promise<{ readonly doors: Files; stop(): Promise<void> }> {
  const { host, clock, logger, events } = options
  const intake = await openIntake(options)
  const incoming = createIncoming({
    ...options,
    intake,
    freeBytes,
    onFile: ({ id, from, name, bytes }) => events.emit({ event: 'file', id, from, name, bytes }),
  })
  serveStreams({ host, clock, logger, open: incoming.open })
  const outgoing = await openOutgoing(options)
  const stopWatching = host.onPeer(({ event, peer }) => {
    if (event === 'connected') outgoing.wake(peer.did)
  })
  return {
    doors: {
      send: outgoing.send,
      receive: incoming.receive,
      list: () => ({ outgoing: outgoing.list(), incoming: incoming.list() }),
      cancel: async (id) => (await outgoing.cancel(id)) || (await incoming.cancel(id)),
    },
    async stop() {
      stopWatching()
      await Promise.all([outgoing.stop(), incoming.stop()])
    },
  }
}
