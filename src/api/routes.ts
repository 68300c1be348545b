import { z } from 'zod'
import { type Did, MeshError, type SignalOption } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { ApiRight } from '../policy/index.ts'
import { approvalRoutes } from './approval-routes.ts'
import { doctorRoutes } from './doctor-routes.ts'
import { authRoutes } from './auth-routes.ts'
import { userRoutes } from './user-routes.ts'
import { agentRoutes } from './agent-routes.ts'
import { auditRoutes } from './audit-routes.ts'
import { configRoutes } from './config-routes.ts'
import { grantRoutes } from './grant-routes.ts'
import { groupRoutes } from './group-routes.ts'
import { inviteRoutes } from './invite-routes.ts'
import { identityRoutes } from './identity-routes.ts'
import { factorRoutes } from './factor-routes.ts'
import { findRoutes } from './find-routes.ts'
import { fileRoutes } from './file-routes.ts'
import { mailboxRoutes } from './mailbox-routes.ts'
import { pinRoutes } from './pin-routes.ts'
import { peopleRoutes } from './people-routes.ts'
import { ownKeyRoutes } from './own-key-routes.ts'
import * as schemas from './schemas.ts'
import { proofRoutes } from './proof-routes.ts'
import { taskRoutes } from './task-routes.ts'
import type { Principal } from './principals.ts'
import { tokenRoutes } from './token-routes.ts'
import { topicRoutes } from './topic-routes.ts'
import { trustRoutes } from './trust-routes.ts'
import { vaultRoutes } from './vault-routes.ts'
import { patience } from './patience.ts'
import { createLocalPaths } from './local-paths.ts'

export interface Call extends SignalOption {
  readonly body: unknown
  readonly query: unknown
  readonly params: unknown
  readonly signal: AbortSignal
  readonly principal: Principal
  /** What the request says of the browser, and the credential it was let in with: for the calls that end or open sessions. */
  readonly from?: { readonly userAgent: string | undefined; readonly bearer: string | undefined }
}

/** One call of the API: what it takes, what it gives, and what does it. */
export interface Route {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly summary: string
  /** What its caller must hold; `open` to whoever passes the guards. */
  readonly right: ApiRight | 'open'
  /** Fresh user verification of a session: always, or for what was given. Source: api/v1 section 3. */
  readonly stepUp?: true | ((call: Pick<Call, 'body'>) => boolean)
  readonly body?: z.ZodType
  readonly query?: z.ZodType
  readonly params?: z.ZodType
  readonly reply: z.ZodType
  handle(call: Call): Promise<unknown>
}

/** An answer in lines of JSON, one an item. */
export interface LinesRoute extends Omit<Route, 'handle'> {
  lines(call: Call): AsyncIterable<unknown>
}

const list = (key: string, item: z.ZodType): z.ZodType => z.object({ [key]: z.array(item) })

const pickManifest = ({ capabilities, roles, presence }: ReturnType<MeshNode['capabilities']['manifest']>) => ({ capabilities, roles, presence })

export interface RoutesOptions {
  readonly version: string
  readonly startedAt: number
  /** Folder of the profile. */
  readonly home: string
  /** Of the console, once it is served. */
  origin(): string
}

