import { type Did, MeshError } from '../base/index.ts'
import { parseDid } from '../identity/index.ts'
import { decodeTicket, isTicket } from './ticket.ts'

/** Shortest beginning of a DID that may stand for it, counted behind `did:key:`. */
export const prefixCharsMin = 6

/** The identity a text names: a ticket, a petname, a DID in any spelling, or the beginning of a DID in `known`. @throws ERR_IDENTITY_INVALID, ERR_USAGE */
export function resolveName(text: string, { known, petname }: { readonly known: readonly Did[]; readonly petname: (text: string) => Did | undefined }): Did {
  if (isTicket(text)) return decodeTicket(text).did
  const named = petname(text)
  if (named !== undefined) return named
  const beginning = text.startsWith('did:key:') ? text : `did:key:${text}`
  const fitting = beginning.length >= 'did:key:'.length + prefixCharsMin ? [...new Set(known.filter((did) => did.startsWith(beginning)))] : []
  if (fitting.length === 1 && fitting[0] !== undefined) return fitting[0]
  if (fitting.length > 1) throw new MeshError('ERR_USAGE', `'${text.slice(0, 64)}' fits ${fitting.length} identities`, { hint: 'give more of it' })
  return parseDid(text)
}
