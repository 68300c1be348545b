import type { Did } from '../base/index.ts'
import { type FlowEdge, fullAmount } from './flow.ts'
import { decaysAt, indexRevocations } from './lives.ts'
import { scopeCovers } from './scope.ts'
import type { Attestation, Revocation } from './types.ts'

/** What a statement of BASIC, VERIFIED, TRUSTED, AUTHORITY carries: in OpenPGP's words a third, partial, full. Source: trust/v1 section 2.9. */
export const flowAmounts = [0, 40, 60, fullAmount, fullAmount] as const

export interface FlowStatements {
  readonly attestations: Iterable<Attestation>
  readonly revocations?: Iterable<Revocation>
  readonly scope: string
  readonly now: number
  /** What a live statement carries, 0 to 120; by its level after age unless given. */
  readonly amountOf?: ((attestation: Attestation) => number) | undefined
  /** Who answers for a DID. Issuers with one controller carry together what one does. */
  readonly controllerOf?: ((did: Did) => Did) | undefined
}

/** What was said in this scope and is in force now. Expiry, revocation, supersession and scope are those of the rule. Source: trust/v1 sections 2.1 and 2.2. */
export function liveStatements({ attestations, revocations = [], scope, now }: FlowStatements): Attestation[] {
  const index = indexRevocations(revocations)
  const newest = new Map<string, Attestation>()
  for (const attestation of attestations) {
    if (attestation.issuer === attestation.subject || index.isVoid(attestation)) continue
    for (const written of attestation.scopes) {
      if (!scopeCovers(written, scope)) continue
      const place = `${attestation.issuer} ${attestation.subject} ${written}`
      const other = newest.get(place)
      if (other === undefined || isNewer(attestation, other)) newest.set(place, attestation)
    }
  }
  return [...new Set(newest.values())].filter((attestation) => attestation.expiresAt > now && index.endsAt(attestation) > now)
}

/** The live statements that carry anything, as edges. Source: trust/v1 section 2.9. */
export function flowEdges(options: FlowStatements, live: readonly Attestation[] = liveStatements(options)): FlowEdge[] {
  const { now, amountOf = (statement: Attestation) => flowAmounts[wornLevel(statement, now)], controllerOf = (did: Did) => did } = options
  return live.flatMap((statement) => {
    const { id, issuer: from, subject: to, depth } = statement
    const amount = Math.min(fullAmount, amountOf(statement))
    return amount > 0 ? [{ id, from, to, amount, depth, purse: `${controllerOf(from)} ${controllerOf(to)}` }] : []
  })
}

const isNewer = (a: Attestation, b: Attestation): boolean => a.seq > b.seq || (a.seq === b.seq && (a.level < b.level || (a.level === b.level && a.id < b.id)))

/** The level a statement still counts for at its age, 0 for none. Source: trust/v1 section 2.2.6. */
export const wornLevel = (statement: Attestation, now: number): 0 | 1 | 2 | 3 | 4 =>
  ([4, 3, 2, 1] as const).find((step) => decaysAt(statement, step) > now) ?? 0
