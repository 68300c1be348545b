import { z } from 'zod'
import { type Did } from '../base/index.ts'
import { domainDocumentOf, type MeshNode, parseDomain } from '../node/index.ts'
import { parseAnswerLevel, parseLevel } from '../trust/index.ts'
import * as schemas from './proof-schemas.ts'
import type { Route } from './routes.ts'
import { patience } from './patience.ts'

/** As levels are read: in any case. */
const isAuthority = (level: string | undefined): boolean => level?.toLowerCase() === 'authority'

/** Trust that others help to begin: domains, authority lists, introductions. */
export function proofRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  return [...domainRoutes(node, who), ...listRoutes(node), ...introduceRoutes(node, who)]
}

function domainRoutes({ domains, did }: MeshNode, who: (text: string) => Did): readonly Route[] {
  const view = (pin: ReturnType<typeof domains.list>[number]) => ({ ...pin, statement: pin.statement ?? null })
  return [
    {
      method: 'GET',
      url: '/v1/domains',
      right: '/api/read',
      summary: 'Domains pinned to the identities they name',
      reply: z.object({ domains: z.array(schemas.domainPin) }),
      handle: async () => ({ domains: domains.list().map(view) }),
    },
    {
      method: 'POST',
      url: '/v1/domains/check',
      right: '/api/trust',
      summary: 'Ask a domain by did.json and DNS whom it names; nothing is kept',
      body: schemas.domainBody,
      reply: schemas.domainReport,
      async handle({ body, signal }) {
        const { domain, timeoutMs } = body as z.infer<typeof schemas.domainBody>
        return await domains.check(domain, { signal: patience(signal, timeoutMs, 'the domain') })
      },
    },
    {
      method: 'POST',
      url: '/v1/domains',
      right: '/api/trust',
      stepUp: ({ body }) => isAuthority((body as z.infer<typeof schemas.pinDomainBody>).level),
      summary: 'Pin a domain to the identity it names and vouch for that',
      body: schemas.pinDomainBody,
      reply: schemas.domainPin,
      async handle({ body, signal }) {
        const { domain, peer, level, scopes, replace, timeoutMs } = body as z.infer<typeof schemas.pinDomainBody>
        const wanted = peer === undefined ? undefined : who(peer)
        return view(
          await domains.pin(domain, { did: wanted, level: parseAnswerLevel(level), scopes, replace, signal: patience(signal, timeoutMs, 'the domain') }),
        )
      },
    },
    {
      method: 'POST',
      url: '/v1/domains/recheck',
      right: '/api/trust',
      summary: 'Ask all pinned domains again',
      body: z.object({}),
      reply: z.object({ domains: z.array(schemas.domainPin) }),
      handle: async ({ signal }) => ({ domains: (await domains.recheck({ signal, all: true })).map(view) }),
    },
    {
      method: 'POST',
      url: '/v1/domains/remove',
      right: '/api/trust',
      summary: 'Unpin a domain and withdraw what was said because of it',
      body: schemas.domainNamed,
      reply: schemas.domainPin,
      handle: async ({ body }) => view(await domains.remove((body as z.infer<typeof schemas.domainNamed>).domain)),
    },
    {
      method: 'GET',
      url: '/v1/domains/document',
      right: '/api/trust',
      summary: 'What the owner of a domain publishes to name this node',
      query: schemas.domainNamed,
      reply: schemas.domainDocument,
      handle: async ({ query }) => domainDocumentOf(parseDomain((query as z.infer<typeof schemas.domainNamed>).domain), did),
    },
  ]
}

function listRoutes({ authorities }: MeshNode): readonly Route[] {
  return [
    {
      method: 'GET',
      url: '/v1/authorities',
      right: '/api/read',
      summary: 'Authority lists this node follows',
      reply: z.object({ lists: z.array(schemas.followedList) }),
      handle: async () => ({ lists: authorities.list() }),
    },
    {
      method: 'POST',
      url: '/v1/authorities/inspect',
      right: '/api/trust',
      summary: 'What a list says and who signed it; nothing is kept',
      body: schemas.listBody,
      reply: schemas.listReport,
      async handle({ body }) {
        const { reason, ...report } = authorities.inspect((body as z.infer<typeof schemas.listBody>).text)
        return { ...report, reason: reason ?? null }
      },
    },
    {
      method: 'POST',
      url: '/v1/authorities',
      right: '/api/trust',
      stepUp: ({ body }) => isAuthority((body as z.infer<typeof schemas.followBody>).level),
      summary: 'Follow a list, or take its next version',
      body: schemas.followBody,
      reply: schemas.followedList,
      async handle({ body }) {
        const { text, level, scopes } = body as z.infer<typeof schemas.followBody>
        return await authorities.add(text, { level: level === undefined ? undefined : parseAnswerLevel(level), scopes })
      },
    },
    {
      method: 'POST',
      url: '/v1/authorities/sign',
      right: '/api/trust',
      // Its entries may say AUTHORITY of somebody.
      stepUp: true,
      summary: 'The list with the signature of this node, one of its keepers',
      body: schemas.listBody,
      reply: schemas.listBody,
      handle: async ({ body }) => ({ text: authorities.sign((body as z.infer<typeof schemas.listBody>).text) }),
    },
    {
      method: 'POST',
      url: '/v1/authorities/remove',
      right: '/api/trust',
      summary: 'Follow a list no longer',
      body: schemas.listNamed,
      reply: schemas.followedList,
      handle: async ({ body }) => await authorities.remove((body as z.infer<typeof schemas.listNamed>).name),
    },
  ]
}

function introduceRoutes(node: MeshNode, who: (text: string) => Did): readonly Route[] {
  return [
    {
      method: 'POST',
      url: '/v1/introductions',
      right: '/api/trust',
      stepUp: ({ body }) => isAuthority((body as z.infer<typeof schemas.introduceBody>).level),
      summary: 'Vouch for each of two peers to the other and tell both',
      body: schemas.introduceBody,
      reply: schemas.introduced,
      async handle({ body }) {
        const { peers, level, ...options } = body as z.infer<typeof schemas.introduceBody>
        const both = await node.introduce([who(peers[0]), who(peers[1])], { ...options, level: parseLevel(level) })
        return { introduced: both.map((one) => ({ ...one, statement: one.statement ?? null })) }
      },
    },
  ]
}
