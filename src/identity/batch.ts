import { concat, MeshError, utf8 } from '../base/index.ts'
import { sha256, verify } from '../crypto/index.ts'
import { encode } from '../wire/index.ts'
import type { Keyring } from './keyring.ts'
import { type Composed, keyOf } from './statement.ts'

/** Statements under one signature. Source: klp/v1 section 1. */
export const batchStatementsMax = 32
const domain = utf8('klp/1/batch\0')

/** `"klp/1/batch\0" || SHA-256(CBOR [bound, [[kind, hash], …]])`: in this order, with nothing left out. */
const batchInput = (items: readonly Composed[], bound: Uint8Array | undefined): Uint8Array =>
  concat(domain, sha256(encode([bound ?? null, items.map(({ kind, hash }) => [kind, hash])])))

/** One signature over several statements of one author, and over `bound`, what else they vouch for. */
export const signBatch = (items: readonly Composed[], bound: Uint8Array | undefined, { sign }: Pick<Keyring, 'sign'>): Uint8Array =>
  sign(batchInput(items, bound))

/** @throws ERR_STATEMENT_SIGNATURE unless all are of one author who signed exactly these */
export function verifyBatch(items: readonly Composed[], bound: Uint8Array | undefined, signature: Uint8Array): void {
  const [first] = items
  if (first === undefined || items.length > batchStatementsMax || items.some(({ statement }) => statement.from !== first.statement.from)) {
    throw new MeshError('ERR_STATEMENT_SIGNATURE', 'a batch is of 1 to 32 statements of one author')
  }
  if (!verify(keyOf(first), batchInput(items, bound), signature)) throw new MeshError('ERR_STATEMENT_SIGNATURE', 'the signature of this batch does not match')
}
