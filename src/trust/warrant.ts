import { type Did, equal, hex, MeshError } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { bytesUpTo, codec, literal, oneOf, row } from '../wire/index.ts'
import { readTrustStatement, type SignedItem, signedKinds, trustStatementBytesMax, type TrustStatement, type UnverifiedTrust } from './statements.ts'

/** Two statements and what is around them. Source: trust/v1 section 6. */
export const warrantBytesMax = 2 * trustStatementBytesMax + 64

const part = row({ kind: oneOf(signedKinds), bytes: bytesUpTo(trustStatementBytesMax) })
export const warrantCodec = codec('warrant', row({ version: literal(1), first: part, second: part }), warrantBytesMax)

/** Proof that one key said two things where it may say one. Source: trust/v1 section 1.4. */
export interface Warrant {
  /** Hash of the hashes of both statements, hexadecimal. */
  readonly id: string
  /** The key that signed both. */
  readonly key: Did
  readonly statements: readonly [TrustStatement, TrustStatement]
  readonly bytes: Uint8Array
}

/** Two statements by one key that cannot both stand: one place in its sequence, or two heads that count differently up to the same place. */
export function contradict(a: TrustStatement, b: TrustStatement): boolean {
  if (a.signed.ref === b.signed.ref || a.signed.statement.from !== b.signed.statement.from || a.seq !== b.seq) return false
  if (a.kind === 'head' && b.kind === 'head') return a.head.count !== b.head.count || !equal(a.head.fingerprint, b.head.fingerprint)
  return a.kind !== 'head' && b.kind !== 'head'
}

const before = (a: UnverifiedTrust, b: UnverifiedTrust): boolean => a.statement.signed.ref < b.statement.signed.ref

/** Puts two statements that contradict each other together; their signatures are looked at by who takes the warrant. @throws ERR_TRUST_INVALID, ERR_WIRE_* */
export function makeWarrant(a: SignedItem, b: SignedItem): Uint8Array {
  const [first, second] = before(readTrustStatement(a), readTrustStatement(b)) ? [a, b] : [b, a]
  const bytes = warrantCodec.encode({ version: 1, first, second })
  readWarrant(bytes)
  return bytes
}

/** Reads a warrant; it proves nothing until `verify` has returned. @throws ERR_TRUST_INVALID when the two do not contradict each other, ERR_WIRE_* */
export function readWarrant(bytes: Uint8Array): { readonly warrant: Warrant; verify(): void } {
  const { first, second } = warrantCodec.decode(bytes)
  const [a, b] = [readTrustStatement(first), readTrustStatement(second)]
  if (!before(a, b) || !contradict(a.statement, b.statement)) {
    throw new MeshError('ERR_TRUST_INVALID', 'the two statements of a warrant do not contradict each other')
  }
  const { signed } = a.statement
  return {
    warrant: {
      id: hex(sha256(new Uint8Array([...signed.hash, ...b.statement.signed.hash]))),
      key: signed.statement.from,
      statements: [a.statement, b.statement],
      bytes,
    },
    verify() {
      a.verify()
      b.verify()
    },
  }
}
