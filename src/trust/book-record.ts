import { equal, MeshError, utf8 } from '../base/index.ts'
import type { Keyring } from '../identity/index.ts'
import { put, type StoreOp } from '../store/index.ts'
import { bytesOf, bytesUpTo, codec, instant, oneOf, row } from '../wire/index.ts'
import { readTrustStatement, type SignedItem, signedKinds, type TrustStatement, trustStatementBytesMax } from './statements.ts'
import { readWarrant, type Warrant, warrantBytesMax } from './warrant.ts'

/** A verified statement that is kept. */
export interface Held {
  readonly item: SignedItem
  readonly statement: TrustStatement
  readonly firstSeenAt: number
}

/** A verified warrant that is kept. */
export interface HeldWarrant {
  readonly warrant: Warrant
  readonly firstSeenAt: number
}

const storedCodec = codec('stored statement', row({ kind: oneOf(signedKinds), firstSeenAt: instant, bytes: bytesUpTo(trustStatementBytesMax) }), 2_048)
const storedWarrantCodec = codec('stored warrant', row({ firstSeenAt: instant, bytes: bytesUpTo(warrantBytesMax) }), 4_096)
const timeCodec = codec('highest time', row({ at: instant }), 16)
const markedCodec = codec('marked record', row({ mark: bytesOf(32), content: bytesUpTo(4_096) }), 4_608)
/** CBOR of a list of 3 begins so: a statement as it was written before there were marks. */
const unmarkedFirstByte = 0x83

/** Statements stand under the key that signed them; everything else under names that no DID begins with. */
export const statementsEnd = '~'
export const timeKey = '~time'
export const warrantsRange = { gte: '~warrant/', lt: '~warrant0' } as const

export const recordKeyOf = ({ kind, seq, signed }: TrustStatement): string =>
  `${signed.statement.from}/${kind === 'head' ? 'head' : String(seq).padStart(16, '0')}`
const warrantKeyOf = ({ key, id }: Warrant): string => `~warrant/${key}/${id}`

/** What is on disk. A mark says that this node verified it and wrote it in this place, so that reading costs no signature and no turned bit passes. */
export interface BookRecords {
  put(held: Held): StoreOp
  /** `isMarked` false asks to write it again. @throws ERR_TRUST_DAMAGED */
  open(key: string, value: Uint8Array): { readonly held: Held; readonly isMarked: boolean }
  putWarrant(held: HeldWarrant): StoreOp
  /** @throws ERR_TRUST_DAMAGED */
  openWarrant(key: string, value: Uint8Array): HeldWarrant
  putTime(at: number): StoreOp
  /** @throws ERR_TRUST_DAMAGED */
  openTime(value: Uint8Array): number
}

export function createBookRecords(keyring: Pick<Keyring, 'marker'>): BookRecords {
  const marker = keyring.marker('trust')
  const markOf = (key: string, content: Uint8Array): Uint8Array => marker(utf8(`${key}\0`), content)
  const marked = (key: string, content: Uint8Array): StoreOp => put(key, markedCodec.encode({ mark: markOf(key, content), content }))
  function read<T>(key: string, value: Uint8Array, meaning: (content: Uint8Array) => T): T {
    try {
      const { mark, content } = markedCodec.decode(value)
      if (!equal(mark, markOf(key, content))) throw new MeshError('ERR_TRUST_DAMAGED', `${key} is not as it was written`)
      return meaning(content)
    } catch (cause) {
      throw damaged(key, cause)
    }
  }
  return {
    put: (held) => marked(recordKeyOf(held.statement), storedCodec.encode({ ...held.item, firstSeenAt: held.firstSeenAt })),
    open(key, value) {
      if (value[0] === unmarkedFirstByte) return { held: openUnmarked(key, value), isMarked: false }
      return { held: read(key, value, (content) => meaningOf(content).held), isMarked: true }
    },
    putWarrant: ({ warrant, firstSeenAt }) => marked(warrantKeyOf(warrant), storedWarrantCodec.encode({ firstSeenAt, bytes: warrant.bytes })),
    openWarrant: (key, value) =>
      read(key, value, (content) => {
        const { firstSeenAt, bytes } = storedWarrantCodec.decode(content)
        return { warrant: readWarrant(bytes).warrant, firstSeenAt }
      }),
    putTime: (at) => marked(timeKey, timeCodec.encode({ at })),
    openTime: (value) => read(timeKey, value, (content) => timeCodec.decode(content).at),
  }
}

function meaningOf(content: Uint8Array): { readonly held: Held; verify(): void } {
  const { kind, bytes, firstSeenAt } = storedCodec.decode(content)
  const item = { kind, bytes }
  const { statement, verify } = readTrustStatement(item)
  return { held: { item, statement, firstSeenAt }, verify }
}

function openUnmarked(key: string, value: Uint8Array): Held {
  try {
    const { held, verify } = meaningOf(value)
    verify()
    if (recordKeyOf(held.statement) !== key) throw new MeshError('ERR_TRUST_DAMAGED', `${key} holds another statement`)
    return held
  } catch (cause) {
    throw damaged(key, cause)
  }
}

const damaged = (key: string, cause: unknown): unknown =>
  cause instanceof MeshError && cause.code !== 'ERR_TRUST_DAMAGED' ? new MeshError('ERR_TRUST_DAMAGED', `${key} cannot be read`, { cause }) : cause
