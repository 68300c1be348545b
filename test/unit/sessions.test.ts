import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, dayMs, MeshError, type VirtualClock, utf8, fromUtf8 } from '../../src/base/index.ts'
import { openPrekeys, openSessions, type PrekeyRing, type Sessions } from '../../src/envelope/index.ts'
import { composeStatement, type Keyring } from '../../src/identity/index.ts'
import { createMemoryStore, type Store } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

interface Side {
  readonly keyring: Keyring
  readonly prekeys: PrekeyRing
  readonly store: Store
  sessions: Sessions
}
async function side(seed: number, clock: VirtualClock): Promise<Side> {
  const keyring = keyringOf(seed)
  const random = createSeededRandom(seed * 7)
  const store = createMemoryStore()
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
  return { keyring, prekeys, store, sessions: await openSessions({ store: store.sub('sessions'), keyring, prekeys, clock, random }) }
}
function say(from: Side, to: Side, text: string, clock: VirtualClock) {
  const now = clock.now()
  return composeStatement(
    'message',
    { from: from.keyring.did, to: to.keyring.did, type: 'text', payload: utf8(text), issuedAt: now, expiresAt: now + dayMs },
    createSeededRandom(now + text.length),
  ) as never
}
async function seal(from: Side, to: Side, text: string, clock: VirtualClock) {
  const bundle = from.sessions.needsBundle(to.keyring.did) ? (await to.prekeys.current()).bundle : undefined
  const sealed = from.sessions.seal(to.keyring.did, [say(from, to, text, clock)], { bundle })
  return sealed
}
function open(to: Side, sealed: { readonly bytes: Uint8Array }): string {
  return to.sessions
    .open(sealed.bytes, { lifetimeMsMax: 7 * dayMs })
    .items.map((item) => (item instanceof MeshError ? item.code : fromUtf8(item.statement.payload)))
    .join()
}

test('a box opens a session and both sides go on in it', async () => {
  const clock = createVirtualClock()
  const [anna, ben] = [await side(1, clock), await side(2, clock)]
  const first = await seal(anna, ben, 'one', clock)
  expect([first.mode, open(ben, first)]).toEqual(['box', 'one'])
  for (let turn = 0; turn < 5; turn++) {
    for (const [from, to] of [
      [anna, ben],
      [ben, anna],
    ] as const) {
      const sealed = await seal(from, to, `turn ${turn}`, clock)
      expect([sealed.mode, open(to, sealed)]).toEqual(['session', `turn ${turn}`])
    }
  }
})
