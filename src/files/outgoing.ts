import { type Audit, fileSent } from '../audit/index.ts'
import {
  base64,
  type Clock,
  dayMs,
  type Did,
  equal,
  type ErrorCode,
  hex,
  type Logger,
  MeshError,
  minuteMs,
  type Random,
  secondMs,
  type SignalOption,
  toMeshError,
} from '../base/index.ts'
import { type PrekeyBundle, sealBox } from '../envelope/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../identity/index.ts'
import type { Host } from '../net/index.ts'
import { bodyBytesMax, chunkBytes, offerCodec, offerLifetimeMsMax, pushStream, streamReceiptCodec, streamReceiptLifetimeMs } from '../protocols/stream/index.ts'
import { del, put, type Store } from '../store/index.ts'
import { createQueue } from './queue.ts'
import { outgoingCodec, type OutgoingRecord, pathCharsMax } from './records.ts'
import { type BodySource, checkMark, chunksOf, fileSource, hashBody, markOf } from './source.ts'
import type { Keys, OutgoingTransfer } from './transfers.ts'

/** Transfers sent at a time; the others wait. Source: stream/v1 section 6. */
export const sendingAtOnceMax = 8
/** Of these, to one receiver. Source: stream/v1 section 6. */
export const sendingPerReceiverMax = 2
/** Transfers that wait or run; more are refused. */
export const outgoingMax = 10_000
/** Transfers that ended and are still listed. */
export const outgoingEndedMax = 1_000
/** A transfer is tried for this long unless the caller says otherwise, and at most this long. Source: stream/v1 section 4. */
export const transferLifetimeMsMax = 7 * dayMs
/** First and longest pause before the next attempt. */
export const resendMsMin = secondMs
export const resendMsMax = 5 * minuteMs
/** Bodies that came to other bytes there than here, before we stop trying. */
export const spoiledTriesMax = 3
/** Attempts that may find nobody receiving before a caller that does not wait is told so: the other side may be about to. */
const notReceivingTries = 3
const updatesWaitingMax = 64

/** Refusals that no later attempt changes. */
const lasting: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_FILE_CHANGED',
  'ERR_POLICY_DENIED',
  'ERR_TRUST_LOW',
  'ERR_REFUSED',
  'ERR_CAPABILITY_DENIED',
  'ERR_WIRE_TOO_LARGE',
  'ERR_RECEIPT_INVALID',
])

export interface OutgoingOptions {
  readonly host: Host
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  readonly store: Store
  readonly logger: Logger
  readonly keys: Keys
  /** The receiver's bundle; also makes sure it has seen our hello and so our evidence. */
  bundleOf(peer: Did, options: SignalOption): Promise<PrekeyBundle>
}

export interface SendFileOptions extends SignalOption {
  /** Name for the receiver; the file's own unless given. */
  readonly name?: string
  readonly mediaType?: string
  /** How long it is tried. */
  readonly lifetimeMs?: number
  /** Go on until it is over; otherwise the first attempt that ends without a receipt ends the answer, and the transfer stays queued. */
  readonly wait?: boolean
}

/** The sending side: durable transfers, tried until they are received or expire. */
export interface Outgoing {
  /**
   * Sends a file, by its path or as a body that can be opened at any place (that one does not survive this process).
   * Yields how far it is, the last time how it stands. Leaving the loop stops watching, not sending.
   * @throws ERR_USAGE, ERR_WIRE_TOO_LARGE, ERR_OVERLOADED, ERR_STORE_FAILED
   */
  send(to: Did, what: string | BodySource, options?: SendFileOptions): AsyncGenerator<OutgoingTransfer>
  list(): readonly OutgoingTransfer[]
  /** Ends a transfer; false when there is none that goes on. */
  cancel(id: string): Promise<boolean>
  /** Tries what is queued for this peer now. */
  wake(peer: Did): void
  stop(): Promise<void>
}

