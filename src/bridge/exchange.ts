import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { MeshError } from '../base/index.ts'
import type { Allowance } from './allowance.ts'
import type { Destination } from './destinations.ts'

/** Head of an answer. Source: sandbox/v1 section 5.2. */
export const answerHeadBytesMax = 16_384
/** Connections a run holds to one host. */
export const connectionsPerHostMax = 8

export interface HttpRequest {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
  /** Of the answer's body. */
  readonly maxBytes: number
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** HTTP with connections of one run's own: no proxy, no cookie, no redirect, and no decoding that could make a small answer large. */
export interface Exchange {
  /** @throws what Node raises, ERR_HOST_QUOTA over `maxBytes`; rejects when aborted */
  send(destination: Destination, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>
  close(): void
}

export function createExchange({ allowance, ca }: { readonly allowance: Allowance; readonly ca?: string | undefined }): Exchange {
  const options = { keepAlive: true, maxSockets: connectionsPerHostMax, maxFreeSockets: 2, timeout: 5_000 }
  // Agents of one's own take no proxy from the environment.
  const http = new HttpAgent(options)
  const https = new HttpsAgent({ ...options, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) })

  async function begin(destination: Destination, { url, method, headers, body }: HttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const isTls = url.protocol === 'https:'
      const request = (isTls ? httpsRequest : httpRequest)({
        agent: isTls ? https : http,
        host: destination.host,
        port: destination.port,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { ...headers, 'accept-encoding': 'identity', ...(body === undefined ? {} : { 'content-length': body.length }) },
        lookup: pinned(destination),
        maxHeaderSize: answerHeadBytesMax,
        insecureHTTPParser: false,
        signal,
        ...(isTls && isIP(destination.host) === 0 ? { servername: destination.host } : {}),
      })
      request.once('error', reject)
      request.once('response', resolve)
      request.once('upgrade', (_, socket) => {
        socket.destroy()
        reject(new MeshError('ERR_HOST_FAILED', 'the host answered with another protocol'))
      })
      request.end(body)
    })
  }

  return {
    async send(destination, request, signal) {
      const sent = request.url.href.length + (request.body?.length ?? 0) + sizeOf(request.headers)
      await allowance.take(sent, signal)
      const answer = await begin(destination, request, signal)
      try {
        const headers = flat(answer.rawHeaders)
        await allowance.take(sizeOf(headers), signal)
        if (request.method !== 'HEAD' && Number(answer.headers['content-length'] ?? 0) > request.maxBytes) throw tooLarge(request.maxBytes)
        const parts: Buffer[] = []
        let length = 0
        for await (const part of answer as AsyncIterable<Buffer>) {
          length += part.length
          if (length > request.maxBytes) throw tooLarge(request.maxBytes)
          parts.push(part)
          // Waiting here holds the sender back.
          await allowance.take(part.length, signal)
        }
        return { status: answer.statusCode ?? 0, headers, body: Buffer.concat(parts, length) }
      } finally {
        if (!answer.complete) answer.destroy()
      }
    },
    close() {
      http.destroy()
      https.destroy()
    },
  }
}

const tooLarge = (bytesMax: number): MeshError => new MeshError('ERR_HOST_QUOTA', `the answer exceeds ${bytesMax} bytes`)

/** Names nothing but the addresses that were checked, whatever the resolver would say now. */
const pinned =
  ({ addresses }: Destination): LookupFunction =>
  (_, options, callback) => {
    const all = addresses.map((address) => ({ address, family: isIP(address) }))
    const [first] = all
    if (options.all === true) callback(null, all)
    else callback(null, first?.address ?? '', first?.family)
  }

const sizeOf = (headers: Readonly<Record<string, string>>): number =>
  Object.entries(headers).reduce((total, [name, value]) => total + name.length + value.length + 4, 0)

/** Names in lower case; a name that comes again is joined by a comma. */
function flat(raw: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? '').toLowerCase()
    const value = raw[at + 1] ?? ''
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
  }
  return headers
}
