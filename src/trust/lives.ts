import type { Did } from '../base/index.ts'
import { decayMs, headAgeMsMax } from './limits.ts'
import type { Attestation, Revocation } from './types.ts'

export interface Revocations {
  readonly isEmpty: boolean
  /** False when this was known. */
  add(revocation: Revocation): boolean
  /** Voided as if never made: named by a hard revocation, or signed or first seen after the compromise. */
  isVoid(attestation: Pick<Attestation, 'issuer' | 'id' | 'issuedAt' | 'firstSeenAt'>): boolean
  /** The instant from which a soft revocation ends it; Infinity when none does. */
  endsAt(attestation: Pick<Attestation, 'issuer' | 'id'>): number
}

const keyOf = (issuer: Did, id: string): string => `${issuer} ${id}`

/** Only the issuer of a statement can revoke it. Source: trust/v1 section 2.2. */
export function createRevocations(): Revocations {
  const compromisedAt = new Map<Did, number>()
  const hard = new Set<string>()
  const soft = new Map<string, number>()
  return {
    get isEmpty() {
      return hard.size + soft.size === 0
    },
    add({ issuer, attestationId, kind, at }) {
      const key = keyOf(issuer, attestationId)
      if (kind === 'hard') {
        const isNew = !hard.has(key) || at < (compromisedAt.get(issuer) ?? Infinity)
        hard.add(key)
        compromisedAt.set(issuer, Math.min(at, compromisedAt.get(issuer) ?? Infinity))
        return isNew
      }
      const isNew = at < (soft.get(key) ?? Infinity)
      if (isNew) soft.set(key, at)
      return isNew
    },
    isVoid({ issuer, id, issuedAt, firstSeenAt }) {
      if (hard.size === 0) return false
      // A thief can date a statement back, but not make us have seen it before.
      const from = compromisedAt.get(issuer)
      return from !== undefined && (issuedAt >= from || firstSeenAt >= from || hard.has(keyOf(issuer, id)))
    },
    endsAt: ({ issuer, id }) => (soft.size === 0 ? Infinity : (soft.get(keyOf(issuer, id)) ?? Infinity)),
  }
}

export function indexRevocations(revocations: Iterable<Revocation>): Revocations {
  const index = createRevocations()
  for (const revocation of revocations) index.add(revocation)
  return index
}

/** When a positive statement stops counting for `level` by age alone; it may be past. -Infinity when it never said as much. */
export const decaysAt = ({ level: said, issuedAt }: Pick<Attestation, 'level' | 'issuedAt'>, level: number): number => wearsAt(said, issuedAt, level)

/** The same of a statement in columns. */
export function wearsAt(said: number, issuedAt: number, level: number): number {
  if (said < level) return -Infinity
  const step = decayMs[said - level]
  return step === undefined ? Infinity : issuedAt + step
}

/** When an issuer's head signed at `headAt` gets too old for `level`; it may be past. A head never seen (-Infinity) is too old. */
export function stalesAt(headAt: number, level: number, now: number): number {
  const ageMax = headAgeMsMax[level - 1]
  return ageMax === undefined || now - headAt > ageMax ? -Infinity : headAt + ageMax + 1
}
