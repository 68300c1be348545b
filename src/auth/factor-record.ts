import { equal, hourMs, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, codec, instant, intWithin, listOf, nullable, row, uintUpTo } from '../wire/index.ts'
import { codeTriesHourMax, noTries, type Tries } from './limits.ts'
import { recoveryCodesCount } from './recovery-codes.ts'

/** Devices remembered for one person; the one not seen for longest goes first. Source: auth/v1 section 13. */
export const devicesMax = 16
/** Failed attempts remembered for one account. */
export const failuresMax = 32
/** Records that all names without an account share. */
export const namelessAccounts = 256

export interface Device {
  readonly hash: Uint8Array
  readonly since: number
  readonly seenAt: number
}

/** What is kept of the factors of one account. Times are ms since 1970. */
export interface FactorRecord {
  /** When an app was enrolled. */
  readonly totpSince: number | undefined
  /** The newest time step whose code was taken. */
  readonly totpStep: number
  readonly recoveryMadeAt: number | undefined
  readonly recoveryHashes: readonly Uint8Array[]
  readonly devices: readonly Device[]
  readonly tries: Tries
  /** Failed attempts with any factor, oldest first. */
  readonly failures: readonly number[]
  readonly lastLoginAt: number | undefined
}

export const noFactors: FactorRecord = {
  totpSince: undefined,
  totpStep: -1,
  recoveryMadeAt: undefined,
  recoveryHashes: [],
  devices: [],
  tries: noTries,
  failures: [],
  lastLoginAt: undefined,
}

const stored = codec<FactorRecord>(
  'factor record',
  row({
    totpSince: nullable(instant),
    totpStep: intWithin(-1, Number.MAX_SAFE_INTEGER),
    recoveryMadeAt: nullable(instant),
    recoveryHashes: listOf(bytesOf(32), recoveryCodesCount),
    devices: listOf(row({ hash: bytesOf(32), since: instant, seenAt: instant }), devicesMax),
    tries: row({ at: listOf(instant, codeTriesHourMax), failed: uintUpTo(Number.MAX_SAFE_INTEGER) }),
    failures: listOf(instant, failuresMax),
    lastLoginAt: nullable(instant),
  }),
  4_096,
)

/** The account whose record an attempt is counted on: a person's, or one of those that names nobody has share. */
export const accountOf = (userId: string | undefined, named: string): string =>
  userId ?? `-${((sha256(utf8(named.slice(0, 256)))[0] ?? 0) % namelessAccounts).toString(16)}`

export async function readFactors(store: Store, account: string): Promise<FactorRecord> {
  const bytes = await store.get(account)
  return bytes === undefined ? noFactors : stored.decode(bytes)
}

export const putFactors = (account: string, record: FactorRecord): StoreOp => put(account, stored.encode(record))

/** Failed attempts in the hour before `now`. */
export const failedLately = ({ failures }: FactorRecord, now: number): number => failures.filter((at) => at > now - hourMs).length

export const withFailure = (record: FactorRecord, now: number): FactorRecord => ({
  ...record,
  failures: [...record.failures.filter((at) => at > now - hourMs), now].slice(-failuresMax),
})

/** After a login from a device: known from now on, and seen. */
export function withDevice(record: FactorRecord, hash: Uint8Array, now: number): FactorRecord {
  const known = record.devices.find((device) => equal(device.hash, hash))
  const others = record.devices.filter((device) => device !== known).toSorted((a, b) => b.seenAt - a.seenAt)
  return { ...record, devices: [{ hash, since: known?.since ?? now, seenAt: now }, ...others].slice(0, devicesMax) }
}
