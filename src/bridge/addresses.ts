import { BlockList, isIPv4, isIPv6 } from 'node:net'

/**
 * What an address leads to: the internet, a network of the operator's (only by an exact `allowedPrivate`), or something that no policy opens
 * (link-local and with it the metadata services of clouds, multicast, reserved, tunnels). Source: sandbox/v1 section 5.2.
 */
export type AddressKind = 'public' | 'private' | 'never'

/** Sources: IANA's registries of special-purpose addresses (RFC 6890 and successors). */
const privateRanges = ['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '::1/128', 'fc00::/7']
const neverRanges = [
  '0.0.0.0/8',
  // Where a cloud answers its machines although the range is public.
  '168.63.129.16/32',
  '100.100.100.200/32',
  'fd00:ec2::/32',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // Protocol assignments with Teredo and ORCHID, documentation, 6to4.
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
]

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/')
    list.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6')
  }
  return list
}
const privates = listOf(privateRanges)
const nevers = listOf(neverRanges)
/** Unicast of the internet; what lies outside and is not private is nothing to connect to. */
const globals = listOf(['2000::/3'])

/** `never` for what is no address, or one with a zone. */
export function addressKind(address: string): AddressKind {
  if (isIPv4(address)) return nevers.check(address, 'ipv4') ? 'never' : privates.check(address, 'ipv4') ? 'private' : 'public'
  if (!isIPv6(address) || address.includes('%')) return 'never'
  const inner = embedded(address)
  if (inner !== undefined) return addressKind(inner)
  if (nevers.check(address, 'ipv6')) return 'never'
  if (privates.check(address, 'ipv6')) return 'private'
  return globals.check(address, 'ipv6') ? 'public' : 'never'
}

/** The address that packets end up at, in one spelling: an IPv4 address inside an IPv6 one as such. Anything else stays as it is. */
export function effectiveAddress(address: string): string {
  if (!isIPv6(address) || address.includes('%')) return address
  return embedded(address) ?? new URL(`http://[${address}]`).hostname.slice(1, -1)
}

/** The IPv4 address that packets to this one end up at: v4-mapped, NAT64 (RFC 6052), ISATAP (RFC 5214). */
function embedded(address: string): string | undefined {
  const groups = groupsOf(address)
  const is = (...head: readonly number[]): boolean => head.every((group, at) => groups[at] === group)
  if (is(0x64, 0xff9b, 0, 0, 0, 0)) return dotted(groups)
  // The interface identifier of ISATAP, with the universal bit or without.
  if (((groups[4] ?? 0) & ~0x200) === 0 && groups[5] === 0x5efe) return dotted(groups)
  return is(0, 0, 0, 0, 0, 0xffff) ? dotted(groups) : undefined
}

const dotted = ([, , , , , , high = 0, low = 0]: readonly number[]): string => [high >> 8, high & 255, low >> 8, low & 255].join('.')

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const read = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)))
  const [front, back] = [read(head), read(tail ?? '')]
  return [...front, ...Array.from({ length: 8 - front.length - back.length }, () => 0), ...back]
}
