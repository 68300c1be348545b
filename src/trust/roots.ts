import { decaysAt, indexRevocations } from './lives.ts'
import type { TrustQuestion } from './rule.ts'
import { type Attestation, levelCaution, type StatementLevel } from './types.ts'

/** A live word of the root, and what it is worth now. */
export interface OwnWord extends Pick<Attestation, 'id' | 'subject' | 'level' | 'depth' | 'issuedAt' | 'expiresAt'> {
  /** Those in which nothing newer was said. */
  readonly scopes: readonly string[]
  /** What it counts for after age; 0 also for a positive word that is too old for any level. */
  readonly countsFor: StatementLevel
  /** When it ends or counts for less. */
  readonly until: number
}

/** What the root itself says in all scopes: everything else follows from it. In order of subject, the newest first. Source: trust/v1 section 2.2. */
export function ownWords({ root, attestations, revocations = [], now }: Omit<TrustQuestion, 'scope'>): readonly OwnWord[] {
  const lives = indexRevocations(revocations)
  const own = [...attestations].filter((said) => said.issuer === root && said.subject !== root && !lives.isVoid(said))
  const placeOf = ({ subject }: Attestation, scope: string): string => `${subject} ${scope}`
  const newest = new Map<string, Attestation>()
  for (const said of own.toSorted((a, b) => a.seq - b.seq || b.level - a.level)) for (const scope of said.scopes) newest.set(placeOf(said, scope), said)
  return own
    .filter((said) => said.expiresAt > now && lives.endsAt(said) > now)
    .map((said) => {
      const countsFor = worth(said, now)
      const ages = countsFor > levelCaution ? decaysAt(said, countsFor) : Infinity
      return {
        ...{ id: said.id, subject: said.subject, level: said.level, depth: said.depth, issuedAt: said.issuedAt, expiresAt: said.expiresAt, countsFor },
        scopes: said.scopes.filter((scope) => newest.get(placeOf(said, scope)) === said),
        until: Math.min(said.expiresAt, lives.endsAt(said), ages),
      }
    })
    .filter(({ scopes }) => scopes.length > 0)
    .toSorted((a, b) => (a.subject === b.subject ? b.issuedAt - a.issuedAt : a.subject < b.subject ? -1 : 1))
}

function worth(said: Attestation, now: number): StatementLevel {
  let level = said.level
  while (level > levelCaution && decaysAt(said, level) <= now) level = (level - 1) as StatementLevel
  return level
}
