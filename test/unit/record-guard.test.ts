import { expect, test } from 'vitest'
import { createVirtualClock, utf8 } from '../../src/base/index.ts'
import { createRecordGuard, recordMemoryMs, recordsHeldMax } from '../../src/net/record-guard.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { testRecord, testRules } from '../helpers/net-hosts.ts'

test('a memory that is full takes strangers` records again once old ones are forgotten, without a restart', async () => {
  const clock = createVirtualClock()
  const store = createMemoryStore()
  const guard = await createRecordGuard({ store, clock, rules: testRules })
  const expiresAt = clock.now() + 1_000
  // As if strangers had filled it: their rate is another limit, passed by here.
  for (let index = 0; index < recordsHeldMax; index++) await guard.admit('test-rec', utf8(`k${index}`), testRecord(1, '', expiresAt), { own: true })
  const late = (key: string): Promise<unknown> =>
    guard.admit('test-rec', utf8(key), testRecord(1)).then(
      () => 'taken',
      ({ code }: { readonly code: string }) => code,
    )
  expect(await late('new')).toBe('ERR_OVERLOADED')
  await clock.advance(recordMemoryMs)
  expect(await late('new')).toBe('ERR_OVERLOADED')
  await clock.advance(3_600_000)
  expect([await late('new'), await late('newer')]).toEqual(['taken', 'taken'])
})
