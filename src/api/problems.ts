import type { FastifyReply } from 'fastify'
import { type ErrorCode, exitCodes, MeshError, secondMs, toMeshError } from '../base/index.ts'

/** Largest request body. Source: api/v1 section 5. */
export const requestBytesMax = 1 << 20

/** An error as the API says it. */
export const viewOf = ({ code, message, hint, details }: MeshError): object => ({
  code,
  message: code === 'ERR_INTERNAL' ? 'internal error' : message,
  hint,
  ...(details === undefined ? {} : { details }),
})

/** Fastify's own refusals become ours. */
export function problemOf(error: unknown): MeshError {
  const { code } = error as { readonly code?: string }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return new MeshError('ERR_WIRE_TOO_LARGE', `the body is over ${requestBytesMax} bytes`)
  if (code?.startsWith('FST_ERR_') === true || error instanceof SyntaxError) {
    return new MeshError('ERR_USAGE', error instanceof Error ? error.message : 'bad request')
  }
  return toMeshError(error)
}

const statusesByCode: Partial<Record<ErrorCode, number>> = {
  ERR_NOT_FOUND: 404,
  ERR_STEP_UP: 403,
  ERR_CONTENT_TYPE: 415,
  ERR_WIRE_TOO_LARGE: 413,
  ERR_RATE_LIMITED: 429,
  ERR_OVERLOADED: 503,
}

const statuses: Readonly<Record<number, number>> = {
  [exitCodes.usage]: 400,
  [exitCodes.authentication]: 401,
  [exitCodes.denied]: 403,
  [exitCodes.untrusted]: 403,
  [exitCodes.sealed]: 423,
  [exitCodes.limit]: 422,
  [exitCodes.unreachable]: 502,
  [exitCodes.timeout]: 504,
}

const statusOf = (error: MeshError): number => statusesByCode[error.code] ?? statuses[error.exitCode] ?? 500

/** Answers with a coded error; what was too often or too much says when to come back. */
export function sendProblem(reply: FastifyReply, error: MeshError): FastifyReply {
  const status = statusOf(error)
  const waitMs = error.details?.['retryAfterMs']
  if (status === 429 || status === 503) reply.header('retry-after', String(Math.max(1, Math.ceil((typeof waitMs === 'number' ? waitMs : secondMs) / secondMs))))
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  return reply.code(status).header('content-type', 'application/json').send(viewOf(error))
}
