import { createHash, randomBytes, randomUUID } from 'node:crypto'

/** Bytes of chance a guest may ask for at once. */
const randomBytesMax = 65_536

/** What a worker answers by itself, without asking the node: chance and SHA-256. Undefined for anything else. */
export function localCall(kind: string, text: string, extra: string): string | undefined {
  switch (kind) {
    case 'random':
      return randomBytes(Math.min(Number(text) || 0, randomBytesMax)).toString('hex')
    case 'uuid':
      // Without the cache: a cached one would repeat in a restored machine.
      return randomUUID({ disableEntropyCache: true })
    case 'sha256':
      return createHash('sha256')
        .update(Buffer.from(text, extra === 'utf8' ? 'utf8' : 'latin1'))
        .digest('hex')
    default:
      return undefined
  }
}
