import { Readable } from 'node:stream'
import { unlink, writeFile } from 'node:fs/promises'
import swagger from '@fastify/swagger'
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { z } from 'zod'
import { base64url, type Clock, type ErrorCode, exitCodes, MeshError, type Random, realClock, toMeshError, utf8 } from '../base/index.ts'
import type { MeshNode, NodeEvent } from '../node/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'
import { addConsole, readConsole } from './console-files.ts'
import { addGuards } from './guards.ts'
import { cliPrincipal, requireStepUp } from './principals.ts'
import { type Call, type LinesRoute, parsePart, type Route, routesOf } from './routes.ts'

/** Largest request body. */
export const requestBytesMax = 1 << 20
/** Event streams open at a time. */
export const eventStreamsMax = 32
/** Events that wait for a slow reader before its stream is ended. */
export const eventsWaitingMax = 1_024

export interface ApiOptions {
  readonly node: MeshNode
  /** File that tells the address and the token to clients of the same user; mode 0600, gone when the API stops. */
  readonly file: string
  readonly port?: number
  readonly version: string
  readonly startedAt: number
  readonly random: Random
  readonly clock?: Clock
}

export interface Api {
  readonly url: string
  /** False when the console was not built. */
  readonly hasConsole: boolean
  stop(): Promise<void>
}

/** Serves the control API on loopback only. @throws ERR_NET_ADDRESS when the port is taken */
export async function startApi({ node, file, port = 0, version, startedAt, random, clock = realClock }: ApiOptions): Promise<Api> {
  const server = fastify({ bodyLimit: requestBytesMax, forceCloseConnections: true })
  const token = base64url(random.bytes(32))
  const eventStreams = new Set<Readable>()
  let ownPort = port
  // Requests are parsed by their zod schemas in the handler; the schemas here only document.
  server.setValidatorCompiler(() => () => true)
  server.setSerializerCompiler(() => (data) => JSON.stringify(data))
  await server.register(swagger, {
    openapi: {
      info: { title: 'kindmesh', version, description: 'Local control API of a kindmesh node' },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  })
  const expected = sha256(utf8(token))
  addGuards(server, {
    port: () => ownPort,
    // Hashed first, so that the comparison is of equal lengths.
    principalOf: (bearer) => (equalSecret(sha256(utf8(bearer)), expected) ? cliPrincipal : undefined),
  })
  server.setErrorHandler((error, _request, reply) => sendProblem(reply, problemOf(error)))
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, new MeshError('ERR_NOT_FOUND', 'no such call', { hint: 'see /openapi.json' })))

  const hasConsole = addConsole(server, await readConsole())
  server.get('/healthz', { config: { isOpen: true }, schema: { summary: 'Is the node up?' } }, async () => ({ ok: true }))
  for (const route of routesOf(node, { version, startedAt })) addRoute(server, route, clock)
  server.get('/v1/events', { config: { right: '/api/read' }, schema: { summary: 'What happens at this node, as server-sent events' } }, (_request, reply) =>
    streamEvents(node, eventStreams, reply),
  )
  server.get('/openapi.json', { config: { isOpen: true }, schema: { hide: true } }, async () => server.swagger())

  const failed = (cause: unknown): MeshError =>
    new MeshError('ERR_NET_ADDRESS', `the API cannot listen on port ${port}`, { cause, hint: 'give another --api-port' })
  await server.listen({ host: 'localhost', port }).catch((cause: unknown) => {
    throw failed(cause)
  })
  const address = server.server.address()
  if (typeof address !== 'object' || address === null) throw failed(undefined)
  ownPort = address.port
  const url = `http://localhost:${ownPort}`
  await writeFile(file, `${JSON.stringify({ schema: 'kindmesh.api/1', url, token, pid: process.pid })}\n`, { mode: 0o600 })
  return {
    url,
    hasConsole,
    async stop() {
      await unlink(file).catch(() => undefined)
      await server.close()
    },
  }
}

const jsonSchema = (schema: z.ZodType): object => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  return rest
}

