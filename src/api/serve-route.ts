import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { onBehalfOf } from '../audit/index.ts'
import type { Session } from '../auth/index.ts'
import { MeshError, toMeshError } from '../base/index.ts'
import { cliSurface, type Principal, requireStepUp } from './principals.ts'
import { viewOf } from './problems.ts'
import { callerOf } from './rate-limits.ts'
import { type Call, type LinesRoute, parsePart, type Route } from './routes.ts'

export const jsonSchema = (schema: z.ZodType, io: 'input' | 'output' = 'input'): object => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

/** Puts a route into the server: parses what it takes, asks for a step-up where it needs one, answers in JSON or in lines of it. */
export function serveRoute(server: FastifyInstance, route: Route | LinesRoute, { requireFresh }: { requireFresh(session: Session): void }): void {
  const { method, url, summary, right, stepUp, body, query, params, reply: replySchema } = route
  server.route({
    method,
    url,
    schema: {
      summary,
      ...(body === undefined ? {} : { body: jsonSchema(body) }),
      ...(query === undefined ? {} : { querystring: jsonSchema(query) }),
      ...(params === undefined ? {} : { params: jsonSchema(params) }),
      response: { 200: jsonSchema(replySchema) },
    },
    config: right === 'open' ? { isOpen: true } : { right },
    async handler(request, reply) {
      const { principal } = request
      const call: Call = {
        body: parsePart(body, request.body),
        query: parsePart(query, request.query),
        params: parsePart(params, request.params),
        signal: closeSignal(reply),
        principal,
        from: { userAgent: request.headers['user-agent']?.slice(0, 512), bearer: /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] },
      }
      if (stepUp === true || stepUp?.(call) === true) requireStepUp(principal, requireFresh)
      if ('handle' in route) return await attributed(principal, () => route.handle(call))
      return reply.header('content-type', 'application/x-ndjson').send(Readable.from(textLines(attributedLines(principal, route.lines(call)))))
    },
  })
}

/** Entries of the audit log say who did it, but for the command line of the node itself. */
const attributed = <T>(principal: Principal, act: () => Promise<T>): Promise<T> =>
  principal.kind === 'token' && principal.surface === cliSurface ? act() : onBehalfOf(callerOf(principal), act)

/** Each step of an answer in lines is somebody's act. */
async function* attributedLines(principal: Principal, items: AsyncIterable<unknown>): AsyncGenerator {
  const iterator = items[Symbol.asyncIterator]()
  try {
    for (;;) {
      const next = await attributed(principal, () => iterator.next())
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await iterator.return?.()
  }
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
