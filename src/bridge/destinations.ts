import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { MeshError } from '../base/index.ts'
import type { NetworkPolicy } from '../sandbox/index.ts'
import { addressKind, effectiveAddress } from './addresses.ts'
import { Denied } from './refusal.ts'

/** Addresses of a name, all of them. */
export type Resolver = (name: string, signal: AbortSignal) => Promise<readonly string[]>

/** More answers than this are not looked at: the name is refused. */
const answersMax = 64

/** Where a connection may go: every address was checked, and none but these is connected to. */
export interface Destination {
  /** As URLs write it: what certificate and `Host` name. Without brackets. */
  readonly host: string
  readonly port: number
  readonly addresses: readonly string[]
}

export const systemResolver: Resolver = async (name) => (await lookup(name, { all: true, order: 'verbatim' })).map(({ address }) => address)

/** Checks where a run wants to go against its policy, once for each connection or hop. */
export interface Destinations {
  /** For a URL of `fetch`. @throws Denied, ERR_HOST_ARGUMENTS, ERR_NET_UNREACHABLE */
  ofUrl(url: URL, signal: AbortSignal): Promise<Destination>
  /** For a connection whose content is not looked at. @throws the same */
  ofHost(host: string, port: number, signal: AbortSignal): Promise<Destination>
}

export function createDestinations({ policy, resolve }: { readonly policy: NetworkPolicy; readonly resolve: Resolver }): Destinations {
  const blockedAddresses = new Set(policy.blockedDomains.map((entry) => effectiveAddress(plain(entry))).filter((entry) => isIP(entry) !== 0))

  /** Name, port and block list; the addresses come after. */
  function checkName(host: string, port: number, isTls: boolean): { readonly isPrivateAllowed: boolean } {
    const shown = `${host}:${port}`
    if (!policy.allowOutbound) throw new Denied('the policy allows no connection outward')
    if (isBlocked(policy, host)) throw new Denied(`${shown} is blocked`)
    if (isPrivateAllowed(policy, plain(host), port)) return { isPrivateAllowed: true }
    if (!isAllowed(policy, host)) throw new Denied(`${shown} is not among the names allowed`)
    if (!policy.allowedPorts.includes(port)) throw new Denied(`port ${port} of ${host} is not among the ports allowed`)
    if (policy.requireTLS && !isTls) throw new Denied(`${shown} must be reached by TLS`)
    return { isPrivateAllowed: false }
  }

  async function checked(host: string, port: number, isTls: boolean, signal: AbortSignal): Promise<Destination> {
    const { isPrivateAllowed } = checkName(host, port, isTls)
    const bare = plain(host)
    // A literal never reaches the resolver, which would take more spellings than URLs have.
    const answers = isIP(bare) === 0 ? await resolve(bare, signal) : [bare]
    signal.throwIfAborted()
    if (answers.length === 0) throw new MeshError('ERR_NET_UNREACHABLE', `${host} has no address`)
    if (answers.length > answersMax) throw new Denied(`${host} has more than ${answersMax} addresses`)
    for (const address of answers) {
      const kind = addressKind(address)
      if (kind === 'never' || (kind === 'private' && !isPrivateAllowed)) throw new Denied(`${host} leads to an address that is not on the internet`)
      if (blockedAddresses.has(effectiveAddress(address))) throw new Denied(`${host} leads to an address that is blocked`)
    }
    return { host: bare, port, addresses: answers }
  }

  return {
    async ofUrl(url, signal) {
      if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Denied(`the scheme ${url.protocol.slice(0, 32)} is not allowed`)
      if (url.username !== '' || url.password !== '') throw new Denied('a URL with a user or password is not allowed')
      const isTls = url.protocol === 'https:'
      return await checked(hostOf(url.hostname), url.port === '' ? (isTls ? 443 : 80) : Number(url.port), isTls, signal)
    },
    async ofHost(host, port, signal) {
      if (!/^[^\s/?#@\\:[\]]+$|^\[[0-9a-f:.]+\]$/i.test(host) || !URL.canParse(`http://${host}`)) {
        throw new MeshError('ERR_HOST_ARGUMENTS', 'no host that can be connected to')
      }
      if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new MeshError('ERR_HOST_ARGUMENTS', 'no port')
      // What goes through is held to be TLS by whoever carries it; see `egress.ts`.
      return await checked(hostOf(new URL(`http://${host}`).hostname), port, true, signal)
    },
  }
}

/** Without the last dot, so that `a.example.` and `a.example` are one name to the policy, the certificate and the resolver. */
function hostOf(hostname: string): string {
  const host = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
  if (host === '' || host.startsWith('.') || host.includes('..')) throw new Denied('the host is no name')
  return host
}

const plain = (host: string): string => (host.startsWith('[') ? host.slice(1, -1) : host)

/** Whether the operator named this host and port as one of its own network. `host` without brackets. */
export const isPrivateAllowed = (policy: NetworkPolicy, host: string, port: number): boolean =>
  policy.allowedPrivate.includes(`${host.includes(':') ? `[${host}]` : host}:${port}`)

const isAllowed = (policy: NetworkPolicy, host: string): boolean =>
  policy.allowedDomains.some((entry) => (entry.startsWith('*.') ? host.endsWith(entry.slice(1)) && host.length > entry.length - 1 : host === entry))

/** A blocked name takes everything below it along. */
const isBlocked = (policy: NetworkPolicy, host: string): boolean =>
  policy.blockedDomains.some((entry) => {
    const name = entry.startsWith('*.') ? entry.slice(2) : entry
    return host === name || host.endsWith(`.${name}`)
  })
