import type { z } from 'zod'
import { MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'

/** The node's own keys: what they are, and changing them. */
export const ownKeyRoutes = (node: MeshNode): readonly Route[] => [
  {
    method: 'GET',
    url: '/v1/identity',
    right: '/api/read',
    summary: 'The chain of this node’s keys',
    reply: schemas.identity,
    handle: async () => node.identity(),
  },
  {
    method: 'POST',
    url: '/v1/identity/rotate',
    right: '/api/identity',
    stepUp: true,
    summary: 'Put the next key in force; the node starts again under it, the DID stays',
    body: schemas.rotateBody,
    reply: schemas.rotated,
    handle: async ({ body }) => await node.rotate(body as z.infer<typeof schemas.rotateBody>),
  },
  {
    method: 'POST',
    url: '/v1/identity/recovery',
    right: '/api/identity',
    stepUp: true,
    summary: 'Hand over the recovery key, once: it is erased here; with `keep` not yet, then with `held`, the copy that was written down',
    body: schemas.recoveryExportBody,
    reply: schemas.recoveryBody,
    async handle({ body }) {
      const { keep = false, held } = body as z.infer<typeof schemas.recoveryExportBody>
      let recovery = ''
      const kept = new MeshError('ERR_USAGE', 'the recovery key is kept')
      await node
        .exportRecovery(async (text) => {
          if (held !== undefined && held !== text) throw new MeshError('ERR_USAGE', 'that is not the recovery key; nothing was erased')
          recovery = text
          // Whatever is thrown here leaves the key where it is.
          if (keep) throw kept
        })
        .catch((error: unknown) => {
          if (error !== kept) throw error
        })
      return { recovery }
    },
  },
  {
    method: 'POST',
    url: '/v1/identity/recover',
    right: '/api/identity',
    stepUp: true,
    summary: 'Take the identity back with its recovery key',
    body: schemas.recoveryBody,
    reply: schemas.rotated,
    handle: async ({ body }) => await node.recover((body as z.infer<typeof schemas.recoveryBody>).recovery),
  },
]
