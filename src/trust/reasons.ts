import { flag } from './columns.ts'
import { decaysAt, stalesAt } from './lives.ts'
import type { Reader, ReaderOptions } from './reader.ts'
import { scopeCovers } from './scope.ts'
import type { Sift } from './sift.ts'
import { type IgnoredReason, levelCaution } from './types.ts'

/** Why a statement cannot count in this scope, or counts for less (`stale`), whoever its issuer is; undefined when it can. Source: trust/v1 section 3.3. */
export function reasonOf(sift: Sift, reader: Reader, { scope, now, headAt }: Omit<ReaderOptions, 'depthMax'>, at: number): IgnoredReason | undefined {
  const { columns, pairs } = sift
  const pair = columns.pair[at] ?? 0
  const issuer = pairs.issuer[pair] ?? 0
  if (sift.isMute(pair)) return 'alias'
  if (((columns.flags[at] ?? 0) & flag.isVoid) !== 0) return 'revoked'
  if (sift.faulty().has(issuer)) return 'banned'

  const attestation = sift.attestation(at)
  const { level, expiresAt, scopes } = attestation
  const live = sift.lists[columns.live[at] ?? 0] ?? []
  const covers = live.some((one) => scopeCovers(one, scope))
  const isRevoked = sift.revocations.endsAt(attestation) <= now
  if (live.length === 0 || (!covers && scopes.some((one) => scopeCovers(one, scope)))) return 'superseded'
  if (isRevoked) return 'revoked'
  if (!covers || expiresAt <= now) return expiresAt <= now ? 'expired' : 'scope'
  if (level <= levelCaution) return undefined

  reader.until(pair, 0)
  const { cap } = reader
  const silenced = cap < level ? 'superseded' : undefined
  for (let reached = 1; reached <= Math.min(level, cap); reached++) {
    if (decaysAt(attestation, reached) <= now) return reached === 1 ? 'expired' : silenced
    if (stalesAt(headAt(issuer), reached, now) <= now) return 'stale'
  }
  return silenced
}
