import { MeshError } from '../base/index.ts'
import { bodyBytes, bodyText, type Encoding, messageCodec, plainMessage } from './message.ts'
import { validateBody } from './types/validate.ts'

/** What is said to many at once: a message for no agent that wants no reply. */
export interface Said {
  readonly encoding: Encoding
  /** Base64 when the encoding is bytes. */
  readonly body: string
}

/** The payload of its statement. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE over `bytesMax`, ERR_MESSAGE_TYPE, ERR_JSON_INVALID. Source: message/v1 section 1. */
export function encodeSaid(type: string, { encoding, body }: Said, bytesMax: number): Uint8Array {
  validateBody(type, encoding, body)
  return messageCodec.encode(plainMessage({ encoding, body: within(bodyBytes(encoding, body), bytesMax) }))
}

/** @throws ERR_WIRE_*, ERR_MESSAGE_TYPE, ERR_JSON_INVALID */
export function decodeSaid(type: string, payload: Uint8Array, bytesMax: number): Said {
  const { agent, expectsReply, encoding, body } = messageCodec.decode(payload)
  if (agent !== '' || expectsReply) throw new MeshError('ERR_WIRE_MALFORMED', 'what is said to many is for no agent and wants no reply')
  const said = { encoding, body: bodyText(encoding, within(body, bytesMax)) }
  validateBody(type, said.encoding, said.body)
  return said
}

function within(body: Uint8Array, bytesMax: number): Uint8Array {
  if (body.length > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a body of ${body.length} bytes exceeds ${bytesMax}`)
  return body
}
