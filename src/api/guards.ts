import type { FastifyInstance, FastifyRequest } from 'fastify'
import { MeshError, utf8 } from '../base/index.ts'
import { equalSecret, sha256 } from '../crypto/index.ts'

const unsafe = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])
const open = new Set(['/healthz', '/openapi.json'])

/**
 * Three guards before any handler: Host must be ours (DNS rebinding), Origin our own when there is one, JSON on every unsafe method
 * (no form or text/plain gets here from a foreign page); then the bearer token.
 * @throws ERR_POLICY_DENIED, ERR_AUTH_FAILED
 */
export function addGuards(server: FastifyInstance, { token, port }: { readonly token: string; port(): number }): void {
  const expected = sha256(utf8(token))
  server.addHook('onRequest', async (request) => {
    checkHost(request, port())
    checkOrigin(request, port())
    checkContentType(request)
    if (open.has(request.url.split('?')[0] ?? '')) return
    const given = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    // Hashed first, so that the comparison is of equal lengths.
    if (given === undefined || !equalSecret(sha256(utf8(given)), expected)) {
      throw new MeshError('ERR_AUTH_FAILED', 'the API token is missing or wrong', {
        hint: 'send `authorization: Bearer <token>` with the token of api.json in the home folder',
      })
    }
  })
}

const ours = (port: number): readonly string[] => [`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`]

function checkHost(request: FastifyRequest, port: number): void {
  if (!ours(port).includes(request.headers.host ?? '')) {
    throw new MeshError('ERR_POLICY_DENIED', 'this Host is not served', { hint: `use http://localhost:${port}` })
  }
}

function checkOrigin(request: FastifyRequest, port: number): void {
  const { origin } = request.headers
  if (origin !== undefined && origin !== `http://localhost:${port}`) throw new MeshError('ERR_POLICY_DENIED', 'requests of other origins are refused')
}

function checkContentType(request: FastifyRequest): void {
  if (!unsafe.has(request.method)) return
  const type = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') throw new MeshError('ERR_POLICY_DENIED', 'only application/json is taken', { hint: 'send `content-type: application/json`' })
}
