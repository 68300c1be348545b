import type { Did } from '../base/index.ts'
import { decayMs, headAgeMsMax } from './limits.ts'
import type { Attestation, Revocation } from './types.ts'

export interface RevocationIndex {
  /** Voided as if never made: named by a hard revocation, or signed or first seen after the compromise. */
  isVoid(attestation: Attestation): boolean
  /** The instant from which a soft revocation ends it; Infinity when none does. */
  endsAt(attestation: Attestation): number
}

const keyOf = (issuer: Did, id: string): string => `${issuer} ${id}`

/** Only the issuer of a statement can revoke it. Source: trust/v1 section 2.2. */
export function indexRevocations(revocations: Iterable<Revocation>): RevocationIndex {
  const compromisedAt = new Map<Did, number>()
  const hard = new Set<string>()
  const soft = new Map<string, number>()
  for (const { issuer, attestationId, kind, at } of revocations) {
    const key = keyOf(issuer, attestationId)
    if (kind === 'hard') {
      hard.add(key)
      compromisedAt.set(issuer, Math.min(at, compromisedAt.get(issuer) ?? Infinity))
    } else soft.set(key, Math.min(at, soft.get(key) ?? Infinity))
  }
  return {
    isVoid({ issuer, id, issuedAt, firstSeenAt }) {
      if (hard.size === 0) return false
      // A thief can date a statement back, but not make us have seen it before.
      const from = compromisedAt.get(issuer)
      return from !== undefined && (issuedAt >= from || firstSeenAt >= from || hard.has(keyOf(issuer, id)))
    },
    endsAt: ({ issuer, id }) => (soft.size === 0 ? Infinity : (soft.get(keyOf(issuer, id)) ?? Infinity)),
  }
}

/** When a positive statement stops counting for `level` by age alone; it may be past. -Infinity when it never said as much. */
export function decaysAt({ level: said, issuedAt }: Attestation, level: number): number {
  if (said < level) return -Infinity
  const step = decayMs[said - level]
  return step === undefined ? Infinity : issuedAt + step
}

/** When an issuer's head gets too old for `level`, given its age now; it may be past. A head never seen is too old. */
export function stalesAt(headAgeMs: number | undefined, level: number, now: number): number {
  const ageMax = headAgeMsMax[level - 1]
  return headAgeMs === undefined || ageMax === undefined || headAgeMs > ageMax ? -Infinity : now + (ageMax - headAgeMs) + 1
}
