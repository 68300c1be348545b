import { type Did, MeshError } from '../base/index.ts'
import { parseDid } from '../identity/index.ts'
import { decodeTicket, isTicket } from './ticket.ts'

/** Shortest beginning of a DID that may stand for it, counted behind `did:key:`. */
export const prefixCharsMin = 6

/** The identity a text names: a DID in any spelling, a ticket, or the beginning of a DID in `known`. @throws ERR_IDENTITY_INVALID, ERR_USAGE */
export function resolveName(text: string, { known }: { readonly known: readonly Did[] }): Did {
  if (isTicket(text)) return decodeTicket(text).did
  const beginning = text.startsWith('did:key:') ? text : `did:key:${text}`
  const fitting = beginning.length >= 'did:key:'.length + prefixCharsMin ? [...new Set(known.filter((did) => did.startsWith(beginning)))] : []
  if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0]
  if (fitting.length > 1) throw new MeshError('ERR_USAGE', `'${text.slice(0, 64)}' fits ${fitting.length} identities`, { hint: 'give more of it' })
  return parseDid(text)
}
