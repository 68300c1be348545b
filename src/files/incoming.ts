import { stat } from 'node:fs/promises'
import { isAbsolute } from 'node:path'
import { type Audit, fileRefused } from '../audit/index.ts'
import { type Clock, createTally, dayMs, type Did, hex, hourMs, MeshError, minuteMs, secondMs, toMeshError } from '../base/index.ts'
import { openBox, type PrekeyRing, type ReplayGuard } from '../envelope/index.ts'
import { type Keyring, openStatement, type Signed } from '../identity/index.ts'
import type { Decision } from '../policy/index.ts'
import { type BodySink, type Offer, offerCodec, offerLifetimeMsMax, type OpenedOffer } from '../protocols/stream/index.ts'
import type { Intake, IntakeEntry } from './intake.ts'
import { partPath, removeFile } from './part-file.ts'
import { createQueue } from './queue.ts'
import { pathCharsMax } from './records.ts'
import type { IncomingTransfer, Keys, ReceivedFile } from './transfers.ts'

/** Files taken at a time; more are refused with a time to come back. Source: stream/v1 section 6. */
export const filesAtOnceMax = 16
/** Of these, one sender may have so many. Source: stream/v1 section 6. */
export const filesPerSenderMax = 4
/** Unfinished files kept, running or not. Source: stream/v1 section 6. */
export const partsMax = 256
/** Of these, one sender may have so many; one more takes the place of the one that rested longest. Source: stream/v1 section 6. */
export const partsPerSenderMax = 16
/** Bytes of one sender: those of its unfinished files, whole, and of what it finished within a day. Source: stream/v1 section 6. */
export const senderBytesMax = 64 * 1024 ** 3
/** Bytes of all unfinished files, whole. Source: stream/v1 section 6. */
export const unfinishedBytesMax = 256 * 1024 ** 3
/** Space that receiving leaves free on the disk. Source: stream/v1 section 6. */
export const diskReserveBytes = 256 << 20
/** Refusals of one sender written down per minute; the rest are only refused. */
export const fileRefusalsNotedMax = 60
/** Files that came and nobody has read of yet. */
export const receivedUnreadMax = 1_024
/** Files that came and are listed, the last ones. */
export const receivedListedMax = 1_000
const retryAfterMs = secondMs

export interface IncomingOptions {
  readonly keyring: Keyring
  readonly clock: Clock
  readonly prekeys: PrekeyRing
  readonly replay: ReplayGuard
  readonly audit: Audit
  readonly intake: Intake
  readonly keys: Pick<Keys, 'subject'>
  /** Bytes free on the disk of a folder. */
  freeBytes(dir: string): Promise<number>
  /** May the sender who uses this key give us files? */
  decide(key: Did): Promise<Decision>
  /** A file came, for bystanders. */
  onFile(file: ReceivedFile): void
}

export interface ReceiveOptions {
  /** Absolute path of the folder that gets the files. */
  readonly dir: string
  /** Only from these; from everybody whom policy allows unless given. */
  readonly from?: readonly Did[]
  readonly signal?: AbortSignal | undefined
}

/** Files as they come, each once. Leaving the loop does not end it; the signal or disposal does. */
export interface Receiving extends AsyncIterable<ReceivedFile>, AsyncDisposable {}

/** The receiving side: takes files while somebody asks for them. */
export interface Incoming {
  /** Opens and verifies an offer; nothing is written yet. @throws a coded refusal */
  open(peer: Did, sealed: Uint8Array): Promise<OpenedOffer>
  /**
   * Takes files into a folder from when it resolves until the signal aborts or the caller leaves; afterwards offers are refused with ERR_NOT_RECEIVING.
   * @throws ERR_USAGE for a folder that is none, or while another folder receives
   */
  receive(options: ReceiveOptions): Promise<Receiving>
  list(): readonly IncomingTransfer[]
  /** Stops a transfer and throws its part away; false when there is none. */
  cancel(id: string): Promise<boolean>
  stop(): Promise<void>
}

interface Door {
  readonly dir: string
  readonly from: ReadonlySet<Did> | undefined
  arrived(file: ReceivedFile): void
}

interface Run {
  readonly from: Did
  readonly controller: AbortController
  readonly ended: PromiseWithResolvers<void>
}

