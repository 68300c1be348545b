import { base64, fromBase64, MeshError } from '../base/index.ts'
import { groupFrameBytesMax, senderKeyShape } from '../envelope/index.ts'
import { bytesOf, bytesUpTo, codec, listOf, literal, row } from '../wire/index.ts'
import { bodyBytesMax } from './message.ts'
import { rosterEntryBytesMax } from './roster-entry.ts'

/** Types of the messages, sealed from member to member, that carry a group. Source: group/v1 section 3. */
export const groupTypes = { roster: 'group/roster', key: 'group/key', frame: 'group/frame', want: 'group/want', leave: 'group/leave' } as const

/** Roster entries in one message, and their bytes. Source: group/v1 section 3. */
export const rosterBatchMax = 64
export const rosterBatchBytesMax = 48 * 1024

const head = { version: literal(1), group: bytesOf(32) } as const
export const rosterBody = codec('group roster', row({ ...head, entries: listOf(bytesUpTo(rosterEntryBytesMax), rosterBatchMax) }), bodyBytesMax)
export const keyBody = codec('group key', row({ ...head, epoch: bytesOf(32), key: senderKeyShape }), 512)
export const frameBody = codec('group message', row({ ...head, frame: bytesUpTo(groupFrameBytesMax) }), bodyBytesMax)
/** Of `group/want` and `group/leave`. */
export const plainBody = codec('group word', row(head), 64)

/** The bytes of a body that travels as base64. @throws ERR_WIRE_MALFORMED */
export function bytesOfBody({ encoding, body }: { readonly encoding: string; readonly body: string }): Uint8Array {
  const bytes = encoding === 'bytes' ? fromBase64(body) : undefined
  if (bytes === undefined) throw new MeshError('ERR_WIRE_MALFORMED', 'a message of a group is bytes')
  return bytes
}

export const bodyOfBytes = (bytes: Uint8Array): { readonly encoding: 'bytes'; readonly body: string } => ({ encoding: 'bytes', body: base64(bytes) })
