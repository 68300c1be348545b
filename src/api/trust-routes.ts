import { z } from 'zod'
import type { Did } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import { parseLevel } from '../trust/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'

/** Statements of this node and of others, and what follows from them. */
export function trustRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  return [
    {
      method: 'POST',
      url: '/v1/attestations',
      summary: 'Sign a statement about a subject',
      body: schemas.attestBody,
      reply: schemas.attested,
      async handle({ body }) {
        const { subject, level, ...fields } = body as z.infer<typeof schemas.attestBody>
        return await node.trust.attest({ subject: who(subject), level: parseLevel(level), ...fields })
      },
    },
    {
      method: 'GET',
      url: '/v1/attestations',
      summary: 'Statements known here that are not revoked',
      reply: z.object({ attestations: z.array(schemas.attestation) }),
      handle: async () => ({
        attestations: node.trust.show().map(({ id, issuer, subject, level, scopes, depth, issuedAt, expiresAt, seq }) => ({
          id,
          issuer,
          subject,
          level,
          scopes,
          depth,
          issuedAt,
          expiresAt,
          seq,
        })),
      }),
    },
    {
      method: 'POST',
      url: '/v1/revocations',
      summary: 'Withdraw a statement of this node',
      body: schemas.revokeBody,
      reply: z.object({ id: z.string() }),
      async handle({ body }) {
        const { id, kind } = body as z.infer<typeof schemas.revokeBody>
        return await node.trust.revoke(id, kind)
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/explain',
      summary: 'How far a subject is trusted in a scope, and why',
      query: schemas.explainQuery,
      reply: schemas.explanation,
      async handle({ query, signal }) {
        const { subject, scope } = query as z.infer<typeof schemas.explainQuery>
        const { missingForNext, validUntil, ...rest } = await node.trust.explain(who(subject), { scope, signal })
        return { ...rest, missingForNext: missingForNext ?? null, validUntil: validUntil ?? null }
      },
    },
    {
      method: 'GET',
      url: '/v1/trust/levels',
      summary: 'Everybody known in a scope with their level',
      query: schemas.levelsQuery,
      reply: z.object({ levels: z.array(z.object({ did: z.string(), level: z.int() })) }),
      async handle({ query }) {
        const snapshot = node.trust.snapshot((query as z.infer<typeof schemas.levelsQuery>).scope)
        return { levels: snapshot.subjects().map((did) => ({ did, level: snapshot.level(did) })) }
      },
    },
  ]
}
