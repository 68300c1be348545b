import { expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createVirtualClock, type Did, didFromKey, hourMs, minuteMs, silentLogger } from '../../src/base/index.ts'
import { openPending, type Pending, pendingNewMax, pendingPeersMax, rejectedPeersMax } from '../../src/node/pending.ts'
import { type Decision, messageScope, taskScope } from '../../src/policy/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const anna = keyringOf(1)
const stranger = (index: number): Did => didFromKey(Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? index & 0xff : at === 1 ? index >> 8 : 1)))
const low: Decision<never> = { allow: false, code: 'ERR_TRUST_LOW', reason: '' }

async function open(
  store: MemoryStore,
  clock = createVirtualClock(),
  isDistrusted: (did: Did) => boolean = () => false,
): Promise<Pending & { readonly seen: Did[] }> {
  const seen: Did[] = []
  const audit = await createAudit({ store, sign: anna.sign, did: anna.did, keys: [anna.did], clock, logger: silentLogger })
  const pending = await openPending({
    ...{ store: store.sub('pending'), clock, audit, logger: silentLogger, self: anna.did, isDistrusted },
    subject: (did) => did,
    onNew: ({ did }) => void seen.push(did),
  })
  return { ...pending, seen }
}

test('who is refused for want of trust waits, once, the last to ask first; who is let in or lacks something else does not', async () => {
  const pending = await open(createMemoryStore())
  pending.watch(stranger(1), taskScope, low)
  pending.watch(stranger(2), messageScope, { allow: false, code: 'ERR_POLICY_DENIED', reason: '' })
  pending.watch(stranger(3), taskScope, { allow: false, code: 'ERR_POLICY_DENIED', reason: 'too much memory' })
  pending.watch(stranger(4), taskScope, { allow: true, grant: undefined })
  for (let count = 0; count < 100; count++) pending.watch(stranger(1), taskScope, low)
  expect(pending.list().map(({ did, scope, times }) => [did, scope, times])).toEqual([
    [stranger(1), taskScope, 101],
    [stranger(2), messageScope, 1],
  ])
  expect(pending.seen).toEqual([stranger(1), stranger(2)])
})

test('a crowd of fresh identities gets so many places an hour, and never more than there are', async () => {
  const clock = createVirtualClock()
  const pending = await open(createMemoryStore(), clock)
  for (let index = 0; index < 5_000; index++) pending.watch(stranger(index), taskScope, low)
  expect(pending.list()).toHaveLength(pendingNewMax)
  for (let hour = 1; hour < 12; hour++) {
    await clock.advance(hourMs)
    for (let index = 0; index < 100; index++) pending.watch(stranger(10_000 + 100 * hour + index), taskScope, low)
  }
  expect(pending.list()).toHaveLength(pendingPeersMax)
  // Who went on asking is still there, the others of the first hour are not.
  expect(pending.list().some(({ did }) => did === stranger(0))).toBe(false)
})

test('one who keeps asking keeps the place and does not wear the disk', async () => {
  let writes = 0
  const clock = createVirtualClock()
  const store = createMemoryStore({ fault: () => void writes++ })
  const pending = await open(store, clock)
  pending.watch(stranger(1), taskScope, low)
  const before = writes
  for (let count = 0; count < 1_000; count++) pending.watch(stranger(1), taskScope, low)
  expect(writes).toBe(before)
  await clock.advance(minuteMs)
  pending.watch(stranger(1), taskScope, low)
  expect(writes).toBe(before + 1)
})

test('a rejected peer does not come back on the list, also after a power cut; a distrusted one never comes on it', async () => {
  const store = createMemoryStore()
  const first = await open(store)
  first.watch(stranger(1), taskScope, low)
  await first.reject(stranger(1))
  store.crash()
  const pending = await open(store, createVirtualClock(), (did) => did === stranger(2))
  for (const index of [1, 2]) pending.watch(stranger(index), taskScope, low)
  expect(pending.list()).toEqual([])
  expect(await codeOf(pending.reject(stranger(1)))).toBe('ERR_NOT_FOUND')
  // An approval by other means takes it off both lists.
  await pending.settle(stranger(1))
  pending.watch(stranger(1), taskScope, low)
  expect(pending.list()).toHaveLength(1)
  expect(rejectedPeersMax).toBeGreaterThan(pendingPeersMax)
})
