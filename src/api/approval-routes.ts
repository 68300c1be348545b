import type { z } from 'zod'
import { base64, MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import { grantApproval, grantId } from './approval-schemas.ts'
import type { Route } from './routes.ts'

/** What a person signed of a capability token. Source: grant/v1 section 7 */
export function approvalRoutes({ users, grants }: MeshNode): readonly Route[] {
  return [
    {
      method: 'POST',
      url: '/v1/grants/approval',
      right: '/api/read',
      summary: 'Which person signed a token given here, verified now, and the bytes by which anyone can',
      body: grantId,
      reply: grantApproval,
      async handle({ body }) {
        const { id } = body as z.infer<typeof grantId>
        const approval = await grants.approvalOf(id)
        if (approval === undefined) throw new MeshError('ERR_NOT_FOUND', 'nobody signed that token by passkey', { hint: 'the audit log says who gave it' })
        const verdict = await users.verifyApproval(approval)
        if (!verdict.ok) return { approval: base64(approval), ok: false, user: null, at: null, keyHash: null }
        const { user, at, keyHash } = verdict
        return { approval: base64(approval), ok: true, user, at, keyHash: base64(keyHash) }
      },
    },
  ]
}
