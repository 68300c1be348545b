import { z } from 'zod'

export const doctorReport = z.object({
  ok: z.boolean(),
  findings: z.array(z.object({ what: z.string(), state: z.enum(['ok', 'warn', 'fail']), detail: z.string(), fix: z.string().nullable() })),
})
