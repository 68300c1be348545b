import { base64url, type Did, fromBase64, MeshError } from '../base/index.ts'
import { parseDid, peerIdFromDid } from '../identity/index.ts'
import { inviteSecretBytesLength, type InviteTerms, termsFields } from '../protocols/join/index.ts'
import { bytesOf, codec, decode, did, listOf, literal, row, textUpTo } from '../wire/index.ts'

const prefix = 'kindmesh:'
/** Few, so that the QR of a ticket fits a terminal. */
export const ticketAddressesMax = 3
const ticketBytesMax = 1_024
const place = { did, addresses: listOf(textUpTo(128), ticketAddressesMax) } as const
const plainCodec = codec('ticket', row({ version: literal(1), ...place }), ticketBytesMax)
/** Source: join/v1 section 1. */
const inviteCodec = codec(
  'invite ticket',
  row({ version: literal(2), ...place, secret: bytesOf(inviteSecretBytesLength), terms: row(termsFields) }),
  ticketBytesMax,
)

/** What an invite ticket carries besides: whoever reads it may join once. */
export interface TicketInvite {
  readonly secret: Uint8Array
  readonly terms: InviteTerms
}

/** Who to dial and where: what an invite shows as text and QR. */
export interface Ticket {
  readonly did: Did
  /** Its key in force when the ticket was made: whom to expect at the addresses. */
  readonly key: Did
  /** Multiaddrs with /p2p/. */
  readonly addresses: readonly string[]
  readonly invite?: TicketInvite | undefined
}

export const isTicket = (text: string): boolean => text.startsWith(prefix)

const isLoopback = (address: string): boolean => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address)
const isPlainTcp = (address: string): boolean => !address.includes('/ws')
/** Best first: reachable from elsewhere, then plain TCP. */
const rank = (address: string): number => (isLoopback(address) ? 2 : 0) + (isPlainTcp(address) ? 0 : 1)

export function encodeTicket({ did: owner, key = owner, addresses, invite }: Omit<Ticket, 'key'> & Partial<Pick<Ticket, 'key'>>): string {
  const sorted = addresses.toSorted((a, b) => rank(a) - rank(b))
  // The DID says whom to expect: a second spelling of the same key at each address would only fatten the QR.
  const bare = key === owner ? sorted.map((address) => address.replace(/\/p2p\/[^/]+$/, '')) : sorted
  const kept = bare.filter((address, index) => index === 0 || isPlainTcp(address)).slice(0, ticketAddressesMax)
  const bytes =
    invite === undefined
      ? plainCodec.encode({ version: 1, did: owner, addresses: kept })
      : inviteCodec.encode({ version: 2, did: owner, addresses: kept, ...invite })
  return prefix + base64url(bytes)
}

function read(bytes: Uint8Array): Pick<Ticket, 'did' | 'addresses' | 'invite'> {
  const items = decode(bytes, ticketBytesMax)
  if (!Array.isArray(items) || items[0] !== 2) return plainCodec.decode(bytes)
  const { did: owner, addresses, secret, terms } = inviteCodec.decode(bytes)
  return { did: owner, addresses, invite: { secret, terms } }
}

/** @throws ERR_USAGE, which never shows the ticket: it may hold a secret */
export function decodeTicket(text: string): Ticket {
  const bytes = isTicket(text) ? fromBase64(text.slice(prefix.length)) : undefined
  if (bytes === undefined) throw new MeshError('ERR_USAGE', 'not a ticket', { hint: 'copy it again, whole' })
  try {
    const { did: owner, addresses, invite } = read(bytes)
    const whole = addresses.map((address) => (address.includes('/p2p/') ? address : `${address}/p2p/${peerIdFromDid(owner)}`))
    const peerId = /\/p2p\/([^/]+)$/.exec(whole[0] ?? '')?.[1]
    return { did: owner, key: peerId === undefined ? owner : parseDid(peerId), addresses: whole, invite }
  } catch (cause) {
    throw new MeshError('ERR_USAGE', 'the ticket is damaged', { cause, hint: 'copy it again, whole' })
  }
}
