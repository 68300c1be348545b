import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Did, didFromKey, utf8 } from '../../src/base/index.ts'
import { verify } from '../../src/crypto/index.ts'
import type { Attestation, StatementLevel } from '../../src/trust/index.ts'
import { now, says } from './trust-graphs.ts'
import { trustData } from './trust-sets.ts'

/** A signed crev trust proof; body and signature are byte for byte as published. */
export interface CrevProof {
  readonly repo: string
  readonly from: string
  readonly date: string
  readonly trust: 'none' | 'low' | 'medium' | 'high' | 'distrust'
  readonly ids: readonly string[]
  readonly body: string
  readonly sig: string
}

export const crevProofs = (): readonly CrevProof[] =>
  readFileSync(resolve(trustData, 'crev/crev-proofs.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CrevProof)

/** Ed25519 over the bytes of the body, by the key that is the author's id. */
export const isGenuine = ({ from, body, sig }: CrevProof): boolean => verify(Buffer.from(from, 'base64url'), utf8(body), Buffer.from(sig, 'base64url'))

export const crevDid = (id: string): Did => didFromKey(Buffer.from(id, 'base64url'))

const levels = { distrust: -1, none: 0, low: 1, medium: 2, high: 3 } as const satisfies Record<CrevProof['trust'], StatementLevel>

/**
 * The genuine proofs till some day as statements, the newest of one author about another in force. Proofs of crev end never, so all are as if renewed the day before; `none` is said as
 * caution.
 */
export function crev(until = '9999-12-31'): Attestation[] {
  const inOrder = crevProofs()
    .filter((proof) => isGenuine(proof) && proof.date < until)
    .toSorted((a, b) => Date.parse(a.date) - Date.parse(b.date))
  return inOrder.flatMap(({ from, ids, trust }, place) =>
    ids.map((id, at) => {
      const level = levels[trust]
      return { ...says(from, id, level, { seq: place + 1, firstSeenAt: now }), id: `proof ${place}.${at}`, issuer: crevDid(from), subject: crevDid(id) }
    }),
  )
}
