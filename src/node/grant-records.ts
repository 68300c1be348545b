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
  /** With what a person signed of it: auth/v1 section 7. */
  keep(record: GrantRecord, approval?: Uint8Array): readonly StoreOp[]
  approvalOf(id: string): Promise<Uint8Array | undefined>
  forget(record: GrantRecord): readonly StoreOp[]
  /** After the batch is on disk. */
  remember(record: GrantRecord): void
  drop(record: GrantRecord): void
}

const approvalKey = (id: string): string => `approved/${id}`

const keyOf = ({ kind, chain }: Pick<GrantRecord, 'kind' | 'chain'>): string => `${kind}/${chain.token.id}`

export async function openGrantRecords(store: Store, open: ReturnType<typeof createChainOpener>): Promise<GrantRecords> {
  const records = new Map<string, GrantRecord>()
  for (const kind of ['issued', 'held'] as const) {
    for await (const [id, value] of store.sub(kind).range({})) {
      const { chain, keptAt } = recordCodec.decode(value)
      records.set(`${kind}/${id}`, { kind, chain: open(chain), keptAt })
    }
  }
  return {
    list: (kind) => [...records.values()].filter((record) => kind === undefined || record.kind === kind),
    find: (kind, id) => records.get(`${kind}/${id}`),
    keep: (record, approval) =>
      store.qualify([
        put(keyOf(record), recordCodec.encode({ version: 1, chain: record.chain.bytes, keptAt: record.keptAt })),
        ...(approval === undefined ? [] : [put(approvalKey(record.chain.token.id), approval)]),
      ]),
    approvalOf: (id) => store.get(approvalKey(id)),
    forget: (record) => store.qualify([del(keyOf(record)), ...(record.kind === 'issued' ? [del(approvalKey(record.chain.token.id))] : [])]),
    remember: (record) => void records.set(keyOf(record), record),
    drop: (record) => void records.delete(keyOf(record)),
  }
}
