/** Events of the log that say somebody was refused, tried what he may not, or was not who he should be. */
export const securityEvents = [
  'peer_refused',
  'message_refused',
  'task_refused',
  'attestation_refused',
  'file_refused',
  'join_refused',
  'issuer_contradicted',
  'pin_broken',
  'domain_broken',
  'identity_frozen',
  'code_execution_failed',
  'user_login_failed',
  'user_passkey_disabled',
  'vault_unseal_failed',
  'vault_rolled_back',
] as const

interface Happened {
  readonly time: number
  readonly event: string
  readonly actor: string
  readonly subject: string | null
}

export interface Series {
  /** Beginnings of the spans, ms since 1970. */
  readonly times: readonly number[]
  readonly counts: readonly number[]
}

/** How many happened in each span up to now, spans without any included. */
export function countsOver(
  entries: readonly Pick<Happened, 'time'>[],
  { now, spanMs, spans }: { readonly now: number; readonly spanMs: number; readonly spans: number },
): Series {
  const last = Math.floor(now / spanMs)
  const counts = Array.from({ length: spans }, () => 0)
  for (const { time } of entries) {
    const place = spans - 1 - (last - Math.floor(time / spanMs))
    if (place >= 0 && place < spans) counts[place] = (counts[place] ?? 0) + 1
  }
  return { times: counts.map((_, index) => (last - spans + 1 + index) * spanMs), counts }
}

export interface Tally {
  readonly name: string
  readonly count: number
}

/** The most frequent first; equal ones by name. */
export function tallied(names: readonly string[]): readonly Tally[] {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].map(([name, count]) => ({ name, count })).toSorted((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1))
}

/** Whom refusals were about: the other side, never this node itself. */
export const refusedPeers = (entries: readonly Happened[], own: string): readonly Tally[] =>
  tallied(
    entries.flatMap(({ event, actor, subject }) => {
      if (!event.endsWith('_refused')) return []
      const other = actor === own ? subject : actor
      return other === null || other === own || !other.startsWith('did:') ? [] : [other]
    }),
  )
