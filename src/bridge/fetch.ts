import { z } from 'zod'
import { type Clock, MeshError, secondMs } from '../base/index.ts'
import { withDeadline } from './deadline.ts'
import type { Destinations } from './destinations.ts'
import type { Exchange, HttpAnswer } from './exchange.ts'
import { Denied } from './refusal.ts'

/** Source: sandbox/v1 section 5.2. */
export const fetchRedirectsMax = 5
/** From the first name asked to the last byte, all redirects together. */
export const fetchMsMax = 60 * secondMs
/** Body of a request. */
export const fetchBodyBytesMax = 2 << 20
/** Body of an answer. */
export const fetchAnswerBytesMax = 2 << 20
const urlCharsMax = 8_192
const headersMax = 64
const headerCharsMax = 16_384

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
/** Headers that are ours to write, or would change how the message is read. */
const ownHeaders =
  /^(?:host|connection|content-length|transfer-encoding|te|trailer|upgrade|expect|keep-alive|accept-encoding|cookie2|via|date|origin|referer|http2-settings|alt-.*|proxy-.*|sec-.*|x-forwarded-.*|forwarded)$/
/** The only ones that go along to another origin: any other may be a credential. */
const plainHeaders: ReadonlySet<string> = new Set(['accept', 'accept-language', 'content-type', 'content-language', 'user-agent'])

const bodyShape = z.union([z.string().max(fetchBodyBytesMax), z.strictObject({ base64: z.base64().max(Math.ceil((fetchBodyBytesMax * 4) / 3) + 4) })])

export const fetchUrl = z.string().max(urlCharsMax)
/** Second argument of `fetch`. */
export const fetchInit = z.strictObject({
  method: z.string().max(16).optional(),
  headers: z.record(z.string().max(256), z.string().max(headerCharsMax)).optional(),
  /** A text, or `{ base64 }`. */
  body: bodyShape.nullable().optional(),
  redirect: z.enum(['follow', 'manual', 'error']).optional(),
  /** Of the answer's body: `text` by default. */
  encoding: z.enum(['text', 'base64']).optional(),
})
export type FetchInit = z.output<typeof fetchInit>

interface Hop {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | undefined
}

export interface Fetched {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Where the answer came from, after redirects. */
  readonly url: string
  readonly text?: string
  readonly base64?: string
}

export interface FetchOptions {
  readonly destinations: Destinations
  readonly exchange: Exchange
  readonly clock: Clock
}

/** Fetches for a guest: each hop is checked as if it were the first. @throws Denied, ERR_HOST_*, ERR_NET_UNREACHABLE, ERR_TIMEOUT */
export async function guestFetch(given: readonly [string, FetchInit], options: FetchOptions, signal: AbortSignal): Promise<Fetched> {
  return await withDeadline({ clock: options.clock, ms: fetchMsMax, signal, what: 'the fetch' }, (ends) => followed(given, options, ends))
}

async function followed([address, init]: readonly [string, FetchInit], { destinations, exchange }: FetchOptions, ends: AbortSignal): Promise<Fetched> {
  const { redirect = 'follow', encoding = 'text' } = init
  let hop = firstHop(address, init)
  for (let hops = 0; ; hops++) {
    const destination = await destinations.ofUrl(hop.url, ends)
    const answer = await exchange.send(destination, { ...hop, maxBytes: fetchAnswerBytesMax }, ends)
    const target = redirect === 'manual' ? undefined : targetOf(hop.url, answer)
    if (target === undefined) return fetched(hop.url, answer, encoding)
    if (redirect === 'error') throw new MeshError('ERR_HOST_FAILED', 'the host redirects')
    if (hops === fetchRedirectsMax) throw new MeshError('ERR_HOST_FAILED', `more than ${fetchRedirectsMax} redirects`)
    hop = nextHop(hop, target, answer.status)
  }
}

function firstHop(address: string, { method = 'GET', headers = {}, body }: FetchInit): Hop {
  const url = parseUrl(address)
  const name = method.toUpperCase()
  if (!(methods as readonly string[]).includes(name)) throw new Denied(`the method ${JSON.stringify(name)} is not allowed`)
  const bytes = body === undefined || body === null ? undefined : typeof body === 'string' ? Buffer.from(body) : Buffer.from(body.base64, 'base64')
  if (bytes !== undefined && bytes.length > fetchBodyBytesMax) throw new MeshError('ERR_HOST_QUOTA', `the body exceeds ${fetchBodyBytesMax} bytes`)
  if (bytes !== undefined && (name === 'GET' || name === 'HEAD')) throw new MeshError('ERR_HOST_ARGUMENTS', `${name} takes no body`)
  return { url, method: name, headers: checkHeaders(headers), body: bytes }
}

function parseUrl(address: string, base?: URL): URL {
  if (!URL.canParse(address, base?.href)) throw new MeshError('ERR_HOST_ARGUMENTS', 'not a URL')
  return new URL(address, base)
}

function checkHeaders(given: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(given)
  if (entries.length > headersMax) throw new MeshError('ERR_HOST_QUOTA', `more than ${headersMax} headers`)
  const headers: Record<string, string> = Object.create(null) as Record<string, string>
  let chars = 0
  for (const [given, value] of entries) {
    const name = given.toLowerCase()
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new MeshError('ERR_HOST_ARGUMENTS', 'a header has no valid form')
    }
    if (ownHeaders.test(name)) throw new Denied(`the header ${name} is not the guest's to set`)
    if (headers[name] !== undefined) throw new MeshError('ERR_HOST_ARGUMENTS', `the header ${name} is given twice`)
    chars += name.length + value.length
    headers[name] = value
  }
  if (chars > headerCharsMax) throw new MeshError('ERR_HOST_QUOTA', `the headers exceed ${headerCharsMax} characters`)
  return headers
}

function targetOf(from: URL, { status, headers }: HttpAnswer): URL | undefined {
  const { location } = headers
  return [301, 302, 303, 307, 308].includes(status) && location !== undefined && location.length <= urlCharsMax ? parseUrl(location, from) : undefined
}

/** What to send after a redirect. Source: fetch.spec.whatwg.org, HTTP-redirect fetch. */
function nextHop({ url, method, headers, body }: Hop, target: URL, status: number): Hop {
  const turnsToGet = (status === 303 && method !== 'GET' && method !== 'HEAD') || ((status === 301 || status === 302) && method === 'POST')
  const keep = (name: string): boolean => (target.origin === url.origin || plainHeaders.has(name)) && !(turnsToGet && name.startsWith('content-'))
  const kept = Object.fromEntries(Object.entries(headers).filter(([name]) => keep(name)))
  return turnsToGet ? { url: target, method: 'GET', headers: kept, body: undefined } : { url: target, method, headers: kept, body }
}

function fetched(url: URL, { status, headers, body }: HttpAnswer, encoding: 'text' | 'base64'): Fetched {
  const shown = { status, headers, url: url.href }
  if (encoding === 'base64') return { ...shown, base64: body.toString('base64') }
  const coding = headers['content-encoding'] ?? 'identity'
  // Nothing is decompressed here: that is where a small answer becomes a large one.
  if (coding !== 'identity') throw new MeshError('ERR_HOST_FAILED', `the answer is compressed although that was not asked for; take it as base64`)
  return { ...shown, text: new TextDecoder().decode(body) }
}
