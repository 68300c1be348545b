import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did, didFromKey, hourMs, minuteMs, silentLogger } from '../../src/base/index.ts'
import type { Signed } from '../../src/identity/index.ts'
import type { PeerInfo } from '../../src/net/index.ts'
import { freshAskedMax, keepHeadsFresh } from '../../src/node/trust-fresh.ts'
import type { Level } from '../../src/trust/index.ts'

const didOf = (fill: number): Did => didFromKey(new Uint8Array(32).fill(fill))

/** Asks for heads for so long; gives the age each issuer's head had whenever it was asked for, in minutes. */
async function asked(
  forMs: number,
  {
    levels,
    near = [],
    witnesses = [],
    answer = true,
  }: { readonly levels: ReadonlyMap<Did, Level>; readonly near?: readonly Did[]; readonly witnesses?: readonly Did[]; readonly answer?: boolean },
): Promise<ReadonlyMap<Did, readonly number[]>> {
  const clock = createVirtualClock()
  const signedAt = new Map<Did, number>()
  const times = new Map<Did, number>()
  const ages = new Map<Did, number[]>()
  const ageOf = (did: Did): number => clock.now() - (signedAt.get(did) ?? clock.now() - clock.monotonic())
  const stop = keepHeadsFresh({
    host: { peers: () => near.map((did) => ({ did }) as PeerInfo) },
    clock,
    random: createSeededRandom(1),
    logger: silentLogger,
    book: { head: async (did) => ({ statement: { issuedAt: clock.now() - ageOf(did) } }) as Signed, evidence: () => [] },
    pull: {
      async ask(did) {
        ages.set(did, [...(ages.get(did) ?? []), Math.round(ageOf(did) / minuteMs)])
        times.set(did, clock.monotonic())
        if (answer) signedAt.set(did, clock.now())
      },
      askedAt: (did) => times.get(did) ?? -Infinity,
    },
    reach: { subject: (did) => did },
    followed: () => levels,
    witnesses: () => witnesses,
  })
  await clock.advance(forMs)
  stop()
  const before = [...ages.values()].flat().length
  await clock.advance(hourMs)
  expect([...ages.values()].flat().length).toBe(before)
  return ages
}

test('a head is asked for when half the time is nearly over for which its signer’s level leans on it', async () => {
  const [authority, trusted, verified, here, witness] = [didOf(1), didOf(2), didOf(3), didOf(4), didOf(5)]
  const levels = new Map<Did, Level>([
    [authority, 4],
    [trusted, 3],
    [verified, 2],
    [here, 2],
  ])
  const ages = await asked(48 * hourMs, { levels, near: [here], witnesses: [witness] })
  for (const [did, mostMin, least] of [
    [authority, 30, 90],
    [here, 30, 90],
    [trusted, 12 * 60, 4],
    [verified, 24 * 60, 2],
    [witness, 24 * 60, 2],
  ] as const) {
    expect(Math.max(...(ages.get(did) ?? [])), did).toBeLessThanOrEqual(mostMin + 2)
    expect(ages.get(did)?.length, did).toBeGreaterThanOrEqual(least)
    expect(ages.get(did)?.length, did).toBeLessThan(3 * least)
  }
})

test('those who do not answer are not asked all the time, and a crowd is asked in turns', async () => {
  const silent = await asked(2 * hourMs, { levels: new Map([[didOf(1), 4]]), answer: false })
  expect(silent.get(didOf(1))?.length).toBeLessThanOrEqual(24)
  const crowd = new Map<Did, Level>(Array.from({ length: 3 * freshAskedMax }, (_, index) => [didOf(index + 1), 4]))
  const ages = await asked(hourMs, { levels: crowd })
  expect(ages.size).toBe(crowd.size)
})
