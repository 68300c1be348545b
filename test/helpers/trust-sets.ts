import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { dayMs, type Did } from '../../src/base/index.ts'
import { type Attestation, depthDefault, type StatementLevel } from '../../src/trust/index.ts'
import { says } from './trust-graphs.ts'

/** Real trust networks, next to the repository; absent where only the repository is. */
export const trustData = resolve(import.meta.dirname, '../../../shared/data/trust')

const lines = (name: string): string[] => readFileSync(resolve(trustData, name), 'utf8').trim().split('\n')

/** One trader's rating of another, -10 to 10, at a time in ms. */
export interface Rating {
  readonly from: string
  readonly to: string
  readonly stars: number
  readonly at: number
}

/** In order of time; nobody rates the same twice in this set. */
export const ratings = (): readonly Rating[] =>
  lines('bitcoinotc/soc-sign-bitcoinotc.csv')
    .slice(1)
    .map((line) => {
      const [from = '', to = '', stars = '0', time = '0'] = line.split(',')
      return { from, to, stars: Number(stars), at: Number(time) * 1000 }
    })

/** A rating as a statement, for 400 days. The depth is that of introducers of introducers, wider than people get unless they say so. */
export const ratingSays = ({ from, to, at }: Rating, level: StatementLevel, depth = 3): Attestation =>
  says(from, to, level, { issuedAt: at, firstSeenAt: at, expiresAt: at + 400 * dayMs, depth })

/** Ratings of traders, so that there is much of every level: -10 to -5 distrust, negative caution, 1 BASIC, 2 to 4 VERIFIED, above TRUSTED. */
export const bitcoinotc = (): Attestation[] =>
  ratings().map((rating) => {
    const { stars } = rating
    return ratingSays(rating, stars <= -5 ? -1 : stars < 0 ? 0 : stars < 2 ? 1 : stars < 5 ? 2 : 3)
  })

/** Certificates of apprentice, journeyer and master. */
export function advogato(): Attestation[] {
  const level = { '.6': 1, '.8': 2, '1': 3 } as const
  return lines('advogato/out.advogato')
    .slice(1)
    .flatMap((line) => {
      const [issuer = '', subject = '', weight = ''] = line.trim().split(/\s+/)
      return weight in level ? [says(issuer, subject, level[weight as keyof typeof level], { depth: Math.max(2, depthDefault(3)) })] : []
    })
}

/** Who trusts whom, without degrees: TRUSTED. With a part, only the people whose number is below it. */
export function epinions(part = Infinity): Attestation[] {
  return gunzipSync(readFileSync(resolve(trustData, 'epinions/epinions-adj.txt.gz')))
    .toString()
    .trim()
    .split('\n')
    .flatMap((line) => {
      const [issuer = '', subjects = ''] = line.split(':')
      if (Number(issuer) >= part) return []
      return subjects
        .split(',')
        .filter((subject) => subject !== '' && Number(subject) < part)
        .map((subject) => says(issuer, subject, 3))
    })
}

/** The most active issuers, as people whose node this could be. */
export function busiest(attestations: readonly Attestation[], count: number): Did[] {
  const counts = new Map<Did, number>()
  for (const { issuer } of attestations) counts.set(issuer, (counts.get(issuer) ?? 0) + 1)
  return [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([issuer]) => issuer)
}
