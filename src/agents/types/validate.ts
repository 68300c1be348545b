import { MeshError } from '../../base/index.ts'
import { parseJsonText } from '../../wire/index.ts'
import { bodyBytesMax } from '../message.ts'
import { messageBodies, type ReservedType } from './bodies.ts'

/** Longest name of a message type, in UTF-16 units. */
export const messageTypeCharsMax = 64
/** Begins types of the protocol itself. */
const ownPrefix = /^(?:klp|kindmesh)\//
/** Words joined by underscores: types of this and later versions. */
const reservedName = /^[a-z0-9]+(?:_[a-z0-9]+)+$/

export const isReservedType = (type: string): type is ReservedType => Object.hasOwn(messageBodies, type)

/**
 * Holds a message to what its type promises, when it is sent and when it is received. A reserved type must have a JSON body that fits its schema;
 * a type of the protocol, or one that a later version may give a meaning, is refused; any other name is the app's own and its body is free.
 * @throws ERR_MESSAGE_TYPE, ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE. Source: message/v1 section 5.
 */
export function validateBody(type: string, encoding: string, body: string): void {
  if (type === '' || type.length > messageTypeCharsMax || !type.isWellFormed()) {
    throw new MeshError('ERR_MESSAGE_TYPE', `a message type has 1 to ${messageTypeCharsMax} characters`)
  }
  if (!isReservedType(type)) {
    if (ownPrefix.test(type) || reservedName.test(type)) {
      throw new MeshError('ERR_MESSAGE_TYPE', `the type ${type} is reserved and unknown here`)
    }
    return
  }
  if (encoding !== 'json') throw new MeshError('ERR_MESSAGE_TYPE', `a ${type} has a JSON body`, { hint: `give it with --json-body, or with encoding: 'json'` })
  const { error } = messageBodies[type].safeParse(parseJsonText(body, bodyBytesMax))
  if (error === undefined) return
  const [issue] = error.issues
  throw new MeshError(
    'ERR_JSON_INVALID',
    `body of ${type}: ${[issue?.path.join('.') ?? '', issue?.message ?? 'is wrong']
      .filter((part) => part !== '')
      .join(': ')
      .slice(0, 256)}`,
    {
      hint: `protocols/message/v1/types.json has the schema of ${type}`,
    },
  )
}
