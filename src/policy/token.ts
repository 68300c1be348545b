import { base64url, dayMs, type Did, equal, fromBase64, MeshError, type Random } from '../base/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../identity/index.ts'
import { scopeCovers } from '../trust/index.ts'
import { bytesUpTo, codec, did, listOf, literal, row, textUpTo } from '../wire/index.ts'
import { isOfApi } from './api-rights.ts'
import { type Caveats, caveatsProblem, caveatsShape, fromWire, toWire, widened } from './caveats.ts'
import { type Command, commandCharsMax, isCommandPath } from './commands.ts'

/** Tokens from the owner's own to the one shown. Source: grant/v1 section 3. */
export const grantChainLengthMax = 4
/** One signed token. Source: grant/v1 section 1. */
export const grantBytesMax = 1_280
/** A chain of tokens as it travels. */
export const grantChainBytesMax = 5_248
/** Longest life of a token. Source: grant/v1 section 1. */
export const grantLifetimeMsMax = 400 * dayMs
/** Distinguishes it from what else is delegated: mailboxes, agents. */
const grantType = 'grant'

const tokenCodec = codec('capability token', row({ version: literal(1), subject: did, command: textUpTo(commandCharsMax), policy: caveatsShape }), 1_024)
const chainCodec = codec(
  'chain of capability tokens',
  row({ version: literal(1), tokens: listOf(bytesUpTo(grantBytesMax), grantChainLengthMax) }),
  grantChainBytesMax,
)

/** A capability token, read and verified. Times in ms since 1970. */
export interface Token {
  /** Hash of its statement, hexadecimal. */
  readonly id: string
  readonly signed: Signed
  /** The key that signed it. */
  readonly issuer: Did
  readonly audience: Did
  /** Whose resource it is about. */
  readonly owner: Did
  readonly command: Command
  readonly caveats: Caveats
  readonly issuedAt: number
  readonly expiresAt: number
}

/** Tokens from the owner's to the one that counts, each made from the one before. */
export interface GrantChain {
  readonly tokens: readonly Token[]
  /** The last: what is granted, to whom, until when. */
  readonly token: Token
  readonly bytes: Uint8Array
}

export interface TokenFields {
  readonly audience: Did
  readonly owner: Did
  readonly command: Command
  readonly caveats?: Caveats | undefined
  readonly issuedAt: number
  readonly expiresAt: number
  /** The chain it is made from. */
  readonly proof?: GrantChain | undefined
}

const invalid = (message: string): MeshError => new MeshError('ERR_GRANT_INVALID', message)

/** Rights at the API of a machine are for its own people. Source: grant/v1 section 1 */
function commandProblem(command: Command): string | undefined {
  if (!isCommandPath(command)) return `'${command.slice(0, commandCharsMax)}' is no command path`
  return isOfApi(command) ? `${command} is a right at a node’s own API, which nobody else is granted` : undefined
}

/** Signs a token; nothing is checked but its form. @throws ERR_GRANT_INVALID, ERR_WIRE_TOO_LARGE */
export function signToken(
  { audience, owner, command, caveats = {}, issuedAt, expiresAt, proof }: TokenFields,
  signing: { readonly keyring: Pick<Keyring, 'did' | 'sign'>; readonly random: Random },
): Signed {
  const problem = commandProblem(command) ?? caveatsProblem(caveats)
  if (problem !== undefined) throw invalid(problem)
  const payload = tokenCodec.encode({ version: 1, subject: owner, command, policy: toWire(caveats) })
  const caps = proof === undefined ? [] : [proof.token.signed.hash]
  return signStatement('delegation', { to: audience, type: grantType, payload, caps, issuedAt, expiresAt }, signing)
}

/** Reads and verifies one token by itself, its time left out. @throws ERR_WIRE_*, ERR_STATEMENT_SIGNATURE, ERR_STATEMENT_LIFETIME, ERR_GRANT_INVALID */
export function openToken(bytes: Uint8Array): Token {
  if (bytes.length > grantBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `a token of ${bytes.length} bytes exceeds ${grantBytesMax}`)
  const signed = openStatement('delegation', bytes, { now: 0, lifetimeMsMax: grantLifetimeMsMax, atAnyTime: true })
  const { from, to, type, payload, issuedAt, expiresAt } = signed.statement
  if (type !== grantType) throw invalid('a delegation of another kind')
  const { subject: owner, command, policy } = tokenCodec.decode(payload)
  const caveats = fromWire(policy)
  const problem = commandProblem(command) ?? caveatsProblem(caveats)
  if (problem !== undefined) throw invalid(problem)
  return { id: signed.ref, signed, issuer: from, audience: to, owner, command, caveats, issuedAt, expiresAt }
}

export const encodeChain = (tokens: readonly Uint8Array[]): Uint8Array => chainCodec.encode({ version: 1, tokens })

/**
 * Reads and verifies a chain by itself: signatures, proofs, and that no token goes further than the one before. Who signed for whom, time and revocation are asked at each use.
 * @throws ERR_WIRE_*, ERR_STATEMENT_SIGNATURE, ERR_STATEMENT_LIFETIME, ERR_GRANT_INVALID. Source: grant/v1 section 3
 */
export function openChain(bytes: Uint8Array): GrantChain {
  const tokens = chainCodec.decode(bytes).tokens.map(openToken)
  const token = tokens.at(-1)
  if (token === undefined) throw invalid('a chain without a token')
  tokens.forEach((child, index) => {
    const parent = tokens[index - 1]
    const { caps } = child.signed.statement
    if (caps.length !== (parent === undefined ? 0 : 1)) throw invalid('it does not name the one token it is made from')
    if (parent === undefined) return
    if (!equal(caps[0] ?? new Uint8Array(), parent.signed.hash)) throw invalid('it is made from another token')
    checkNarrower(child, parent)
  })
  return { tokens, token, bytes }
}

/** @throws ERR_GRANT_INVALID where a child would go further than its parent. Source: grant/v1 section 3 */
export function checkNarrower(
  child: Pick<Token, 'owner' | 'command' | 'caveats' | 'expiresAt'>,
  parent: Pick<Token, 'owner' | 'command' | 'caveats' | 'expiresAt'>,
): void {
  if (child.owner !== parent.owner) throw invalid('it is about the resource of another owner than the token it is made from')
  if (!scopeCovers(parent.command, child.command)) throw invalid(`${child.command} is not within ${parent.command}`)
  const over = widened(child.caveats, parent.caveats)
  if (over !== undefined) throw invalid(`it goes further than the token it is made from: ${over}`)
  if (child.expiresAt > parent.expiresAt) throw invalid('it outlives the token it is made from')
}

const prefix = 'kmgrant:'
export const isGrantText = (text: string): boolean => text.startsWith(prefix)
export const grantText = (chain: Uint8Array): string => prefix + base64url(chain)

/** @throws ERR_USAGE */
export function bytesOfGrantText(text: string): Uint8Array {
  const trimmed = text.trim()
  // Base64 takes a third more than the bytes.
  const isPossible = isGrantText(trimmed) && trimmed.length <= prefix.length + Math.ceil((grantChainBytesMax * 4) / 3) + 4
  const bytes = isPossible ? fromBase64(trimmed.slice(prefix.length)) : undefined
  if (bytes === undefined) throw new MeshError('ERR_USAGE', 'not a capability token', { hint: 'copy it again, whole: it begins with kmgrant:' })
  return bytes
}
