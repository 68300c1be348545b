import { type Clock, MeshError, minuteMs } from '../base/index.ts'
import type { ProviderPolicy } from '../sandbox/index.ts'
import { withDeadline } from './deadline.ts'
import { createDestinations, type Resolver } from './destinations.ts'
import type { Exchange } from './exchange.ts'
import { Denied } from './refusal.ts'
import { type ReadSecret, redact } from './secrets.ts'

/** A model may think for a while. Source: sandbox/v1 section 5.6. */
export const providerMsMax = 5 * minuteMs

/** Which field of a request names what the policy allows. */
export type ProviderKind = 'model' | 'collection'

export interface ProviderOptions {
  readonly kind: ProviderKind
  readonly policy: ProviderPolicy | undefined
  readonly secret: ReadSecret
  readonly exchange: Exchange
  readonly resolve: Resolver
  readonly clock: Clock
}

/** Sends a request to the HTTP service that the operator configured: the guest names neither its address nor its headers. @throws Denied, ERR_HOST_QUOTA, ERR_HOST_FAILED */
export async function callProvider(
  request: Readonly<Record<string, unknown>>,
  { kind, policy, secret, exchange, resolve, clock }: ProviderOptions,
  signal: AbortSignal,
): Promise<unknown> {
  if (policy === undefined) throw new Denied(`the operator configured no provider of ${kind}s`)
  const wanted = request[kind]
  if (typeof wanted !== 'string' || !policy.allowed.includes(wanted)) {
    throw new Denied(`the ${kind} ${JSON.stringify(String(wanted).slice(0, 64))} is not allowed`)
  }
  const body = Buffer.from(JSON.stringify(request))
  if (body.length > policy.maxBytes) throw new MeshError('ERR_HOST_QUOTA', `the request exceeds ${policy.maxBytes} bytes`)
  const { headers, used } = await fillIn(policy.headers, secret)
  const url = new URL(policy.url)
  const answer = await withDeadline(
    { clock, ms: providerMsMax, signal, what: 'the provider' },
    async (ends) =>
      await exchange.send(
        await destinationOf(url, resolve, ends),
        { url, method: 'POST', headers: { accept: 'application/json', 'content-type': 'application/json', ...headers }, body, maxBytes: policy.maxBytes },
        ends,
      ),
  )
  if (answer.status < 200 || answer.status > 299) throw new MeshError('ERR_HOST_FAILED', `the provider answered with status ${answer.status}`)
  try {
    // A provider may repeat the key it was called with.
    return JSON.parse(redact(new TextDecoder().decode(answer.body), used)) as unknown
  } catch {
    throw new MeshError('ERR_HOST_FAILED', 'the provider answered something else than JSON')
  }
}

async function fillIn(
  templates: Readonly<Record<string, string>>,
  read: ReadSecret,
): Promise<{ readonly headers: Record<string, string>; readonly used: readonly string[] }> {
  const headers: Record<string, string> = {}
  const used: string[] = []
  for (const [name, template] of Object.entries(templates)) {
    let value = template
    for (const [whole, secretName = ''] of template.matchAll(/\{secret:([^{}]+)\}/g)) {
      const secret = await read(secretName)
      if (secret === undefined) throw new MeshError('ERR_HOST_FAILED', 'a secret of the provider is not set')
      used.push(secret)
      value = value.replace(whole, () => secret)
    }
    headers[name.toLowerCase()] = value
  }
  return { headers, used }
}

/** The operator wrote this URL, so what it leads to is allowed, on a private network too. Redirects are not followed. */
async function destinationOf(url: URL, resolve: Resolver, signal: AbortSignal): Promise<Awaited<ReturnType<ReturnType<typeof createDestinations>['ofUrl']>>> {
  const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port)
  const policy = {
    allowOutbound: true,
    allowInbound: false,
    allowedDomains: [],
    blockedDomains: [],
    allowedPorts: [],
    requireTLS: false,
    allowedPrivate: [`${url.hostname}:${port}`],
  } as const
  return await createDestinations({ policy, resolve }).ofUrl(url, signal)
}
