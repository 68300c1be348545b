import { codeFromPeer, MeshError } from '../../base/index.ts'
import { bytesOf, bytesUpTo, type Codec, codec, decode, type Decoded, did, literal, nullable, row, textUpTo } from '../../wire/index.ts'
import { inviteIdBytesLength } from './proof.ts'

export const joinProtocol = '/kindmesh/join/1.0.0'
/** One frame: two signed statements and a proof. Source: join/v1 section 4. */
export const joinFrameBytesMax = 4_096
const statement = bytesUpTo(1_536)

const askShape = row({ frame: literal(1), id: bytesOf(inviteIdBytesLength), joiner: did, proof: bytesOf(32) })
/** The joiner names the invite and proves that it holds the secret. */
export const askCodec = codec('join request', askShape, joinFrameBytesMax)
export type JoinAsk = Omit<Decoded<typeof askShape>, 'frame'>

const handed = {
  /** What the author says of the reader, signed. */ attestation: statement,
  /** The author's newest head. */ head: nullable(statement),
} as const
const welcomeShape = row({ frame: literal(2), proof: bytesOf(32), ...handed })
export const welcomeCodec = codec('join welcome', welcomeShape, joinFrameBytesMax)
export type Welcome = Omit<Decoded<typeof welcomeShape>, 'frame'>

const returnShape = row({ frame: literal(3), ...handed })
export const returnCodec = codec('join return', returnShape, joinFrameBytesMax)
export type Handed = Omit<Decoded<typeof returnShape>, 'frame'>

export const doneCodec = codec('join end', row({ frame: literal(4) }), 64)
export const refusalCodec = codec('join refusal', row({ frame: literal(0), code: textUpTo(64), message: textUpTo(512) }), joinFrameBytesMax)

/** An answer, unless it is a refusal. @throws the refusal, ERR_WIRE_* */
export function readAnswer<T>(frame: Uint8Array, expected: Codec<T>): T {
  const plain = decode(frame, joinFrameBytesMax)
  if (!Array.isArray(plain) || plain[0] !== 0) return expected.decode(frame)
  const { code, message } = refusalCodec.decode(frame)
  throw new MeshError(codeFromPeer(code), message)
}
