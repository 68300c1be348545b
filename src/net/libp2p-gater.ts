import type { Connection, ConnectionGater, MultiaddrConnection, PeerId } from '@libp2p/interface'
import { didOfPeer } from './peer-key.ts'

/** Connections taken from one IP address at a time. net/v1 section 5. */
export const connectionsPerAddressMax = 32
/** Connections taken from one /24 (IPv4) or /48 (IPv6) at a time. net/v1 section 5. */
export const connectionsPerSubnetMax = 128

export interface GaterOptions {
  readonly connections: () => readonly Connection[]
  readonly perAddressMax: number
  readonly perSubnetMax: number
}

/** Refuses crowds from one place, and peers whose ID is not a sound Ed25519 key: every peer has a DID. */
export function createGater({ connections, perAddressMax, perSubnetMax }: GaterOptions): ConnectionGater {
  /** Inbound connections by address, from the first byte to the last: a silent socket counts too. */
  const byAddress = new Map<string, number>()
  const bySubnet = new Map<string, number>()
  const isStranger = (peer: PeerId): boolean => didOfPeer(peer) === undefined
  return {
    denyDialPeer: isStranger,
    // Default of libp2p in browsers denies private addresses; here a mesh may well live on a LAN.
    denyDialMultiaddr: () => false,
    denyInboundEncryptedConnection: isStranger,
    denyOutboundEncryptedConnection: isStranger,
    denyInboundConnection(incoming) {
      const ip = ipOf(incoming)
      if (ip === undefined) return false
      const subnet = subnetOf(ip)
      if ((byAddress.get(ip) ?? 0) >= perAddressMax || (bySubnet.get(subnet) ?? 0) >= perSubnetMax) return true
      bump(byAddress, ip, 1)
      bump(bySubnet, subnet, 1)
      incoming.addEventListener(
        'close',
        () => {
          bump(byAddress, ip, -1)
          bump(bySubnet, subnet, -1)
        },
        { once: true },
      )
      return false
    },
    // A relay must not become the way around the counts: one relayed connection per peer.
    denyInboundRelayedConnection: (_relay, remote) =>
      connections().some((connection) => connection.limits !== undefined && connection.remotePeer.equals(remote)),
  }
}

function bump(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}

function ipOf(incoming: MultiaddrConnection): string | undefined {
  const parts = incoming.remoteAddr.getComponents()
  // The address of a relayed connection is the relay's.
  if (parts.some(({ name }) => name === 'p2p-circuit')) return undefined
  const part = parts.find(({ name }) => name === 'ip4' || name === 'ip6')
  return part?.value?.replace(/^::ffff:(?=\d+\.)/i, '')
}

/** The /24 of an IPv4 address, the /48 of an IPv6 one, as text. */
export function subnetOf(ip: string): string {
  if (!ip.includes(':')) return ip.split('.').slice(0, 3).join('.')
  const [head = '', tail] = ip.toLowerCase().split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => '0')
  return [...left, ...middle, ...right]
    .slice(0, 3)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}
