import type { MeetItem } from '../protocols/att-meet/index.ts'
import { readTrustStatement, type SignedItem } from '../trust/index.ts'

/**
 * The newest word of each issuer about each subject among statements verified before: its newest attestation, or what revokes that one.
 * Revocations of other things are left out: they must not stand in for it. In order of seq. Source: trust/v1 section 5.
 */
export function newestWords(items: Iterable<SignedItem>): readonly MeetItem[] {
  const attested = new Map<string, { readonly item: MeetItem; readonly id: string; readonly seq: number }>()
  const revoked = new Map<string, { readonly item: MeetItem; readonly seq: number }>()
  for (const { kind, bytes } of items) {
    const { statement } = readTrustStatement({ kind, bytes })
    const { from, to } = statement.signed.statement
    if (statement.kind === 'attestation') {
      const before = attested.get(`${from} ${to}`)
      if (before === undefined || before.seq < statement.seq) {
        attested.set(`${from} ${to}`, { item: { kind: statement.kind, bytes }, id: statement.signed.ref, seq: statement.seq })
      }
    } else if (statement.kind === 'revocation') {
      revoked.set(`${from} ${statement.revocation.attestationId}`, { item: { kind: statement.kind, bytes }, seq: statement.seq })
    }
  }
  const words = [...attested].map(([pair, word]) => revoked.get(`${pair.split(' ', 1)[0]} ${word.id}`) ?? word)
  return words.toSorted((a, b) => a.seq - b.seq).map(({ item }) => item)
}
