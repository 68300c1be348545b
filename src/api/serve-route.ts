import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { onBehalfOf } from '../audit/index.ts'
import { MeshError, toMeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import type { Leases } from './leases.ts'
import { cliSurface, type Principal, requireStepUp } from './principals.ts'
import { viewOf } from './problems.ts'
import { callerOf } from './rate-limits.ts'
import { type Call, type LinesRoute, parsePart, type Route } from './routes.ts'

export const jsonSchema = (schema: z.ZodType, io: 'input' | 'output' = 'input'): object => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

export interface ServeOptions {
  readonly users: Pick<MeshNode['users'], 'requireFresh'>
  readonly leases: Pick<Leases, 'hold'>
}

/** Puts a route into the server: parses what it takes, asks for a step-up where it needs one, answers in JSON or in lines of it. */
export function serveRoute(server: FastifyInstance, route: Route | LinesRoute, { users, leases }: ServeOptions): void {
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
      const closed = abortedOnClose(reply)
      const call: Call = {
        body: parsePart(body, request.body),
        query: parsePart(query, request.query),
        params: parsePart(params, request.params),
        signal: closed.signal,
        principal,
        from: { userAgent: request.headers['user-agent']?.slice(0, 512), bearer: /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] },
      }
      if (stepUp === true || stepUp?.(call) === true) requireStepUp(principal, (session) => users.requireFresh(session))
      if ('handle' in route) return await attributed(principal, () => route.handle(call))
      return reply.header('content-type', 'application/x-ndjson').send(Readable.from(textLines(leasedLines(request, route.lines(call), { leases, closed }))))
    },
  })
}

/** Entries of the audit log say who did it, but for the command line of the node itself. */
const attributed = <T>(principal: Principal, act: () => Promise<T>): Promise<T> =>
  principal.kind === 'token' && principal.surface === cliSurface ? act() : onBehalfOf(callerOf(principal), act)

/** Each step of an answer in lines is somebody's act, and the last is no later than the end of the credential it was asked for with. */
async function* leasedLines(
  { principal, isStillGood }: Pick<FastifyRequest, 'principal' | 'isStillGood'>,
  items: AsyncIterable<unknown>,
  { leases, closed }: { readonly leases: Pick<Leases, 'hold'>; readonly closed: AbortController },
): AsyncGenerator {
  const iterator = items[Symbol.asyncIterator]()
  const over = new MeshError('ERR_AUTH_FAILED', 'the session or token that asked for this has ended', { hint: 'log in again, or use another token' })
  let isOver = false
  let leave = (): void => undefined
  function end(): void {
    isOver = true
    leave()
    closed.abort(over)
  }
  const giveBack = leases.hold({ isStillGood, end })
  try {
    for (;;) {
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        leave = () => reject(over)
        attributed(principal, () => iterator.next()).then(resolve, reject)
      })
      if (next.done === true) return
      if (!isStillGood()) end()
      if (isOver) throw over
      yield next.value
    }
  } finally {
    giveBack()
    const returned = iterator.return?.()
    // What does not listen to its signal is not waited for.
    if (closed.signal.aborted) void returned?.catch(() => undefined)
    else await returned
  }
}

/** Aborts when the client goes away before the answer is out. */
function abortedOnClose(reply: FastifyReply): AbortController {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new MeshError('ERR_ABORTED', 'the client closed the connection'))
  })
  return controller
}

async function* textLines(items: AsyncIterable<unknown>): AsyncGenerator<string> {
  try {
    for await (const item of items) yield `${JSON.stringify(item)}\n`
  } catch (error) {
    yield `${JSON.stringify({ type: 'error', error: viewOf(toMeshError(error)) })}\n`
  }
}
