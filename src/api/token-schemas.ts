import { z } from 'zod'

export const tokenBody = z.object({
  /** The program it is for, such as `mcp`. */
  surface: z.string().max(32),
  /** Such as `/api/read`. */
  rights: z.array(z.string().max(64)).min(1).max(32),
  lifetimeMs: z.int().min(1).optional(),
})
export const tokenNamed = z.object({ id: z.string().min(1).max(32) })

export const token = z.object({
  id: z.string(),
  surface: z.string(),
  rights: z.array(z.string()),
  madeBy: z.string(),
  createdAt: z.int(),
  expiresAt: z.int(),
  lastUsedAt: z.int().nullable(),
})
export const tokenCreated = token.extend({ token: z.string() })
