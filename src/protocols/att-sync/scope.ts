import { compare, concat, type Did, hex, keyFromDid, MeshError } from '../../base/index.ts'
import { sha256 } from '../../crypto/index.ts'
import { issuerTagBytes } from './frames.ts'
import { nameBytes } from './sequence.ts'

/** Whose statements a session is about. */
export interface SyncScope {
  /** First 16 bytes of the SHA-256 of the tags. */
  readonly name: Uint8Array
  /** Tags of the issuers side by side, rising. */
  readonly tags: Uint8Array
  has(issuer: Did): boolean
}

const tagOf = (issuer: Did): Uint8Array => keyFromDid(issuer).subarray(0, issuerTagBytes)
const nameOf = (tags: Uint8Array): Uint8Array => sha256(tags).slice(0, nameBytes)

function scopeOf(tags: Uint8Array): SyncScope {
  const known = new Set<string>()
  for (let at = 0; at < tags.length; at += issuerTagBytes) known.add(hex(tags.subarray(at, at + issuerTagBytes)))
  const asked = new Map<Did, boolean>()
  return {
    name: nameOf(tags),
    tags,
    has(issuer) {
      const answer = asked.get(issuer) ?? known.has(hex(tagOf(issuer)))
      asked.set(issuer, answer)
      return answer
    },
  }
}

export function createScope(issuers: Iterable<Did>): SyncScope {
  const tags = new Map(Array.from(issuers, (issuer) => [hex(tagOf(issuer)), tagOf(issuer)]))
  return scopeOf(concat(...[...tags.values()].toSorted(compare)))
}

/** @throws ERR_WIRE_MALFORMED unless the tags are whole and rise, and are those of that name */
export function readScope(name: Uint8Array, tags: Uint8Array): SyncScope {
  let rises = tags.length % issuerTagBytes === 0
  for (let at = issuerTagBytes; rises && at < tags.length; at += issuerTagBytes) {
    rises = compare(tags.subarray(at - issuerTagBytes, at), tags.subarray(at, at + issuerTagBytes)) < 0
  }
  if (!rises || compare(nameOf(tags), name) !== 0) throw new MeshError('ERR_WIRE_MALFORMED', 'tags of issuers that are not what they are called')
  return scopeOf(tags)
}
