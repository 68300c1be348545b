import { type Did, type Logger, MeshError, toMeshError } from '../../base/index.ts'
import type { Host } from '../../net/index.ts'
import { bool, bytesUpTo, codec, did, listOf, oneOf, row, uintUpTo } from '../../wire/index.ts'
import { withStream } from '../with-stream.ts'

export const attProtocol = '/kindmesh/att/1.0.0'
/** Statements in one answer. Source: trust/v1 section 5. */
export const attestationBatchMax = 64
/** Batches one fetch takes before it stops. */
export const attestationBatchesMax = 64
export const attStreamsPerPeerMax = 8
const statementBytesMax = 1_536
export const attFrameBytesMax = attestationBatchMax * (statementBytesMax + 16) + 64

const kinds = ['attestation', 'revocation', 'head'] as const
/** A signed statement as it travels; the reader verifies it. */
export interface StatementItem {
  readonly kind: (typeof kinds)[number]
  readonly bytes: Uint8Array
}

const askCodec = codec('statement request', row({ issuer: did, afterSeq: uintUpTo(Number.MAX_SAFE_INTEGER) }), 128)
const batchCodec = codec(
  'statement batch',
  row({ more: bool, items: listOf(row({ kind: oneOf(kinds), bytes: bytesUpTo(statementBytesMax) }), attestationBatchMax) }),
  attFrameBytesMax,
)

export interface StatementServerOptions {
  readonly host: Host
  readonly logger: Logger
  /** Statements of an issuer with a seq above `afterSeq`, in order of seq, the head first. */
  list(issuer: Did, afterSeq: number): AsyncIterable<StatementItem>
}

/** Serves `/kindmesh/att/1.0.0`: statements of one issuer, in batches, to anybody: they are public. */
export function serveStatements({ host, logger, list }: StatementServerOptions): void {
  host.handle(attProtocol, { frameBytesMax: attFrameBytesMax, inboundStreamsMax: attStreamsPerPeerMax }, async (stream) => {
    try {
      for await (const frame of stream.frames) {
        const { issuer, afterSeq } = askCodec.decode(frame)
        let batch: StatementItem[] = []
        for await (const item of list(issuer, afterSeq)) {
          if (batch.length === attestationBatchMax) {
            await stream.send(batchCodec.encode({ more: true, items: batch }))
            batch = []
          }
          batch.push(item)
        }
        await stream.send(batchCodec.encode({ more: false, items: batch }))
      }
      await stream.close()
    } catch (error) {
      const reason = toMeshError(error)
      logger.info('statement stream ended', { peer: stream.peer, code: reason.code })
      stream.abort(reason)
    }
  })
}

/** What `peer` has of an issuer's statements above `afterSeq`, unverified. @throws ERR_NET_*, ERR_WIRE_*, ERR_PROTOCOL over the batch limit */
export async function fetchStatements(
  host: Host,
  peer: Did,
  { issuer, afterSeq, signal }: { readonly issuer: Did; readonly afterSeq: number; readonly signal: AbortSignal },
): Promise<readonly StatementItem[]> {
  return await withStream(host, peer, attProtocol, { frameBytesMax: attFrameBytesMax, signal }, async (stream) => {
    await stream.send(askCodec.encode({ issuer, afterSeq }))
    const items: StatementItem[] = []
    let batches = 0
    for await (const frame of stream.frames) {
      const batch = batchCodec.decode(frame)
      items.push(...batch.items)
      if (!batch.more) return items
      if (++batches >= attestationBatchesMax) break
    }
    throw new MeshError('ERR_PROTOCOL', 'the statement list does not end')
  })
}
