import { expect, test } from 'vitest'
import { dayMs } from '../../src/base/index.ts'
import { createLedger } from '../../src/trust/index.ts'
import { did, now, root, says, scope } from '../helpers/trust-graphs.ts'

test('a ledger answers anew after each statement, and a clock set back revives nothing', () => {
  const ledger = createLedger({ root })
  const levelAt = (then: number): number => ledger.snapshot({ scope, now: then }).level(did('zoe'))
  expect(levelAt(now)).toBe(0)
  ledger.add(says('root', 'zoe', 3, { expiresAt: now + dayMs }))
  ledger.add(says('root', 'zoe', 3, { expiresAt: now + dayMs }))
  expect(ledger.size).toBe(1)
  expect(levelAt(now)).toBe(3)
  expect(levelAt(now + dayMs)).toBe(0)
  expect(levelAt(now)).toBe(0)
})
