import { z } from 'zod'

const layer = z.string()
/** A setting: what holds, by whose word, and who spoke in vain. */
export const setting = z.object({
  key: z.string(),
  meaning: z.string(),
  felt: z.enum(['now', 'start']),
  value: z.unknown(),
  from: layer,
  source: z.string(),
  lockedBy: layer.nullable(),
  unheard: z.array(z.object({ layer, source: z.string(), value: z.unknown(), why: z.enum(['overridden', 'locked']) })),
})
export const settingsQuery = z.object({ agent: z.string().max(64).optional() })
export const settingBody = z.strictObject({
  key: z.string().max(128),
  /** Left out, the setting is taken out of the layer. */
  value: z.unknown().optional(),
  layer: z.enum(['user', 'agent', 'session']),
  agent: z.string().max(64).optional(),
})