export function routesOf(node: MeshNode, { version, startedAt, home, origin }: RoutesOptions): readonly (Route | LinesRoute)[] {
  const who = (text: string): Did => node.resolve(text)
  const paths = createLocalPaths(home)
  return [
    {
      method: 'GET',
      url: '/v1/status',
      right: '/api/read',
      summary: 'Who this node is and how it does',
      reply: schemas.status,
      handle: async () => ({
        did: node.did,
        peerId: node.peerId,
        kindDid: node.kindDid,
        version,
        startedAt,
        addresses: node.addresses(),
        ticket: node.ticket(),
        peers: node.peers().length,
        agents: node.agents.list(),
        ...pickManifest(node.capabilities.manifest()),
        sandboxes: node.sandboxes.available().map(({ level, backend, lacks }) => ({ level, backend: backend ?? null, lacks: lacks ?? null })),
      }),
    },
    {
      method: 'GET',
      url: '/v1/peers',
      right: '/api/read',
      summary: 'Connected peers, and those that were and when they were last seen',
      reply: z.object({ peers: z.array(schemas.peer), away: z.array(schemas.awayPeer) }),
      handle: async () => ({ peers: node.peers(), away: node.away() }),
    },
    {
      method: 'POST',
      url: '/v1/dial',
      right: '/api/mesh',
      summary: 'Connect to a multiaddr, DID or ticket',
      body: schemas.dialBody,
      reply: schemas.dialed,
      async handle({ body, signal }) {
        const { target, timeoutMs } = body as z.infer<typeof schemas.dialBody>
        const { did, peerId, route, rttMs } = await node.dial(target, { signal: patience(signal, timeoutMs) })
        return { did, peerId, route, rttMs }
      },
    },
    {
      method: 'POST',
      url: '/v1/ping',
      right: '/api/mesh',
      summary: 'Round trip to a peer on its message stream',
      body: schemas.pingBody,
      reply: schemas.pinged,
      async handle({ body, signal }) {
        const { peer, timeoutMs } = body as z.infer<typeof schemas.pingBody>
        return await node.ping(who(peer), { signal: patience(signal, timeoutMs) })
      },
    },
    {
      method: 'POST',
      url: '/v1/send',
      right: '/api/message',
      summary: 'Send a message: acknowledged by the receiver, deposited in its mailboxes, or queued here and tried again',
      body: schemas.sendBody,
      reply: schemas.sent,
      async handle({ body, signal }) {
        const { to, timeoutMs, ttlMs, ...message } = body as z.infer<typeof schemas.sendBody>
        const { id, status, route } = await node.send(who(to), message, { signal, timeoutMs, ttlMs })
        return { id, status, route: route ?? null }
      },
    },
    {
      method: 'GET',
      url: '/v1/outbox',
      right: '/api/read',
      summary: 'What waits to be delivered, and what was given up of late',
      reply: list('messages', schemas.outboxEntry),
      handle: async () => ({ messages: node.outbox() }),
    },
    {
      method: 'POST',
      url: '/v1/ask',
      right: '/api/message',
      summary: 'Ask an agent of a peer',
      body: schemas.askBody,
      reply: schemas.asked,
      async handle({ body, signal }) {
        const { to, data, agent, timeoutMs } = body as z.infer<typeof schemas.askBody>
        return await node.ask(who(to), data, { agent, signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) })
      },
    },
    {
      method: 'GET',
      url: '/v1/inbox',
      right: '/api/message/read',
      summary: 'The last messages received, oldest first',
      query: schemas.pageQuery,
      reply: list('messages', schemas.message),
      async handle({ query }) {
        const messages = await node.inbox.list(query as z.infer<typeof schemas.pageQuery>)
        return {
          messages: messages.map(({ traceId, replyTo, token: _token, ...message }) => ({ ...message, traceId: traceId ?? null, replyTo: replyTo ?? null })),
        }
      },
    },
    ...agentRoutes(node, paths),
    ...identityRoutes(node),
    ...topicRoutes(node),
    ...findRoutes(node),
    ...mailboxRoutes(node, who),
    ...ownKeyRoutes(node),
    ...groupRoutes(node, who),
    ...trustRoutes(node, who),
    ...proofRoutes(node, who),
    ...configRoutes(node),
    ...inviteRoutes(node),
    ...pinRoutes(node),
    ...peopleRoutes(node, who),
    ...grantRoutes(node, who),
    ...approvalRoutes(node),
    ...auditRoutes(node),
    ...fileRoutes(node, paths),
    ...taskRoutes(node, who, paths),
    ...vaultRoutes(node),
    ...tokenRoutes(node),
    ...factorRoutes(node),
    ...authRoutes(node),
    ...doctorRoutes(node),
    ...userRoutes(node, (token) => `${origin()}/#/enrol/${token}`),
  ]
}

/** Parses a part of a request. @throws ERR_USAGE naming the field */
export function parsePart(schema: z.ZodType | undefined, part: unknown): unknown {
  if (schema === undefined) return undefined
  const parsed = schema.safeParse(part ?? {})
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new MeshError('ERR_USAGE', `${issue?.path.join('.') ?? 'the request'}: ${issue?.message ?? 'is wrong'}`)
}
