import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { MeshError } from '../base/index.ts'
import type { ApiRight } from '../policy/index.ts'
import type { Credentials, Shown } from './credentials.ts'
import { anonymous, type Principal, requireRight } from './principals.ts'

/** Longest request target. Source: api/v1 section 1. */
export const urlCharsMax = 4_096

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal
    /** Has its credential not ended since? For answers that take long. */
    isStillGood(): boolean
  }
  /** What a route of the server says to the guards: a right, or that whoever passes the others is served. */
  interface FastifyContextConfig {
    right?: ApiRight
    isOpen?: true
  }
}

export interface GuardOptions {
  port(): number
  readonly credentials: Credentials
  /** The last guard: how often and how many at a time. @throws ERR_RATE_LIMITED, ERR_OVERLOADED */
  admit?(request: FastifyRequest, reply: FastifyReply): void
}

/**
 * Before any handler, in this order: Host must be ours (DNS rebinding), Origin our own when there is one, no fetch of another site or port,
 * JSON on every unsafe method (no form or text/plain gets here from a foreign page), the bearer token, the right. Source: api/v1 section 1.
 * @throws ERR_POLICY_DENIED, ERR_CONTENT_TYPE, ERR_AUTH_FAILED
 */
export function addGuards(server: FastifyInstance, { port, credentials, admit }: GuardOptions): void {
  server.decorateRequest('principal', null as never)
  server.decorateRequest('isStillGood', null as never)
  server.addHook('onRequest', async (request, reply) => {
    reply.headers(securityHeaders)
    request.principal = anonymous
    checkHost(request, port())
    if (isFrontPage(request) && request.headers.host !== `localhost:${port()}`) {
      // Passkeys are of the name, not of the address.
      return reply.redirect(`http://localhost:${port()}${request.url}`, 307)
    }
    checkOrigin(request, port())
    checkFetchSite(request)
    checkUrl(request)
    checkContentType(request)
    const { right, isOpen } = request.routeOptions.config
    const shown = shownBy(request)
    const principal = shown === undefined ? undefined : credentials.principalOf(shown)
    request.isStillGood = () => shown !== undefined && principal !== undefined && credentials.isStillGood(principal, shown)
    if (principal !== undefined) request.principal = principal
    else if (isOpen !== true) {
      throw new MeshError('ERR_AUTH_FAILED', 'the API token or session is missing, wrong or over', {
        hint: 'log in at the console, or send `authorization: Bearer <token>` with the token of api.json in the home folder',
      })
    }
    if (right !== undefined) requireRight(request.principal, right)
    admit?.(request, reply)
    return undefined
  })
}

/** On every answer; the console's pages add their own content security policy. */
const securityHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
} as const

const isFrontPage = ({ method, url }: FastifyRequest): boolean => method === 'GET' && (url === '/' || url.startsWith('/?'))

function shownBy({ headers }: FastifyRequest): Shown | undefined {
  const bearer = /^Bearer ([\w.~+/=-]{1,512})$/.exec(headers.authorization ?? '')?.[1]
  const surface = headers['kindmesh-surface']
  return bearer === undefined ? undefined : { bearer, surface: surface?.toString() }
}

function checkHost({ headers }: FastifyRequest, port: number): void {
  if (![`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`].includes(headers.host ?? '')) {
    throw new MeshError('ERR_POLICY_DENIED', 'this Host is not served', { hint: `use http://localhost:${port}` })
  }
}

function checkOrigin({ headers: { origin } }: FastifyRequest, port: number): void {
  if (origin !== undefined && origin !== `http://localhost:${port}`) throw new MeshError('ERR_POLICY_DENIED', 'requests of other origins are refused')
}

/** Browsers say where a fetch comes from. Somebody may follow a link to the front page, nothing else may come from elsewhere. */
function checkFetchSite(request: FastifyRequest): void {
  const { 'sec-fetch-site': site = 'none', 'sec-fetch-mode': mode, 'sec-fetch-dest': dest } = request.headers
  if (site === 'same-origin' || site === 'none') return
  if (isFrontPage(request) && mode === 'navigate' && dest === 'document') return
  throw new MeshError('ERR_POLICY_DENIED', 'requests of other sites and ports are refused')
}

function checkUrl({ url }: FastifyRequest): void {
  if (url.length > urlCharsMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `the address is over ${urlCharsMax} characters`)
}

const safe = new Set(['GET', 'HEAD', 'OPTIONS'])

function checkContentType({ method, headers }: FastifyRequest): void {
  if (safe.has(method)) return
  const type = (headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new MeshError('ERR_CONTENT_TYPE', 'only application/json is taken', { hint: 'send `content-type: application/json`' })
}