export function createIncoming({ keyring, clock, prekeys, replay, audit, intake, keys, freeBytes, decide, onFile }: IncomingOptions): Incoming {
  let door: Door | undefined
  /** By the key of the transfer. */
  const runs = new Map<string, Run>()
  const refusals = createTally<Did>({ clock, most: fileRefusalsNotedMax, windowMs: minuteMs })
  const notReceiving = (): MeshError => new MeshError('ERR_NOT_RECEIVING', 'nobody takes files here at the moment', { details: { retryAfterMs } })

  function read(peer: Did, sealed: Uint8Array): { readonly signed: Signed; readonly offer: Offer } {
    const signed = openStatement('stream-offer', openBox(sealed, prekeys), { now: clock.now(), lifetimeMsMax: offerLifetimeMsMax })
    if (signed.statement.to !== keyring.did) throw new MeshError('ERR_STATEMENT_AUDIENCE', 'the offer is addressed to somebody else')
    if (signed.statement.from !== peer) throw new MeshError('ERR_STATEMENT_SENDER', 'the offer was signed by somebody else than the peer that carries it')
    return { signed, offer: offerCodec.decode(signed.statement.payload) }
  }
  async function openDoor(key: Did): Promise<Door> {
    if (door === undefined) throw notReceiving()
    const decision = await decide(key)
    if (!decision.allow) throw new MeshError(decision.code, decision.reason)
    if (door === undefined) throw notReceiving()
    if (door.from?.has(keys.subject(key)) === false) throw new MeshError('ERR_POLICY_DENIED', 'files are taken from others only')
    return door
  }
  /** Room for a whole body, counted before a byte of it is taken. */
  async function checkRoom(entry: IntakeEntry): Promise<void> {
    const { from, size, cursor } = entry.record
    const others = [...intake.entries.values()].filter((other) => other !== entry)
    const parts = others.filter(({ record }) => record.receivedAt === undefined)
    const own = others.filter(({ record }) => record.from === from && (record.receivedAt ?? clock.now()) > clock.now() - dayMs)
    const ownParts = parts.filter(({ record }) => record.from === from)
    if (ownParts.length >= partsPerSenderMax) {
      const [oldest] = ownParts.filter(({ live }) => live === undefined).toSorted((a, b) => a.record.touchedAt - b.record.touchedAt)
      if (oldest !== undefined) await intake.drop(oldest)
    } else if (parts.length >= partsMax) {
      throw new MeshError('ERR_OVERLOADED', 'too many files are unfinished here', { details: { retryAfterMs: minuteMs } })
    }
    if (wholeBytes(own) + size > senderBytesMax || wholeBytes(parts) + size > unfinishedBytesMax) {
      throw new MeshError('ERR_OVERLOADED', 'too many bytes are on their way here', { details: { retryAfterMs: hourMs } })
    }
    const awaited = parts.reduce((sum, { record, live }) => sum + record.size - (live ?? record.cursor), 0)
    if ((await freeBytes(entry.record.dir)) - awaited - (size - cursor) < diskReserveBytes) {
      throw new MeshError('ERR_DISK_FULL', 'too little space is left here', { details: { retryAfterMs: minuteMs } })
    }
  }
  function checkPlaces(from: Did): void {
    if (runs.size >= filesAtOnceMax || [...runs.values()].filter((run) => run.from === from).length >= filesPerSenderMax) {
      throw new MeshError('ERR_OVERLOADED', 'too many files are being taken here', { details: { retryAfterMs } })
    }
  }
  /** A newer stream of the same transfer takes over: the older one is of a connection that was cut. */
  async function takePlace(key: string, from: Did): Promise<Run> {
    for (let older = runs.get(key); older !== undefined; older = runs.get(key)) {
      older.controller.abort(new MeshError('ERR_NET_CLOSED', 'the sender came back on another stream'))
      await older.ended.promise
    }
    checkPlaces(from)
    const run: Run = { from, controller: new AbortController(), ended: Promise.withResolvers() }
    runs.set(key, run)
    return run
  }

  async function accept(signed: Signed, offer: Offer, onKept: (cursor: number) => void): Promise<BodySink> {
    const to = await openDoor(signed.statement.from)
    const from = keys.subject(signed.statement.from)
    const key = intake.keyOf(from, offer.transfer)
    const run = await takePlace(key, from)
    const leave = (): void => {
      runs.delete(key)
      run.ended.resolve()
    }
    let entry: IntakeEntry | undefined
    try {
      entry = await moved(intake.admit(from, offer, to.dir), to.dir)
      if (entry.record.receivedAt === undefined) await checkRoom(entry)
      await intake.claim(entry, replay.claim(signed))
      if (door !== to) throw notReceiving()
      const sink = await intake.sink(entry, signed, {
        signal: run.controller.signal,
        onKept,
        onReceived(file) {
          to.arrived(file)
          onFile(file)
        },
      })
      return { ...sink, close: () => sink.close().finally(leave) }
    } catch (error) {
      if (entry !== undefined) intake.release(entry)
      leave()
      throw error
    }
  }
  /** A part that was begun in another folder begins anew in this one. */
  async function moved(entry: IntakeEntry, dir: string): Promise<IntakeEntry> {
    if (entry.record.dir === dir || entry.record.receivedAt !== undefined) return entry
    await removeFile(partPath(entry.record.dir, entry.key))
    entry.record = { ...entry.record, dir, cursor: 0, final: undefined }
    return entry
  }
  async function noted<T>(signed: Signed, offer: Offer, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      const { code, message } = toMeshError(error)
      const from = keys.subject(signed.statement.from)
      if (code !== 'ERR_NOT_RECEIVING' && refusals.count(from)) {
        await audit.record(fileRefused({ did: keyring.identity, from, id: offer.transfer, code, reason: message }))
      }
      throw error
    }
  }
  function endRuns(reason: MeshError): Promise<unknown> {
    return Promise.all(
      [...runs.values()].map(({ controller, ended }) => {
        controller.abort(reason)
        return ended.promise
      }),
    )
  }

  return {
    async open(peer, sealed) {
      const { signed, offer } = read(peer, sealed)
      return {
        secret: offer.secret,
        offerHash: signed.hash,
        size: offer.size,
        accept: (onKept) => noted(signed, offer, () => accept(signed, offer, onKept)),
      }
    },
    async receive({ dir, from, signal }) {
      await checkFolder(dir)
      await intake.sweep()
      if (door !== undefined) throw new MeshError('ERR_USAGE', `files go to ${door.dir} already`, { hint: 'end the other `kindmesh receive` first' })
      const files = createQueue<ReceivedFile>(receivedUnreadMax)
      const own: Door = { dir, from: from === undefined ? undefined : new Set(from.map(keys.subject)), arrived: files.push }
      door = own
      async function end(): Promise<void> {
        signal?.removeEventListener('abort', onAbort)
        files.end()
        if (door !== own) return
        door = undefined
        await endRuns(notReceiving())
      }
      const onAbort = (): void => void end()
      signal?.addEventListener('abort', onAbort, { once: true })
      if (signal?.aborted === true) await end()
      return { [Symbol.asyncIterator]: () => files.read(), [Symbol.asyncDispose]: end }
    },
    list() {
      const all = [...intake.entries.values()]
      const received = all.filter(({ record }) => record.receivedAt !== undefined).slice(-receivedListedMax)
      return [...received, ...all.filter(({ record }) => record.receivedAt === undefined)].map(viewOf)
    },
    async cancel(id) {
      for (const [key, entry] of intake.entries) {
        if (hex(entry.record.transfer) !== id || entry.record.receivedAt !== undefined) continue
        const run = runs.get(key)
        run?.controller.abort(new MeshError('ERR_REFUSED', 'the receiver cancelled the transfer'))
        await run?.ended.promise
        await intake.drop(entry)
        return true
      }
      return false
    },
    async stop() {
      door = undefined
      await endRuns(new MeshError('ERR_NOT_RECEIVING', 'this node is stopping', { details: { retryAfterMs } }))
    },
  }
}

async function checkFolder(dir: string): Promise<void> {
  if (!isAbsolute(dir) || dir.length > pathCharsMax) throw new MeshError('ERR_USAGE', `'${dir.slice(0, 128)}' is no absolute path`)
  const found = await stat(dir).catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `the folder ${dir} cannot be opened`, { cause, hint: 'make it first' })
  })
  if (!found.isDirectory()) throw new MeshError('ERR_USAGE', `${dir} is no folder`)
}

const wholeBytes = (entries: readonly IntakeEntry[]): number => entries.reduce((sum, { record }) => sum + record.size, 0)

function viewOf({ record, live }: IntakeEntry): IncomingTransfer {
  const { from, transfer, name, size, hash, cursor, final, receivedAt } = record
  const common = { direction: 'in', id: hex(transfer), from, name, bytes: size, hash: hex(hash) } as const
  if (receivedAt !== undefined) return { ...common, status: 'received', done: size, ...(final === undefined ? {} : { path: final }) }
  return { ...common, status: live === undefined ? 'partial' : 'receiving', done: live ?? cursor }
}
