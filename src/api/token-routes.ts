import { z } from 'zod'
import type { ApiTokenMaker, MeshNode } from '../node/index.ts'
import { cliSurface, type Principal } from './principals.ts'
import { callerOf } from './rate-limits.ts'
import type { Route } from './routes.ts'
import * as schemas from './token-schemas.ts'

type View = ReturnType<MeshNode['tokens']['list']>[number]
const shown = <T extends View>(view: T) => ({ ...view, lastUsedAt: view.lastUsedAt ?? null })

/** Tokens with which programs of this machine use the API. */
export const tokenRoutes = ({ tokens }: MeshNode): readonly Route[] => [
  {
    method: 'POST',
    url: '/v1/tokens',
    right: '/api/token',
    stepUp: true,
    summary: 'Make a token for a program, with some of the rights of who makes it; its text is shown once',
    body: schemas.tokenBody,
    reply: schemas.tokenCreated,
    handle: async ({ body, principal }) => shown(await tokens.create(body as z.infer<typeof schemas.tokenBody>, makerOf(principal))),
  },
  {
    method: 'GET',
    url: '/v1/tokens',
    right: '/api/token',
    summary: 'Tokens of programs, the oldest first, without their texts',
    reply: z.object({ tokens: z.array(schemas.token) }),
    handle: async () => ({ tokens: tokens.list().map(shown) }),
  },
  {
    method: 'POST',
    url: '/v1/tokens/revoke',
    right: '/api/token',
    summary: 'End a token at once; the beginning of its id is enough',
    body: schemas.tokenNamed,
    reply: schemas.token,
    handle: async ({ body }) => shown(await tokens.revoke((body as z.infer<typeof schemas.tokenNamed>).id)),
  },
]

/** The command line of the node has all rights, and stands for the machine. */
function makerOf(principal: Principal): ApiTokenMaker | undefined {
  if (principal.kind === 'token' && principal.surface === cliSurface) return undefined
  return { by: callerOf(principal), rights: principal.rights, expiresAt: principal.kind === 'token' ? principal.expiresAt : undefined }
}
