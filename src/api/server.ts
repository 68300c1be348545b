import { dirname } from 'node:path'
import swagger from '@fastify/swagger'
import fastify from 'fastify'
import { z } from 'zod'
import { base64url, type Clock, MeshError, type Random, realClock, secondMs } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { ApiRight } from '../policy/index.ts'
import { removeApiFile, writeApiFile } from './api-file.ts'
import { addConsole, readConsole } from './console-files.ts'
import { createCredentials } from './credentials.ts'
import { createEventStreams } from './event-stream.ts'
import { listenOnLoopback, onWishedPort } from './loopback.ts'
import { addGuards } from './guards.ts'
import { completeOpenApi, type Described, describedOf, type OpenApiDocument } from './openapi.ts'
import { createLeases } from './leases.ts'
import { problemOf, requestBytesMax, sendProblem } from './problems.ts'
import { type apiRates, createRateLimits } from './rate-limits.ts'
import { parsePart, routesOf } from './routes.ts'
import { serveRoute } from './serve-route.ts'

/** Largest request line and headers together. Source: api/v1 section 5. */
export const headerBytesMax = 16_384
/** A request is in whole within this time. */
export const requestMsMax = 30 * secondMs
/** Connections open at a time. */
export const connectionsMax = 1_024
/** What both servers, of a running node and of a sealed one, refuse before anything is parsed. */
export const serverLimits = {
  bodyLimit: requestBytesMax,
  forceCloseConnections: true,
  // A HEAD of a stream would open it and never let go.
  exposeHeadRoutes: false,
  requestTimeout: requestMsMax,
  http: { maxHeaderSize: headerBytesMax, headersTimeout: requestMsMax },
} as const

export interface ApiOptions {
  readonly node: MeshNode
  /** File that tells the address and the token to clients of the same user; mode 0600, gone when the API stops. */
  readonly file: string
  readonly port?: number
  /** Any other port will do when this one is taken. */
  readonly isPortWish?: boolean
  readonly version: string
  readonly startedAt: number
  readonly random: Random
  readonly clock?: Clock
  readonly rates?: typeof apiRates
  /** Hears of every request that reached a handler, such as `GET /v1/status`. */
  onServed?(route: string): void
}

export interface Api {
  readonly url: string
  /** False when the console was not built. */
  readonly hasConsole: boolean
  stop(): Promise<void>
}

const endingRights: ReadonlySet<ApiRight | undefined> = new Set<ApiRight>(['/api/self', '/api/users', '/api/token'])
const eventsQuery = z.object({ cursor: z.string().max(64).optional() })

/** Serves the control API on loopback only. @throws ERR_NET_ADDRESS when the port is taken */
export async function startApi(options: ApiOptions): Promise<Api> {
  return await onWishedPort(options, serve)
}

async function serve({ node, file, port = 0, version, startedAt, random, clock = realClock, rates, onServed }: ApiOptions): Promise<Api> {
  const server = fastify(serverLimits)
  server.server.maxConnections = connectionsMax
  const token = base64url(random.bytes(32))
  const limits = createRateLimits({ clock, ...(rates === undefined ? {} : { rates }) })
  const leases = createLeases({ clock })
  const events = createEventStreams({ node, leases, random })
  const credentials = createCredentials({ node, ownToken: token })
  let ownPort = port
  const origin = (): string => `http://localhost:${ownPort}`
  // Requests are parsed by their zod schemas in the handler; the schemas here only document.
  server.setValidatorCompiler(() => () => true)
  server.setSerializerCompiler(() => (data) => JSON.stringify(data))
  await server.register(swagger, {
    openapi: { openapi: '3.1.0', info: { title: 'kindmesh', version, description: 'Local control API of a kindmesh node' } },
  })
  addGuards(server, {
    port: () => ownPort,
    credentials,
    admit(request, reply) {
      // What is open and changes nothing is a file or a word; who logs in is counted with all others who do.
      if (request.principal.kind === 'anonymous' && request.method !== 'POST') return
      reply.raw.once('close', limits.enter(request.principal))
    },
  })
  server.addHook('preHandler', async ({ method, routeOptions }) => {
    if (routeOptions.url !== undefined) onServed?.(`${method} ${routeOptions.url}`)
  })
  // What ends sessions and tokens is among the calls that are open, about oneself, people or tokens.
  server.addHook('onResponse', async ({ method, routeOptions: { config } }) => {
    if (method === 'POST' && (config.isOpen === true || endingRights.has(config.right))) leases.check()
  })
  server.setErrorHandler((error, _request, reply) => sendProblem(reply, problemOf(error)))
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, new MeshError('ERR_NOT_FOUND', 'no such call', { hint: 'see /openapi.json' })))

  const routes = routesOf(node, { version, startedAt, home: dirname(file), origin })
  const calls: readonly Described[] = [
    ...routes.map(describedOf),
    { method: 'GET', url: '/healthz', right: 'open' },
    { method: 'GET', url: '/v1/events', right: '/api/read', media: 'text/event-stream' },
  ]
  const hasConsole = addConsole(server, await readConsole())
  const ok = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] }
  server.get('/healthz', { config: { isOpen: true }, schema: { summary: 'Is the node up?', response: { 200: ok } } }, async () => ({ ok: true }))
  for (const route of routes) serveRoute(server, route, { users: node.users, leases })
  const eventsSchema = {
    summary: 'What happens at this node, as server-sent events; goes on after the cursor of `last-event-id` or ?cursor=',
    querystring: { type: 'object', properties: { cursor: { type: 'string' } } },
    response: { 200: { type: 'string' } },
  }
  server.get('/v1/events', { config: { right: '/api/read' }, schema: eventsSchema }, (request, reply) => {
    const { cursor } = parsePart(eventsQuery, request.query) as z.infer<typeof eventsQuery>
    const last = request.headers['last-event-id']
    const stream = events.open({
      principal: request.principal,
      cursor: cursor ?? (typeof last === 'string' ? last.slice(0, 64) : undefined),
      isStillGood: request.isStillGood,
    })
    return reply.header('content-type', 'text/event-stream').send(stream)
  })
  let document: OpenApiDocument | undefined
  server.get('/openapi.json', { config: { isOpen: true }, schema: { hide: true } }, async () => {
    document ??= completeOpenApi(server.swagger() as unknown as OpenApiDocument, calls)
    return document
  })

  const loopback = await listenOnLoopback(server, { port, headerBytesMax }).catch((error: unknown) => {
    events.stop()
    leases.stop()
    throw error
  })
  ownPort = loopback.port
  const url = origin()
  node.users.servedAt(url)
  await writeApiFile(file, { url, token })
  return {
    url,
    hasConsole,
    async stop() {
      events.stop()
      leases.stop()
      await removeApiFile(file)
      await loopback.close()
    },
  }
}
