import { type Did, fromHex, hex } from '../base/index.ts'
import { bytesOf, codec, did, literal, nullable, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { type Caveats, caveatsShape, fromWire, toWire } from './caveats.ts'
import { type Command, commandCharsMax } from './commands.ts'

/** Largest content of a grant that somebody approves: it is part of what a passkey signs. Source: grant/v1 section 7, auth/v1 section 7. */
export const grantContentBytesMax = 1_024

/** What is given, to whom, for how long: all of a grant but the moment it is signed. */
export interface GrantContent {
  readonly audience: Did
  readonly command: Command
  readonly caveats: Caveats
  /** As usual where undefined. */
  readonly lifetimeMs: number | undefined
  /** Id of the token it is made from. */
  readonly proof: string | undefined
}

const content = codec(
  'content of a grant',
  row({
    version: literal(1),
    audience: did,
    command: textUpTo(commandCharsMax),
    caveats: caveatsShape,
    lifetimeMs: nullable(uintUpTo(Number.MAX_SAFE_INTEGER)),
    proof: nullable(bytesOf(32)),
  }),
  grantContentBytesMax,
)

/** @throws ERR_WIRE_TOO_LARGE when its caveats are too long to be approved */
export const encodeGrantContent = ({ audience, command, caveats, lifetimeMs, proof }: GrantContent): Uint8Array =>
  content.encode({ version: 1, audience, command, caveats: toWire(caveats), lifetimeMs, proof: proof === undefined ? undefined : fromHex(proof) })

/** @throws ERR_WIRE_MALFORMED, ERR_WIRE_TOO_LARGE */
export function decodeGrantContent(bytes: Uint8Array): GrantContent {
  const { audience, command, caveats, lifetimeMs, proof } = content.decode(bytes)
  return { audience, command, caveats: fromWire(caveats), lifetimeMs, proof: proof === undefined ? undefined : hex(proof) }
}
