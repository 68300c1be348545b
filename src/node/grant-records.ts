import { type createChainOpener, type GrantChain, grantChainBytesMax } from '../policy/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bytesUpTo, codec, instant, literal, row } from '../wire/index.ts'

/** Tokens kept that were signed here, and that were given to this node. Source: grant/v1 section 6. */
export const grantsIssuedMax = 16_384
export const grantsHeldMax = 1_024

export type GrantKind = 'issued' | 'held'

/** A token that is kept: signed here for somebody, or given to this node. */
export interface GrantRecord {
  readonly kind: GrantKind
  readonly chain: GrantChain
  readonly keptAt: number
}

const recordCodec = codec('kept token', row({ version: literal(1), chain: bytesUpTo(grantChainBytesMax), keptAt: instant }), grantChainBytesMax + 64)

/** What is on disk of tokens, and in memory. The writes are for a durable batch of the caller's. */
export interface GrantRecords {
  list(kind?: GrantKind): readonly GrantRecord[]
  find(kind: GrantKind, id: string): GrantRecord | undefined
  keep(record: GrantRecord): readonly StoreOp[]
  forget(record: GrantRecord): readonly StoreOp[]
  /** After the batch is on disk. */
  remember(record: GrantRecord): void
  drop(record: GrantRecord): void
}

const keyOf = ({ kind, chain }: Pick<GrantRecord, 'kind' | 'chain'>): string => `${kind}/${chain.token.id}`

export async function openGrantRecords(store: Store, open: ReturnType<typeof createChainOpener>): Promise<GrantRecords> {
  const records = new Map<string, GrantRecord>()
  for await (const [key, value] of store.range({})) {
    const { chain, keptAt } = recordCodec.decode(value)
    records.set(key, { kind: key.startsWith('issued/') ? 'issued' : 'held', chain: open(chain), keptAt })
  }
  return {
    list: (kind) => [...records.values()].filter((record) => kind === undefined || record.kind === kind),
    find: (kind, id) => records.get(`${kind}/${id}`),
    keep: (record) => store.qualify([put(keyOf(record), recordCodec.encode({ version: 1, chain: record.chain.bytes, keptAt: record.keptAt }))]),
    forget: (record) => store.qualify([del(keyOf(record))]),
    remember: (record) => void records.set(keyOf(record), record),
    drop: (record) => void records.delete(keyOf(record)),
  }
}
