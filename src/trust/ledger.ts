import type { Did } from '../base/index.ts'
import { computeTrust, type TrustSnapshot } from './rule.ts'
import type { Attestation, Revocation } from './types.ts'

/** What came of the tasks this node had done by somebody. */
export interface Experience {
  readonly subject: Did
  readonly successes: number
  readonly failures: number
}

export interface LedgerQuestion {
  /** A command path such as `/task/run`. */
  readonly scope: string
  readonly now: number
  /** Age in ms of the newest head seen of an issuer, undefined when none was seen. Without this function every head is taken as fresh. */
  readonly headAge?: ((issuer: Did) => number | undefined) | undefined
  readonly depthMax?: number | undefined
}

export interface LedgerOptions {
  readonly root: Did
  /** Who answers for a DID. Issuers with one controller have one vote. */
  readonly controllerOf?: ((did: Did) => Did) | undefined
}

/** Statements kept over many questions; the answers of each scope are computed from them. */
export interface Ledger {
  /** Idempotent by id. */
  add(attestation: Attestation): void
  revoke(revocation: Revocation): void
  /** Proven to contradict itself: what it says stops counting. */
  warrant(issuer: Did): void
  /** Replaces what was said. */
  experience(all: Iterable<Experience>): void
  /** Forgets statements. */
  remove(ids: Iterable<string>): void
  /** False when one more statement provably changes no answer now. */
  matters(attestation: Attestation): boolean
  readonly size: number
  snapshot(question: LedgerQuestion): TrustSnapshot
}

export function createLedger({ root, controllerOf }: LedgerOptions): Ledger {
  const attestations = new Map<string, Attestation>()
  const revocations: Revocation[] = []
  const warrants = new Set<Did>()
  let experience: readonly Experience[] = []
  let latest = -Infinity
  return {
    add(attestation) {
      if (!attestations.has(attestation.id)) attestations.set(attestation.id, attestation)
    },
    revoke: (revocation) => void revocations.push(revocation),
    warrant: (issuer) => void warrants.add(issuer),
    experience(all) {
      experience = [...all]
    },
    remove(ids) {
      for (const id of ids) attestations.delete(id)
    },
    matters: () => true,
    get size() {
      return attestations.size
    },
    snapshot({ scope, now, headAge, depthMax }) {
      latest = Math.max(latest, now)
      const given = [...attestations.values()].filter(({ issuer }) => !warrants.has(issuer))
      return computeTrust({
        ...{ root, scope, attestations: given, revocations, experience, controllerOf, now: latest },
        ...(headAge === undefined ? {} : { headAge }),
        ...(depthMax === undefined ? {} : { depthMax }),
      })
    },
  }
}