function addRoute(server: FastifyInstance, route: Route | LinesRoute, clock: Clock): void {
  const { method, url, summary, right, stepUp, body, query, params, reply: replySchema } = route
  const schema = {
    summary,
    ...(body === undefined ? {} : { body: jsonSchema(body) }),
    ...(query === undefined ? {} : { querystring: jsonSchema(query) }),
    ...(params === undefined ? {} : { params: jsonSchema(params) }),
    response: { 200: jsonSchema(replySchema) },
  }
  server.route({
    method,
    url,
    schema,
    config: right === 'open' ? { isOpen: true } : { right },
    async handler(request, reply) {
      const call: Call = {
        body: parsePart(body, request.body),
        query: parsePart(query, request.query),
        params: parsePart(params, request.params),
        signal: closeSignal(reply),
        principal: request.principal,
      }
      if (stepUp === true || stepUp?.(call) === true) requireStepUp(call.principal, clock.now())
      if ('handle' in route) return await route.handle(call)
      return reply.header('content-type', 'application/x-ndjson').send(Readable.from(textLines(route.lines(call))))
    },
  })
}

/** Aborts when the client goes away before the answer is out. */
function closeSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new MeshError('ERR_ABORTED', 'the client closed the connection'))
  })
  return controller.signal
}

async function* textLines(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  try {
    for await (const item of items) yield `${JSON.stringify(item)}\n`
  } catch (error) {
    yield `${JSON.stringify({ type: 'error', error: viewOf(toMeshError(error)) })}\n`
  }
}

function streamEvents(node: MeshNode, open: Set<Readable>, reply: FastifyReply): FastifyReply {
  if (open.size >= eventStreamsMax) return sendProblem(reply, new MeshError('ERR_OVERLOADED', `${eventStreamsMax} event streams are open`))
  const stream = new Readable({ read: () => undefined })
  let waiting = 0
  const remove = node.onEvent((event: NodeEvent) => {
    // A reader that does not keep up is let go rather than kept in memory.
    if (stream.push(`event: ${event.event}\ndata: ${JSON.stringify(event)}\n\n`)) waiting = 0
    else if (++waiting > eventsWaitingMax) stream.destroy()
  })
  open.add(stream)
  stream.once('close', () => {
    open.delete(stream)
    remove()
  })
  stream.push(': open\n\n')
  return reply.header('content-type', 'text/event-stream').header('cache-control', 'no-store').send(stream)
}

const viewOf = ({ code, message, hint, details }: MeshError): object => ({
  code,
  message: code === 'ERR_INTERNAL' ? 'internal error' : message,
  hint,
  ...(details === undefined ? {} : { details }),
})

/** Fastify's own refusals become ours. */
function problemOf(error: unknown): MeshError {
  const { code } = error as { readonly code?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new MeshError('ERR_WIRE_TOO_LARGE', `the body is over ${requestBytesMax} bytes`)
  if (code?.startsWith('FST_ERR_') === true || error instanceof SyntaxError) {
    return new MeshError('ERR_USAGE', error instanceof Error ? error.message : 'bad request')
  }
  return toMeshError(error)
}

const statuses: Readonly<Record<number, number>> = {
  [exitCodes.usage]: 400,
  [exitCodes.authentication]: 401,
  [exitCodes.denied]: 403,
  [exitCodes.sealed]: 423,
  [exitCodes.untrusted]: 403,
  [exitCodes.limit]: 422,
  [exitCodes.unreachable]: 502,
  [exitCodes.timeout]: 504,
}

const statusesByCode: Partial<Record<ErrorCode, number>> = {
  ERR_NOT_FOUND: 404,
  ERR_STEP_UP: 403,
  ERR_CONTENT_TYPE: 415,
  ERR_WIRE_TOO_LARGE: 413,
  ERR_RATE_LIMITED: 429,
  ERR_OVERLOADED: 503,
}

function sendProblem(reply: FastifyReply, error: MeshError): FastifyReply {
  const status = statusesByCode[error.code] ?? statuses[error.exitCode] ?? 500
  return reply.code(status).header('content-type', 'application/json').send(viewOf(error))
}
