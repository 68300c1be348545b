import { concat, type Did, keyFromDid, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'

/** Issuers fall into so many buckets, by the first byte of their key. trust/v1 section 5. */
export const meetBuckets = 4

export const meetBucketOf = (issuer: Did): number => (keyFromDid(issuer)[0] ?? 0) % meetBuckets

/** Under which key those are found in the DHT who can serve what issuers of a bucket say about a subject. Source: trust/v1 section 5. */
export const meetProviderKey = (subject: Did, bucket: number): Uint8Array =>
  sha256(concat(utf8('kindmesh-att/1\0'), keyFromDid(subject), Uint8Array.of(bucket)))
