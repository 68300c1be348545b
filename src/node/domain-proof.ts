import { Resolver } from 'node:dns/promises'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { LookupFunction } from 'node:net'
import { domainToASCII } from 'node:url'
import { z } from 'zod'
import { didFromKey, type Did, fromBase64, keyBytesLength, MeshError, secondMs, type SignalOption } from '../base/index.ts'
import { parseDid } from '../identity/index.ts'
import { parseJsonText } from '../wire/index.ts'

/** A `/.well-known/did.json`. Source: join/v1 section 11. */
export const didDocumentBytesMax = 64 << 10
/** Keys read of one document, and records of one name. Source: join/v1 section 11. */
export const domainKeysMax = 32
/** Time each of the two ways may take. */
export const domainTimeoutMs = 10 * secondMs

export type DomainWay = 'did.json' | 'dns'

/** What one way said: the identities it names, that there is nothing, or why it did not answer. */
export type DomainAnswer = { readonly dids: readonly Did[] } | { readonly absent: true } | { readonly failed: string }

/** How a domain is asked. */
export type DomainSources = Readonly<Record<DomainWay, (domain: string, options: SignalOption) => Promise<DomainAnswer>>>

/** A DNS name in its ASCII form, with a port where one is given. @throws ERR_USAGE */
export function parseDomain(text: string): string {
  const [, host = '', port] = /^([^:/?#@\s]{1,253})(:\d{1,5})?$/.exec(text.trim().toLowerCase()) ?? []
  const ascii = domainToASCII(host)
  if (ascii === '' || !/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(ascii) || /^[\d.]+$/.test(ascii)) {
    throw new MeshError('ERR_USAGE', `${JSON.stringify(text.slice(0, 80))} is no domain`, { hint: 'give its name alone, such as example.org' })
  }
  return ascii + (port ?? '')
}

const hostOf = (domain: string): string => domain.replace(/:\d+$/, '')
/** Only on this machine itself is there nobody between us and the server. */
const isThisMachine = (domain: string): boolean => hostOf(domain) === 'localhost'
const webDidOf = (domain: string): string => `did:web:${domain.replace(':', '%3A')}`

/** What a domain publishes about one of its nodes, and under which names. Source: did:web, join/v1 section 11. */
export function domainDocumentOf(
  domain: string,
  did: Did,
): { readonly path: string; readonly document: object; readonly dnsName: string; readonly dnsText: string } {
  const id = webDidOf(domain)
  const key = did.slice('did:key:'.length)
  return {
    path: '/.well-known/did.json',
    document: {
      '@context': ['https://www.w3.org/ns/did/v1', 'https://w3id.org/security/multikey/v1'],
      id,
      alsoKnownAs: [did],
      verificationMethod: [{ id: `${id}#${key}`, type: 'Multikey', controller: id, publicKeyMultibase: key }],
      authentication: [`${id}#${key}`],
    },
    dnsName: `_kindmesh.${hostOf(domain)}`,
    dnsText: `did=${did}`,
  }
}

const documentShape = z.object({
  id: z.string().max(512),
  alsoKnownAs: z.array(z.string().max(512)).max(domainKeysMax).default([]),
  verificationMethod: z
    .array(
      z.object({
        publicKeyMultibase: z.string().max(128).optional(),
        publicKeyJwk: z.object({ kty: z.string(), crv: z.string().optional(), x: z.string().max(64).optional() }).optional(),
      }),
    )
    .max(domainKeysMax)
    .default([]),
})

/** The Ed25519 identities a did:web document names; other keys are passed over. @throws ERR_JSON_INVALID */
export function readDidDocument(text: string, domain: string): readonly Did[] {
  const parsed = documentShape.safeParse(parseJsonText(text, didDocumentBytesMax))
  if (!parsed.success) {
    throw new MeshError('ERR_JSON_INVALID', `did.json of ${domain}: ${parsed.error.issues[0]?.path.join('.') ?? ''} ${parsed.error.issues[0]?.message ?? ''}`)
  }
  const { id, alsoKnownAs, verificationMethod } = parsed.data
  if (id !== webDidOf(domain)) throw new MeshError('ERR_JSON_INVALID', `did.json of ${domain} is that of ${id}`)
  const spellings = [
    ...alsoKnownAs.filter((name) => name.startsWith('did:key:')),
    ...verificationMethod.flatMap(({ publicKeyMultibase, publicKeyJwk }) => [
      ...(publicKeyMultibase === undefined ? [] : [`did:key:${publicKeyMultibase}`]),
      ...(publicKeyJwk?.kty === 'OKP' && publicKeyJwk.crv === 'Ed25519' ? didsOfJwk(publicKeyJwk.x ?? '') : []),
    ]),
  ]
  return [...new Set(spellings.flatMap(didOf))]
}

function didsOfJwk(x: string): string[] {
  const key = fromBase64(x)
  return key?.length === keyBytesLength ? [didFromKey(key)] : []
}

function didOf(text: string): Did[] {
  try {
    return [parseDid(text)]
  } catch {
    return []
  }
}

export interface SourceOptions {
  /** Name servers to ask, `address:port`; those of the machine unless given. */
  readonly nameServers?: readonly string[] | undefined
  /** Certificate authorities besides those Node knows, PEM. */
  readonly ca?: string | undefined
}

/** Asks the real web and the real DNS. */
export function createDomainSources({ nameServers, ca }: SourceOptions = {}): DomainSources {
  const resolver = (): Resolver => {
    const asked = new Resolver({ timeout: domainTimeoutMs / 4, tries: 2 })
    if (nameServers !== undefined && nameServers.length > 0) asked.setServers([...nameServers])
    return asked
  }
  return {
    async 'did.json'(domain, { signal }) {
      try {
        const lookup = nameServers === undefined || nameServers.length === 0 ? undefined : lookupBy(resolver())
        const text = await fetchDocument(domain, { signal, ca, lookup })
        return text === undefined ? { absent: true } : { dids: readDidDocument(text, domain) }
      } catch (error) {
        return { failed: error instanceof Error ? error.message : String(error) }
      }
    },
    async dns(domain, { signal }) {
      const asked = resolver()
      const onAbort = (): void => asked.cancel()
      signal?.addEventListener('abort', onAbort, { once: true })
      try {
        const records = await asked.resolveTxt(`_kindmesh.${hostOf(domain)}`)
        const said = records.slice(0, domainKeysMax).map((parts) => parts.join('').slice(0, 256))
        const dids = [...new Set(said.flatMap((text) => (text.startsWith('did=') ? didOf(text.slice('did='.length).trim()) : [])))]
        return dids.length === 0 ? { absent: true } : { dids }
      } catch (error) {
        const { code = '' } = error as NodeJS.ErrnoException
        return code === 'ENODATA' || code === 'ENOTFOUND' ? { absent: true } : { failed: `DNS: ${code}` }
      } finally {
        signal?.removeEventListener('abort', onAbort)
      }
    },
  }
}

/** Addresses by the name servers given, and by no file or cache of this machine. */
const lookupBy =
  (resolver: Resolver): LookupFunction =>
  (host, { all = false }, done) => {
    resolver.resolve4(host).then(
      ([address = '', ...others]) =>
        all
          ? done(
              null,
              [address, ...others].map((each) => ({ address: each, family: 4 })),
            )
          : done(null, address, 4),
      (error: unknown) => done(error as NodeJS.ErrnoException, ''),
    )
  }

/** The document as it lies there: no redirect, no decoding, no more than its limit; undefined where there is none. */
async function fetchDocument(
  domain: string,
  { signal, ca, lookup }: SignalOption & { readonly ca: string | undefined; readonly lookup: LookupFunction | undefined },
): Promise<string | undefined> {
  const request = isThisMachine(domain) ? httpRequest : httpsRequest
  const url = `${isThisMachine(domain) ? 'http' : 'https'}://${domain}/.well-known/did.json`
  return await new Promise((resolve, reject) => {
    const asking = request(url, {
      headers: { accept: 'application/did+json, application/json', 'accept-encoding': 'identity' },
      ...(signal === undefined ? {} : { signal }),
      ...(ca === undefined ? {} : { ca }),
      ...(lookup === undefined ? {} : { lookup }),
      agent: false,
    })
    const fail = (error: Error): void => {
      asking.destroy()
      reject(error)
    }
    asking.once('error', reject)
    asking.once('response', (answer) => {
      const { statusCode = 0, headers } = answer
      if (statusCode === 404 || statusCode === 410) {
        answer.resume()
        resolve(undefined)
        return
      }
      if (statusCode !== 200) return fail(new Error(`${url} answers ${statusCode}`))
      if (Number(headers['content-length'] ?? 0) > didDocumentBytesMax) return fail(new Error(`${url} is over ${didDocumentBytesMax} bytes`))
      const parts: Buffer[] = []
      let length = 0
      answer.on('data', (part: Buffer) => {
        length += part.length
        if (length > didDocumentBytesMax) fail(new Error(`${url} is over ${didDocumentBytesMax} bytes`))
        else parts.push(part)
      })
      answer.once('error', reject)
      answer.once('end', () => resolve(Buffer.concat(parts).toString('utf8')))
    })
    asking.end()
  })
}
