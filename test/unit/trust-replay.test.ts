import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { levelOfStars, precision, replay } from '../helpers/trust-replay.ts'
import { ratings, trustData } from '../helpers/trust-sets.ts'

const isAbsent = !existsSync(trustData)
/** Every rating behind the switch, every twentieth in the gate. */
const every = process.env['KINDMESH_TEST_LONG'] === '1' ? 1 : 20

test.skipIf(isAbsent)(
  'shared/data/trust/bitcoinotc, in order of time: whom the node of a trader held VERIFIED just before he rated him he rates well, 95 times in a hundred or more; others less often',
  { timeout: 3_600_000 },
  () => {
    const { base, withVeto, withoutVeto } = replay(ratings(), { level: levelOfStars, depth: 3, every, rest: 0 })
    expect(withVeto.asked).toBeGreaterThan(1_500 / every)
    expect(precision(withVeto)).toBeGreaterThanOrEqual(95)
    expect(precision(base)).toBeLessThan(90)
    expect(precision(withVeto)).toBeGreaterThanOrEqual(precision(withoutVeto))
  },
)
