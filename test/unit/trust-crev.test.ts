import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Did } from '../../src/base/index.ts'
import { type Attestation, computeTrust, type Level } from '../../src/trust/index.ts'
import { crev, crevDid, crevProofs, isGenuine } from '../helpers/trust-crev.ts'
import { now, scope } from '../helpers/trust-graphs.ts'
import { referenceLevels } from '../helpers/trust-reference.ts'
import { busiest, trustData } from '../helpers/trust-sets.ts'

const isAbsent = !existsSync(trustData)

test.skipIf(isAbsent)('shared/data/trust/crev: of 257 signed proofs all but one verify, that of repi of December 2018', () => {
  const proofs = crevProofs()
  expect(proofs).toHaveLength(257)
  const forged = proofs.filter((proof) => !isGenuine(proof)).map(({ repo, from, date }) => ({ repo, from, date }))
  expect(forged).toEqual([{ repo: 'repi/crev-proofs', from: 'Wa44RDWQ-LM4BDtcTGVboihUow_7zgUYrBxpKQd2TvM', date: '2018-12-23T18:03:48.157972+01:00' }])
})

test.skipIf(isAbsent)('shared/data/trust/crev: one byte more or less and no proof verifies', () => {
  for (const proof of crevProofs()) {
    expect(isGenuine({ ...proof, body: `${proof.body}\n` })).toBe(false)
    expect(isGenuine({ ...proof, body: proof.body.trimEnd() })).toBe(false)
  }
})

test.skipIf(isAbsent)('shared/data/trust/crev: as statements they give every author levels, those of the busiest as the reference has them', () => {
  const attestations = crev()
  const authors = [...new Set(attestations.map(({ issuer }) => issuer))]
  const census = new Map<number, number>()
  for (const root of authors) {
    const trust = computeTrust({ root, scope, now, attestations })
    for (const who of trust.subjects()) census.set(trust.level(who), (census.get(trust.level(who)) ?? 0) + 1)
  }
  expect(authors).toHaveLength(52)
  expect(Object.fromEntries(census)).toEqual({ 0: 2551, 1: 1025, 2: 173, 3: 47, 4: 52 })
  for (const root of busiest(attestations, 1)) {
    const [fast, slow] = [computeTrust({ root, scope, now, attestations }), referenceLevels({ root, scope, now, attestations })]
    for (const who of fast.subjects()) expect(fast.level(who)).toBe(slow(who))
  }
})

test.skipIf(isAbsent)('shared/data/trust/crev: the distrust of January 2020 counted till its author took it back in June 2021', () => {
  const author = crevDid('-sApEowWcAS9J0R7aO18cghvhLBpuMhyeUuWQq_fits')
  const pair = ['Qf4cHJBEoho61fd5zoeweyrFCIZ7Pb5X5ggc5iw4B50', 'X98FCpyv5I7z-xv4u-xMWLsFgb_Y0cG7p5xNFHSjbLA'].map(crevDid)
  const seen = (attestations: readonly Attestation[], root: Did): Level[] => {
    const trust = computeTrust({ root, scope, now, attestations })
    return pair.map((who) => trust.level(who))
  }
  expect(['2020-01-12', '2020-01-13', '2021-06-06', '2021-06-07'].map((until) => seen(crev(until), author))).toEqual([
    [1, -1],
    [-1, -1],
    [-1, -1],
    [1, 1],
  ])
  // One voice against, of somebody whom nobody else knows so well, lowers nobody in other eyes.
  const before = crev('2021-06-06')
  const others = new Set(before.map(({ issuer }) => issuer))
  expect([...others].filter((root) => root !== author && seen(before, root).includes(-1))).toEqual([])
})
