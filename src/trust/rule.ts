import type { Did } from '../base/index.ts'
import type { TrustEdge } from './edges.ts'
import type { Experience } from './experience.ts'
import type { Explanation, ExplainOptions } from './explain.ts'
import { createLedger } from './ledger.ts'
import type { Attestation, Level, Revocation } from './types.ts'

export interface TrustQuestion {
  readonly root: Did
  /** A command path such as `/task/run`. */
  readonly scope: string
  /** Verified statements, in any order. */
  readonly attestations: Iterable<Attestation>
  /** Verified revocations, in any order. */
  readonly revocations?: Iterable<Revocation>
  readonly now: number
  /** Age in ms of the newest head seen of an issuer, undefined when none was seen. Without this function every head is taken as fresh. */
  readonly headAge?: ((issuer: Did) => number | undefined) | undefined
  readonly depthMax?: number | undefined
  /** What came of the tasks this node had done by others. */
  readonly experience?: Iterable<Experience> | undefined
  /** Issuers proven to contradict themselves. */
  readonly warrants?: Iterable<Did> | undefined
  /** Who answers for a DID. Issuers with one controller have one vote. */
  readonly controllerOf?: ((did: Did) => Did) | undefined
}

/** A candidate for work; the score ranks inside a level and means nothing across levels. */
export interface Ranked {
  readonly subject: Did
  readonly level: Level
  readonly score: number
}

/** Everybody's level in one scope at one instant. Ask again after `validUntil` or with new statements. */
export interface TrustSnapshot {
  readonly scope: string
  readonly at: number
  /** Next instant at which any answer may change; undefined when none will by time alone. */
  readonly validUntil: number | undefined
  /** How far we trust `subject`, -1 to 4. UNKNOWN when nobody we know vouches for it. Never changes. Source: trust/v1 section 2. */
  level(subject: Did): Level
  /** Why. Of a ledger that changed since, as it is now. Source: trust/v1 section 3. */
  explain(subject: Did, options?: ExplainOptions): Explanation
  /** Everybody who speaks, is spoken of or was worked with, the root first, then in order of DID. */
  subjects(): readonly Did[]
  /** What everybody says of whom now. */
  edges(): Iterable<TrustEdge>
  /** The given subjects, or all, from the highest level down and inside a level from the best known down. Never gates. */
  rank(subjects?: Iterable<Did>): readonly Ranked[]
}

/** The trust rule for one scope. Pure: the same statements in any order give the same snapshot. Source: trust/v1 section 2. */
export function computeTrust({ root, attestations, revocations = [], warrants = [], experience, controllerOf, ...question }: TrustQuestion): TrustSnapshot {
  const ledger = createLedger({ root, controllerOf })
  for (const attestation of attestations) ledger.add(attestation)
  for (const revocation of revocations) ledger.revoke(revocation)
  for (const issuer of warrants) ledger.warrant(issuer)
  if (experience !== undefined) ledger.experience(experience)
  return ledger.snapshot(question)
}