interface Job {
  record: OutgoingRecord
  readonly source: BodySource
  readonly isDurable: boolean
  nextAt: number
  failures: number
  spoiled: number
  /** Counts attempts that ended. */
  ended: number
  running: AbortController | undefined
  /** The peer came while an attempt ran: that one may still look for it where it was. */
  isWoken: boolean
  readonly watchers: Set<() => void>
}

export async function openOutgoing({ host, keyring, clock, random, audit, store: root, logger, keys, bundleOf }: OutgoingOptions): Promise<Outgoing> {
  const store = root.sub('files').sub('out')
  const jobs = new Map<string, Job>()
  const stopping = new AbortController()
  const attempts = new Set<Promise<void>>()
  let cancelTimer: () => void = () => undefined

  const jobOf = (record: OutgoingRecord, source: BodySource, isDurable: boolean): Job => ({
    record,
    source,
    isDurable,
    nextAt: 0,
    failures: 0,
    spoiled: 0,
    ended: 0,
    running: undefined,
    isWoken: false,
    watchers: new Set(),
  })
  for await (const [id, value] of store.range({})) {
    const record = outgoingCodec.decode(value)
    jobs.set(id, jobOf(record.status === 'sending' ? { ...record, status: 'queued' } : record, fileSource(record.path, record.size), true))
  }

  const idOf = ({ record }: Job): string => hex(record.transfer)
  const isOpen = ({ record }: Job): boolean => record.status === 'queued' || record.status === 'sending'
  const opsOf = (job: Job) => (job.isDurable ? store.qualify([put(idOf(job), outgoingCodec.encode(job.record))]) : [])
  function change(job: Job, fields: Partial<OutgoingRecord>): void {
    job.record = { ...job.record, ...fields }
    for (const tell of job.watchers) tell()
  }
  /** Known for good; what is not durable stays in memory. */
  async function keep(job: Job, fields: Partial<OutgoingRecord>): Promise<void> {
    change(job, fields)
    await root.durable(opsOf(job))
  }

  /** Starts what is due and sees to it that the rest is. */
  function pump(): void {
    cancelTimer()
    if (stopping.signal.aborted) return
    const now = clock.now()
    const open = [...jobs.values()].filter((job) => isOpen(job) && job.running === undefined)
    for (const job of open.toSorted((a, b) => a.nextAt - b.nextAt)) {
      if (job.record.expiresAt <= now) settle(job, keep(job, { status: 'expired' }))
      else if (job.nextAt <= now && hasPlace(job)) {
        job.running = new AbortController()
        job.isWoken = false
        settle(job, attempt(job, job.running.signal))
      }
    }
    const next = Math.min(
      ...open.filter((job) => job.running === undefined && isOpen(job)).map((job) => Math.min(Math.max(job.nextAt, now + 50), job.record.expiresAt)),
    )
    if (Number.isFinite(next)) cancelTimer = clock.after(Math.max(1, next - now), pump)
  }
  function hasPlace({ record }: Job): boolean {
    const running = [...jobs.values()].filter((job) => job.running !== undefined)
    return running.length < sendingAtOnceMax && running.filter((job) => job.record.to === record.to).length < sendingPerReceiverMax
  }
  /** Runs in the background; whoever waits for it hears of its end. */
  function settle(job: Job, run: Promise<void>): void {
    const done = run
      .catch((error: unknown) => logger.error('a transfer could not be kept', { id: idOf(job), code: toMeshError(error).code }))
      .finally(() => {
        attempts.delete(done)
        job.running = undefined
        job.ended++
        change(job, {})
        pump()
      })
    attempts.add(done)
  }

  async function attempt(job: Job, own: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([own, stopping.signal])
    change(job, { status: 'sending', tries: job.record.tries + 1 })
    try {
      await deliver(job, signal)
    } catch (error) {
      if (stopping.signal.aborted || !isOpen(job)) return
      await defer(job, toMeshError(error))
    }
  }
  async function deliver(job: Job, signal: AbortSignal): Promise<void> {
    const { to, transfer, name, size, hash, mediaType, path } = job.record
    if (job.isDurable) await checkMark(path, job.record)
    const secret = random.bytes(32)
    const payload = offerCodec.encode({ version: 1, transfer, name, size, hash, chunkBytes, mediaType, secret })
    const key = await keys.current(to, { signal })
    const bundle = await bundleOf(key, { signal })
    const issuedAt = clock.now()
    const offer = signStatement(
      'stream-offer',
      { to: key, type: 'stream_offer', payload, issuedAt, expiresAt: issuedAt + offerLifetimeMsMax },
      { keyring, random },
    )
    const bytes = await pushStream(host, key, {
      sealed: sealBox(offer.bytes, { bundle, now: clock.now(), random }),
      secret,
      offerHash: offer.hash,
      chunks: (cursor) => chunksOf(job.source, cursor),
      onKept: (cursor) => {
        job.failures = 0
        change(job, { cursor: Math.min(cursor, size) })
      },
      clock,
      signal,
    })
    const receipt = openStreamReceipt(bytes, clock.now(), { offer, transfer, size, hash })
    change(job, { status: 'acknowledged', cursor: size, code: '', message: '', receipt: receipt.bytes })
    await audit.record(fileSent({ did: keyring.identity, to, id: transfer, bytes: size, bodyHash: hash, receiptHash: receipt.hash }), opsOf(job))
    await forgetOldest()
  }
  async function defer(job: Job, { code, message, details }: MeshError): Promise<void> {
    if (code === 'ERR_FILE_HASH') job.spoiled++
    const isLasting = lasting.has(code) || job.spoiled >= spoiledTriesMax
    const hint = details?.['retryAfterMs']
    const pause = Math.min(resendMsMax, resendMsMin * 2 ** Math.min(job.failures++, 16)) * (0.75 + random.fraction() / 2)
    const isHinted = typeof hint === 'number'
    job.nextAt = clock.now() + (job.isWoken && !isHinted ? 0 : Math.min(resendMsMax, Math.max(pause, isHinted ? hint : 0)))
    await keep(job, { status: isLasting ? 'failed' : 'queued', code, message: message.slice(0, 512) })
  }
  /** Ended transfers past the limit leave the list, the oldest first. */
  async function forgetOldest(): Promise<void> {
    const ended = [...jobs.values()].filter((job) => !isOpen(job)).toSorted((a, b) => a.record.createdAt - b.record.createdAt)
    for (const job of ended.slice(0, Math.max(0, ended.length - outgoingEndedMax))) {
      jobs.delete(idOf(job))
      await store.batch([del(idOf(job))])
    }
  }

  async function enqueue(to: Did, what: string | BodySource, { name, mediaType, lifetimeMs = transferLifetimeMsMax, signal }: SendFileOptions): Promise<Job> {
    const isPath = typeof what === 'string'
    const mark = isPath ? await markOf(what) : { size: what.size, mtimeMs: 0 }
    const source = isPath ? fileSource(what, mark.size) : what
    if (mark.size > bodyBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${source.name} is over ${bodyBytesMax} bytes`)
    if (isPath && what.length > pathCharsMax) throw new MeshError('ERR_USAGE', 'the path is too long')
    if ([...jobs.values()].filter(isOpen).length >= outgoingMax) throw new MeshError('ERR_OVERLOADED', `${outgoingMax} transfers wait already`)
    const hash = await hashBody(source, { signal })
    if (isPath) await checkMark(what, mark)
    const createdAt = clock.now()
    const record: OutgoingRecord = {
      version: 1,
      to,
      transfer: random.bytes(16),
      name: (name ?? source.name).slice(0, 255).toWellFormed(),
      size: mark.size,
      hash,
      mediaType,
      path: isPath ? what : '',
      mtimeMs: mark.mtimeMs,
      status: 'queued',
      cursor: 0,
      createdAt,
      expiresAt: createdAt + Math.min(lifetimeMs, transferLifetimeMsMax),
      tries: 0,
      code: '',
      message: '',
      receipt: undefined,
    }
    const job = jobOf(record, source, isPath)
    await keep(job, {})
    jobs.set(idOf(job), job)
    return job
  }

  pump()
  return {
    async *send(to, what, options = {}) {
      const { signal, wait = false } = options
      const job = await enqueue(keys.subject(to), what, options)
      const updates = createQueue<OutgoingTransfer>(updatesWaitingMax)
      const tell = (): void => {
        updates.push(viewOf(job))
        if (!isOpen(job) || (!wait && hasHadItsChance(job)) || stopping.signal.aborted) updates.end()
      }
      const leave = (): void => updates.end()
      job.watchers.add(tell)
      signal?.addEventListener('abort', leave, { once: true })
      stopping.signal.addEventListener('abort', leave, { once: true })
      try {
        pump()
        yield* updates.read()
        yield viewOf(job)
      } finally {
        job.watchers.delete(tell)
        signal?.removeEventListener('abort', leave)
        stopping.signal.removeEventListener('abort', leave)
      }
    },
    list: () => [...jobs.values()].toSorted((a, b) => a.record.createdAt - b.record.createdAt).map(viewOf),
    async cancel(id) {
      const job = jobs.get(id)
      if (job === undefined || !isOpen(job)) return false
      await keep(job, { status: 'cancelled' })
      job.running?.abort(new MeshError('ERR_ABORTED', 'the transfer was cancelled'))
      return true
    },
    wake(peer) {
      const to = keys.subject(peer)
      for (const job of jobs.values()) {
        if (job.record.to !== to) continue
        job.nextAt = 0
        job.isWoken = true
      }
      pump()
    },
    async stop() {
      stopping.abort(new MeshError('ERR_STOPPED', 'the node is stopping'))
      cancelTimer()
      await Promise.all(attempts)
    },
  }
}

const hasHadItsChance = ({ ended, record }: Job): boolean => ended >= (record.code === 'ERR_NOT_RECEIVING' ? notReceivingTries : 1)

interface ExpectedStreamReceipt {
  readonly offer: Signed
  readonly transfer: Uint8Array
  readonly size: number
  readonly hash: Uint8Array
}

/** Verifies a receiver's receipt against the offer it must be about. Source: stream/v1 section 5. @throws ERR_RECEIPT_INVALID, ERR_STATEMENT_*, ERR_WIRE_* */
export function openStreamReceipt(bytes: Uint8Array, now: number, { offer, transfer, size, hash }: ExpectedStreamReceipt): Signed {
  const signed = openStatement('stream-receipt', bytes, { now, lifetimeMsMax: streamReceiptLifetimeMs })
  const { statement } = signed
  const facts = streamReceiptCodec.decode(statement.payload)
  const [ref, ...others] = statement.refs
  const fits =
    statement.from === offer.statement.to &&
    statement.to === offer.statement.from &&
    ref !== undefined &&
    others.length === 0 &&
    equal(ref, offer.hash) &&
    equal(facts.transfer, transfer) &&
    equal(facts.hash, hash) &&
    facts.size === size
  if (!fits) throw new MeshError('ERR_RECEIPT_INVALID', 'the receipt is about another transfer')
  return signed
}

function viewOf({ record }: Job): OutgoingTransfer {
  const { to, transfer, name, size, hash, status, cursor, tries, expiresAt, code, message, receipt } = record
  return {
    direction: 'out',
    id: hex(transfer),
    to,
    name,
    bytes: size,
    hash: hex(hash),
    status,
    done: cursor,
    tries,
    expiresAt,
    ...(code === '' ? {} : { error: { code, message } }),
    ...(receipt === undefined ? {} : { receipt: base64(receipt) }),
  }
}
