import { base64url, type Did, fromBase64, MeshError } from '../base/index.ts'
import { codec, did, listOf, literal, row, textUpTo } from '../wire/index.ts'

const prefix = 'kindmesh:'
const addressesMax = 8
const ticketCodec = codec('ticket', row({ version: literal(1), did, addresses: listOf(textUpTo(256), addressesMax) }), 4_096)

/** Who to dial and where: what an invite shows as text and QR. */
export interface Ticket {
  readonly did: Did
  readonly addresses: readonly string[]
}

export const isTicket = (text: string): boolean => text.startsWith(prefix)

export const encodeTicket = ({ did: owner, addresses }: Ticket): string => prefix + base64url(ticketCodec.encode({ version: 1, did: owner, addresses: addresses.slice(0, addressesMax) }))

/** @throws ERR_USAGE */
export function decodeTicket(text: string): Ticket {
  const bytes = fromBase64(text.slice(prefix.length))
  if (!isTicket(text) || bytes === undefined) throw new MeshError('ERR_USAGE', 'not a ticket')
  try {
    return ticketCodec.decode(bytes)
  } catch (cause) {
    throw new MeshError('ERR_USAGE', 'the ticket is damaged', { cause, hint: 'copy it again, whole' })
  }
}
