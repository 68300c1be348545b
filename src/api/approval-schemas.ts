import { z } from 'zod'

export const grantId = z.object({ id: z.string().min(4).max(64) })
/** `approval` and `keyHash` in base64; `user` is an id. Source: auth/v1 section 7 */
export const grantApproval = z.object({
  approval: z.base64(),
  ok: z.boolean(),
  user: z.string().nullable(),
  at: z.int().nullable(),
  keyHash: z.base64().nullable(),
})
