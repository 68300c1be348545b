import { createSeededRandom, didFromKey } from '../../src/base/index.ts'
import { peerIdFromDid } from '../../src/identity/index.ts'

/** A schema of OpenAPI 3, as far as zod writes it. */
interface Schema {
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly prefixItems?: readonly Schema[]
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
}

export interface OpenApi {
  readonly paths: Readonly<
    Record<
      string,
      Readonly<Record<string, { readonly responses?: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>> }>>
    >
  >
}

export interface DoubleOptions {
  readonly openApi: OpenApi
  /** What stands in every string that no rule of the node's narrows. */
  readonly texts: readonly string[]
  /** Items of a list. */
  readonly items: number
  readonly now: number
}

export interface ApiDouble {
  /** What the node would answer, by shape; undefined for a call it does not have. */
  reply(method: string, path: string): unknown
  readonly served: ReadonlySet<string>
  readonly dids: readonly string[]
}

/** Strings that the node itself checks or makes: identities, ids, hashes, instants as text. All others are somebody's text. */
const identities = /^(did|issuer|subject|from|to|asker|executor|author|owner|audience|root|holder|by|expected|found|offered|key|self|user|on)$/
const listsOfIdentities = /^(path|keys|signers|members|admins|recipients|dids|lost)$/
const ids = /^(id|hash|fingerprint|statement|statements|attestations|revoked|head|heads|traceId|replyTo|group|epoch|receipt|checkpoint|request|.*Hash|.*Id)$/
const instants = /(At|Seen|since|until|expires|issued|time|Until|oldest|newest)$/

/**
 * A double of the API for tests of what reads it: replies have the shapes the node says its replies have, lists are full, and every text in
 * them that a stranger could have chosen is one of `texts`. It knows nothing of what the calls mean.
 */
export function createApiDouble({ openApi, texts, items, now }: DoubleOptions): ApiDouble {
  const random = createSeededRandom(6)
  const dids = Array.from({ length: items }, () => didFromKey(random.bytes(32)))
  const served = new Set<string>()
  const counts = new Map<string, number>()
  let count = 0

  function text(key: string): string {
    // Each field goes through the texts on its own, so that no two rows of a list are called the same.
    const at = counts.get(key) ?? Array.from(key).reduce((sum, char) => sum + char.charCodeAt(0) * 7, 0)
    counts.set(key, at + 1)
    const chosen = texts[at % texts.length] ?? ''
    served.add(chosen)
    return chosen
  }

  function made(schema: Schema, key: string, index: number): unknown {
    if (schema.const !== undefined) return schema.const
    if (schema.enum !== undefined) return schema.enum[index % schema.enum.length]
    const choices = (schema.anyOf ?? schema.oneOf)?.filter(({ type }) => type !== 'null')
    if (choices !== undefined && choices.length > 0) return made(choices[index % choices.length] ?? {}, key, index)
    if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map((part) => made(part, key, index)))
    const type =
      typeof schema.type === 'string' ? schema.type : (schema.type?.find((one) => one !== 'null') ?? (schema.properties === undefined ? 'string' : 'object'))
    if (type === 'object') return record(schema, key, index)
    if (type === 'array') {
      if (schema.prefixItems !== undefined) return schema.prefixItems.map((item, at) => made(item, key, at))
      return Array.from({ length: items }, (_, at) => made(schema.items ?? {}, key, at))
    }
    if (type === 'boolean') return index % 2 === 0
    if (type === 'integer' || type === 'number') return figure(schema, key, index)
    if (schema.pattern?.includes('0-9a-f') === true || ids.test(key)) return (++count).toString(16).padStart(64, '0')
    const [one, next] = [dids[index % items] ?? '', dids[(index + 1) % items] ?? '']
    if (key === 'peerId') return peerIdFromDid(one as ReturnType<typeof didFromKey>)
    if (identities.test(key)) return key === 'subject' || key === 'to' ? next : one
    return listsOfIdentities.test(key) ? one : text(key)
  }

  function record(schema: Schema, key: string, index: number): unknown {
    const own = Object.entries(schema.properties ?? {}).map(([name, part]) => [name, made(part, name, index)] as const)
    const open = typeof schema.additionalProperties === 'object' && schema.properties === undefined ? schema.additionalProperties : undefined
    const others = open === undefined ? [] : (key === 'names' ? dids : ['one', 'two', text('field')]).map((name, at) => [name, made(open, key, at)] as const)
    return Object.fromEntries([...own, ...others])
  }

  function figure({ minimum = 0, maximum = Infinity }: Schema, key: string, index: number): number {
    if (instants.test(key)) return now - 60_000 * (index + 1)
    if (/level/i.test(key)) return (index % 6) - 1
    return Math.min(maximum, Math.max(minimum > Number.MIN_SAFE_INTEGER ? minimum : 0, index + 1))
  }

  return {
    served,
    dids,
    reply(method, path) {
      const parts = path.split('/')
      const found = Object.entries(openApi.paths).find(([template]) => {
        const wanted = template.split('/')
        return wanted.length === parts.length && wanted.every((part, at) => part.startsWith('{') || part === parts[at])
      })
      const schema = found?.[1][method.toLowerCase()]?.responses?.['200']?.content?.['application/json']?.schema
      return schema === undefined ? undefined : made(schema, '', 0)
    },
  }
}
