import { z } from 'zod'
import { agentCapabilities, MeshError } from '../base/index.ts'
import { signedJsonBytesMax } from '../identity/index.ts'
import type { MeshNode } from '../node/index.ts'
import { parseJsonText } from '../wire/index.ts'
import type { Route } from './routes.ts'
import * as schemas from './schemas.ts'

/** Identities of agents, and what they sign. */
export function identityRoutes(node: Pick<MeshNode, 'identities'>): readonly Route[] {
  const { identities } = node
  return [
    {
      method: 'GET',
      url: '/v1/identities',
      right: '/api/read',
      summary: 'Agents that have a key of their own here',
      reply: z.object({ identities: z.array(schemas.agentIdentity) }),
      handle: async () => ({ identities: identities.list() }),
    },
    {
      method: 'POST',
      url: '/v1/identities',
      right: '/api/identity',
      summary: 'Make a key for an agent; it never leaves this node',
      body: schemas.identityBody,
      reply: schemas.agentIdentity,
      async handle({ body }) {
        const { agentId, capabilities } = body as z.infer<typeof schemas.identityBody>
        return await identities.generateAgentIdentity(
          agentId,
          agentCapabilities.filter((name) => capabilities.includes(name)),
        )
      },
    },
    {
      method: 'POST',
      url: '/v1/sign',
      right: '/api/sign',
      summary: 'Sign JSON data in an agent’s name: `message`, or `text` where the exact JSON text matters',
      body: schemas.signBody,
      reply: schemas.signedJson,
      async handle({ body }) {
        const { agentId, audience, ...data } = body as z.infer<typeof schemas.signBody>
        const message = dataOf(data)
        const signature = await identities.signMessage(agentId, message, { audience })
        const found = identities.find(agentId)
        if (found === undefined) throw new MeshError('ERR_INTERNAL', 'the identity that signed is gone')
        const { did, didKey, publicKey } = found
        return { agentId, did, didKey, publicKey, audience, message, signature }
      },
    },
    {
      method: 'POST',
      url: '/v1/verify',
      right: '/api/read',
      summary: 'Did this key sign this JSON data for this audience?',
      body: schemas.verifyBody,
      reply: z.object({ valid: z.boolean() }),
      async handle({ body }) {
        const { signature, publicKey, audience, ...data } = body as z.infer<typeof schemas.verifyBody>
        return { valid: await identities.verifySignature(dataOf(data), signature, publicKey, { audience }) }
      },
    },
  ]
}

/** The data of `message`, or of `text` read strictly: a parser in between has dropped the first of two equal names from `message`. @throws ERR_USAGE, ERR_JSON_INVALID */
function dataOf({ message, text }: { readonly message?: unknown; readonly text?: string | undefined }): unknown {
  if ((message === undefined) === (text === undefined)) throw new MeshError('ERR_USAGE', 'give either message or text')
  return text === undefined ? message : parseJsonText(text, signedJsonBytesMax)
}
