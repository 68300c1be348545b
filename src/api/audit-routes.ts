import { z } from 'zod'
import { MeshError } from '../base/index.ts'
import type { MeshNode } from '../node/index.ts'
import * as schemas from './audit-schemas.ts'
import { searchAudit } from './audit-search.ts'
import type { LinesRoute, Route } from './routes.ts'

type VerifyLine = { readonly type: 'progress'; readonly read: number; readonly of: number } | ({ readonly type: 'verdict' } & z.output<typeof schemas.verdict>)

/** The audit log: its entries, and what shows that they are unchanged. */
export function auditRoutes(node: MeshNode): readonly (Route | LinesRoute)[] {
  return [
    {
      method: 'GET',
      url: '/v1/audit',
      right: '/api/audit/read',
      summary: 'The last audit entries that fit, oldest first, and where older ones begin',
      query: schemas.auditQuery,
      reply: schemas.auditPage,
      async handle({ query }) {
        const { entries, before } = await searchAudit(node.audit, query as z.infer<typeof schemas.auditQuery>)
        return {
          entries: entries.map(({ seq, time, event, actor, subject, data }) => ({ seq, time, event, actor, subject: subject ?? null, data: plainData(data) })),
          before: before ?? null,
        }
      },
    },
    {
      method: 'POST',
      url: '/v1/audit/verify',
      right: '/api/audit',
      summary: 'Check the whole audit log against its signed checkpoint',
      body: z.object({}),
      reply: schemas.verdict,
      handle: async () => await verify(node),
    },
    {
      method: 'POST',
      url: '/v1/audit/verify/lines',
      right: '/api/audit',
      summary: 'The same with progress, in lines of JSON; closing the connection stops it',
      body: z.object({}),
      reply: schemas.verifyLine,
      lines: ({ signal }) => verifyLines(node, signal),
    },
    {
      method: 'GET',
      url: '/v1/audit/checkpoint',
      right: '/api/audit/read',
      summary: 'The newest signed checkpoint, and the keys of this identity that may have signed it',
      reply: schemas.checkpoint,
      handle: async () => ({ did: node.did, keys: node.identity().keys, checkpoint: await node.audit.checkpoint() }),
    },
    {
      method: 'GET',
      url: '/v1/audit/consistency',
      right: '/api/audit/read',
      summary: 'A document that shows that the log continues the one of `from` entries',
      query: schemas.consistencyQuery,
      reply: schemas.proof,
      handle: async ({ query }) => await node.audit.consistency((query as z.infer<typeof schemas.consistencyQuery>).from),
    },
    {
      method: 'GET',
      url: '/v1/audit/:seq/proof',
      right: '/api/audit/read',
      summary: 'A document with which anybody can check offline that an entry is in the log',
      params: schemas.entryParams,
      reply: schemas.proof,
      handle: async ({ params }) => await node.audit.prove((params as z.infer<typeof schemas.entryParams>).seq),
    },
  ]
}

async function verify(node: MeshNode, onProgress?: (read: number, of: number) => void): Promise<z.output<typeof schemas.verdict>> {
  const expectedCheckpoint = await node.keptCheckpoint()
  const verdict = await node.audit.verify({ expectedCheckpoint, onProgress })
  return { ...verdict, checkpoint: verdict.checkpoint ?? null }
}

/** How far it is, as often as somebody reads it; whoever leaves stops it. */
async function* verifyLines(node: MeshNode, signal: AbortSignal): AsyncGenerator<VerifyLine> {
  let latest: VerifyLine | undefined
  let news = Promise.withResolvers<void>()
  const leaving = new AbortController()
  const ends = AbortSignal.any([signal, leaving.signal])
  const verifying = verify(node, (read, of) => {
    ends.throwIfAborted()
    latest = { type: 'progress', read, of }
    news.resolve()
  })
  const over = verifying.then(
    () => news.resolve(),
    () => news.resolve(),
  )
  try {
    for (;;) {
      await news.promise
      if (latest === undefined) break
      const line = latest
      latest = undefined
      news = Promise.withResolvers()
      void over.then(news.resolve)
      yield line
    }
    yield { type: 'verdict', ...(await verifying) }
  } finally {
    leaving.abort(new MeshError('ERR_ABORTED', 'nobody waits for the verdict'))
  }
}

/** JSON of an audit entry: bytes as hex. */
const plainData = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plainData)
  if (typeof value === 'object' && value !== null) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plainData(item)]))
  return value
}
