import { existsSync } from 'node:fs'
import { levelOfStars, precision, replay, type Share, strictLevelOfStars } from '../../../test/helpers/trust-replay.ts'
import { ratings, trustData } from '../../../test/helpers/trust-sets.ts'
import { row, type Row } from '../harness.ts'

/** How right the trust rule was about the traders of bitcoinotc, every rating replayed in order of time; no rows where the data set is not beside the repository. */
export async function* trustReplay(): AsyncIterable<Row> {
  if (!existsSync(trustData)) return
  const all = ratings()
  const maps = { '2 stars': levelOfStars, '3 stars': strictLevelOfStars }
  for (const [from, level] of Object.entries(maps)) {
    await Promise.resolve()
    const { base, withVeto, withoutVeto, vetoed } = replay(all, { level, depth: 3, every: 1, rest: 0 })
    const told = ({ good, asked }: Share): string => `${good} of ${asked}`
    const line = (id: string, what: string, share: Share): Row =>
      row({
        id: `trust-otc-${id}-${from.charAt(0)}`,
        what: `${what}, VERIFIED from ${from}, rated well then: ${told(share)}`,
        unit: '%',
        figures: [precision(share)],
        against: `all who were known, ${told(base)}`,
        others: [precision(base)],
      })
    yield line('veto', 'held VERIFIED', withVeto)
    yield line('no-veto', 'held VERIFIED were distrust not heard', withoutVeto)
    yield line('vetoed', 'kept from VERIFIED by distrust', vetoed)
  }
}
