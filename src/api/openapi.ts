import { apiRights } from '../policy/index.ts'
import type { LinesRoute, Route } from './routes.ts'

interface Operation {
  operationId?: string
  responses?: Record<string, { description?: string; content?: Record<string, unknown> }>
  requestBody?: unknown
  [extra: string]: unknown
}

export interface OpenApiDocument {
  paths?: Record<string, Record<string, Operation>>
  components?: Record<string, unknown>
  [member: string]: unknown
}

/** A served call, as far as its description goes. */
export type Described = Pick<Route, 'method' | 'url' | 'right' | 'stepUp'> & { readonly media?: string }

export const describedOf = (route: Route | LinesRoute): Described => ({ ...route, ...('lines' in route ? { media: 'application/x-ndjson' } : {}) })

/** `GET /v1/audit/:seq/proof` -> `getAuditSeqProof`. */
export const operationIdOf = (method: string, url: string): string =>
  method.toLowerCase() +
  url
    .replace(/^\/v1/, '')
    .split(/[^a-zA-Z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('')

const problem = { $ref: '#/components/responses/Problem' }
const problems: Readonly<Record<string, string>> = {
  400: 'ERR_USAGE and its like: see the message',
  401: 'no token or session, or one that ended',
  403: 'the right is missing, the policy forbids it, or ERR_STEP_UP: verify the user and ask again',
  404: 'no such thing',
  413: 'too large',
  415: 'not application/json',
  429: 'too often: see retry-after',
  503: 'overloaded: see retry-after',
  default: 'a coded error',
}

/** Completes what was made from the schemas: ids, rights, who may call, what can go wrong. */
export function completeOpenApi(document: OpenApiDocument, calls: readonly Described[]): OpenApiDocument {
  for (const { method, url, right, stepUp, media } of calls) {
    const path = url.replaceAll(/:(\w+)/g, '{$1}')
    const operation = document.paths?.[path]?.[method.toLowerCase()]
    if (operation === undefined) continue
    operation.operationId = operationIdOf(method, url)
    operation['x-right'] = right
    if (stepUp !== undefined) operation['x-step-up'] = stepUp === true ? 'always' : 'for some'
    operation['security'] = right === 'open' ? [] : [{ token: [] }, { session: [] }]
    const { 200: ok = {}, ...rest } = operation.responses ?? {}
    if (media !== undefined && ok.content !== undefined) ok.content = { [media]: Object.values(ok.content)[0] }
    operation.responses = { 200: { description: 'done', ...ok }, ...rest, ...Object.fromEntries(codesOf(method, right).map((code) => [code, problem])) }
  }
  return { ...document, components: { ...document.components, ...components }, 'x-rights': apiRights }
}

const codesOf = (method: string, right: Route['right']): readonly string[] =>
  Object.keys(problems).filter((code) => (code === '415' ? method === 'POST' : code === '401' ? right !== 'open' || method === 'POST' : true))

const components = {
  securitySchemes: {
    token: { type: 'http', scheme: 'bearer', description: 'A token of one surface: that of api.json, or one made by `kindmesh token create`' },
    session: { type: 'http', scheme: 'bearer', description: 'The session of a person, from /v1/auth' },
  },
  responses: {
    Problem: {
      description: Object.entries(problems)
        .map(([code, what]) => `${code}: ${what}`)
        .join('; '),
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['code', 'message', 'hint'],
            properties: { code: { type: 'string' }, message: { type: 'string' }, hint: { type: 'string' }, details: { type: 'object' } },
          },
        },
      },
    },
  },
} as const
