import { MeshError } from '../base/index.ts'
import { put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, row, textUpTo, uintUpTo } from '../wire/index.ts'
import { checkpointBytesMax } from './checkpoint.ts'
import { hashBytesLength, joinHashes, type ReadTile, splitHashes, type Tile } from './tree.ts'

/** Every key of the log starts with this; nobody else writes there. Source: audit/v1 section 5. */
export const keyPrefix = 'audit/'

const digits = (value: number): string => value.toString().padStart(16, '0')
const entryPrefix = `${keyPrefix}entry/`

/** Entries sort by number, and the head sorts right behind them: one range read sees both at one moment. */
export const entryKey = (seq: number): string => entryPrefix + digits(seq)
export const headKey = `${keyPrefix}head`
export const tileKey = (level: number, index: number): string => `${keyPrefix}tile/${level.toString().padStart(2, '0')}/${digits(index)}`

/** Where the log ends. Written with every group of entries. */
export interface StoredHead {
  readonly size: number
  /** Leaf hash of the last entry. */
  readonly last: Uint8Array
  readonly checkpoint: string
}

export const headCodec = codec<StoredHead>(
  'audit head',
  row({ size: uintUpTo(Number.MAX_SAFE_INTEGER), last: bytesOf(hashBytesLength), checkpoint: textUpTo(checkpointBytesMax) }),
  checkpointBytesMax + 64,
)

/** Undefined when it does not parse. */
export function readHead(bytes: Uint8Array): StoredHead | undefined {
  try {
    return headCodec.decode(bytes)
  } catch {
    return undefined
  }
}

export const putTile = ({ level, index, hashes }: Tile): StoreOp => put(tileKey(level, index), joinHashes(hashes))

/** @throws ERR_AUDIT_TAMPERED when a tile is missing, shorter than asked for or not whole */
export const tileReader =
  (store: Store): ReadTile =>
  async (level, index, length) => {
    const hashes = splitHashes((await store.get(tileKey(level, index))) ?? new Uint8Array())
    if (hashes === undefined || hashes.length < length) throw new MeshError('ERR_AUDIT_TAMPERED', `tree hashes at level ${level}, tile ${index} are missing`)
    return hashes
  }
