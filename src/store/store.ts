export interface PutOp {
  readonly type: 'put'
  readonly key: string
  readonly value: Uint8Array
}
export interface DeleteOp {
  readonly type: 'del'
  readonly key: string
}
export type StoreOp = PutOp | DeleteOp

export interface Range {
  readonly gte?: string
  readonly gt?: string
  readonly lt?: string
  readonly lte?: string
  readonly reverse?: boolean
  readonly limit?: number
}

/** Ordered keys (by UTF-8 bytes) to bytes. One process owns a store. All calls throw ERR_STORE_CLOSED after close, ERR_STORE_FAILED when the disk fails. */
export interface Store {
  get(key: string): Promise<Uint8Array | undefined>
  has(key: string): Promise<boolean>
  /** Entries in key order; a snapshot of the moment the iteration starts. */
  range(range: Range): AsyncIterable<readonly [key: string, value: Uint8Array]>
  /** All or nothing, visible to the next read, on disk some time later. */
  batch(ops: readonly StoreOp[]): Promise<void>
  /** All or nothing, and synced to disk when it resolves. Calls made close together share one sync; their order is kept. */
  durable(ops: readonly StoreOp[]): Promise<void>
  /** The same store under a key prefix: `store.sub('inbox')` keeps its keys under `inbox/`. */
  sub(prefix: string): Store
  /** The same operations under their full keys, for one batch on the root store that spans several sub stores. */
  qualify(ops: readonly StoreOp[]): readonly StoreOp[]
  /** Ends the root store once; on a sub store it does nothing. */
  close(): Promise<void>
}

export const put = (key: string, value: Uint8Array): PutOp => ({ type: 'put', key, value })
/** A put whose value is made when it is first asked for: of many writes of one thing that only the last is made of, the others cost nothing. */
export function putLater(key: string, make: () => Uint8Array): PutOp {
  let made: Uint8Array | undefined
  return {
    type: 'put',
    key,
    get value() {
      return (made ??= make())
    },
  }
}
export const del = (key: string): DeleteOp => ({ type: 'del', key })
