import { base64, type Clock, equal, type Logger, MeshError } from '../base/index.ts'
import { verify as verifySignature } from '../crypto/index.ts'
import { put, type Store, type StoreOp } from '../store/index.ts'
import { callerNow } from './caller.ts'
import { type LogOwner, openCheckpoint, type SignBytes, signCheckpoint, type VerifySignature } from './checkpoint.ts'
import { type AuditEntry, type AuditEvent, entryCodec, firstPrevHash, fit } from './entry.ts'
import { entryKey, headCodec, headKey, keyPrefix, putTile, readHead, type StoredHead, tileReader } from './layout.ts'
import { type ConsistencyProof, consistencySchema, type InclusionProof, inclusionSchema, verifyProof, writeHashes } from './proof.ts'
import { consistencyPath, emptyRoot, type GrowingTree, growTree, inclusionPath, leafHash, openTree } from './tree.ts'
import { type AuditVerdict, verifyAudit, type VerifyOptions } from './verify.ts'

/** Entries one durable batch and one signature may cover. Source: audit/v1 section 5. */
export const groupEntriesMax = 256
/** Bytes of acts one durable batch may carry; a single larger act still goes through alone. */
export const groupBytesMax = 4 * 1_024 * 1_024
/** Records waiting for the disk; more are refused with ERR_OVERLOADED, and their acts do not happen. */
export const waitingMax = 8_192
/** Entries one `tail` may ask for. */
export const tailEntriesMax = 1_000

export interface AuditOptions extends LogOwner {
  /** The root store: the ops of an act name their keys in it. The log lives under `audit/`. */
  readonly store: Store
  /** Ed25519 with the key in force of `did`. */
  readonly sign: SignBytes
  readonly verify?: VerifySignature | undefined
  readonly clock: Pick<Clock, 'now'>
  readonly logger: Logger
  /** Gets each checkpoint once it is on disk, to keep the newest outside the store. */
  readonly onCheckpoint?: ((checkpoint: string) => void) | undefined
}

export interface Audit {
  /**
   * Writes down that `event` happened and does `ops`, both or neither, synced to disk when it resolves. Entries keep the order of the calls.
   * Data that does not fit is replaced by its hash, so the content of an event never makes it fail.
   * @throws ERR_STORE_FAILED (also for records queued behind the one that failed), ERR_OVERLOADED, ERR_STOPPED; the act must not happen then
   */
  record(event: AuditEvent, ops?: readonly StoreOp[]): Promise<{ readonly seq: number }>
  /** The newest signed checkpoint. */
  checkpoint(): Promise<string>
  verify(options?: VerifyOptions): Promise<AuditVerdict>
  /** A document that shows anyone offline, by the DID alone, that an entry is in the log. @throws ERR_AUDIT_MISSING, ERR_AUDIT_TAMPERED */
  prove(seq: number): Promise<InclusionProof>
  /** Shows that the log continues the one of `oldSize` entries. @throws ERR_AUDIT_MISSING unless 1 <= oldSize <= entries */
  consistency(oldSize: number): Promise<ConsistencyProof>
  /** @throws ERR_AUDIT_MISSING, ERR_AUDIT_TAMPERED when it does not parse */
  get(seq: number): Promise<AuditEntry>
  /** Entries from `from` on, oldest first. */
  entries(range?: { readonly from?: number | undefined }): AsyncIterable<AuditEntry>
  /** The last `limit` entries, or the last before `before`; oldest first. */
  tail(page: { readonly limit: number; readonly before?: number | undefined }): Promise<readonly AuditEntry[]>
  /** Writes what is queued and takes no more. Idempotent. */
  close(): Promise<void>
}

interface Waiting {
  readonly event: AuditEvent
  readonly time: number
  readonly ops: readonly StoreOp[]
  readonly bytes: number
  readonly resolve: (recorded: { readonly seq: number }) => void
  readonly reject: (error: MeshError) => void
}

/** The log's end as it is on disk, and the tree that grows from there. */
interface End {
  readonly head: StoredHead
  readonly tree: GrowingTree
}

/**
 * Opens the log of `did` in the store, or begins it.
 * @throws ERR_AUDIT_TAMPERED when its end is not what was signed, ERR_STORE_FAILED
 */
export async function createAudit({ store, sign, verify = verifySignature, did, keys, clock, logger, onCheckpoint }: AuditOptions): Promise<Audit> {
  const read = tileReader(store)
  const opened = (await openEnd(store, { did, keys, verify })) ?? (await beginLog(store, { did, keys, sign }))
  /** The end that readers see. */
  let head = opened.head
  /** What the next group grows from; undefined after a failed write, when only the disk knows. */
  let tree: GrowingTree | undefined = opened.tree
  const waiting: Waiting[] = []
  let writing: Promise<void> | undefined
  let closed = false

  function record(event: AuditEvent, ops: readonly StoreOp[] = []): Promise<{ readonly seq: number }> {
    return new Promise((resolve, reject) => {
      if (closed) throw new MeshError('ERR_STOPPED', 'the audit log is closed')
      if (waiting.length >= waitingMax) throw new MeshError('ERR_OVERLOADED', `${waitingMax} audit entries wait for the disk`)
      if (ops.some(({ key }) => key.startsWith(keyPrefix))) throw new MeshError('ERR_INTERNAL', 'an act may not write into the audit log')
      const bytes = ops.reduce((sum, op) => sum + (op.type === 'put' ? op.value.length : 0), 0)
      waiting.push({ event: withCaller(event), time: clock.now(), ops: [...ops], bytes, resolve, reject })
      // A microtask later, so that all records of this turn share one batch and one signature.
      writing ??= Promise.resolve().then(writeGroups)
    })
  }

  /** An act of this node's own during a call says for whom. Source: api/v1 section 2 */
  function withCaller(event: AuditEvent): AuditEvent {
    const by = callerNow()
    if (by === undefined || event.actor !== did) return fit(event)
    const fitted = fit({ ...event, data: { ...event.data, by } })
    // Data too large is replaced by its hash; who did it stays.
    return { ...fitted, data: { ...fitted.data, by } }
  }

  async function writeGroups(): Promise<void> {
    while (waiting.length > 0) {
      const group = takeGroup(waiting)
      try {
        await writeGroup(group)
      } catch (error) {
        // Whatever was queued was decided on the belief that this group lands: it fails too.
        const failed = [...group, ...waiting.splice(0)]
        const reason = error instanceof MeshError ? error : new MeshError('ERR_STORE_FAILED', 'the audit log could not be written', { cause: error })
        logger.error('audit entries not written', { entries: failed.length, code: reason.code })
        for (const { reject } of failed) reject(reason)
      }
    }
    writing = undefined
  }

  async function writeGroup(group: readonly Waiting[]): Promise<void> {
    const grown = tree ?? (await reopen())
    // Until the disk has it, the tree is ahead of the disk: a failure below leaves it undefined.
    tree = undefined
    const first = head.size
    const next = extend(grown, head.last, group)
    const checkpoint = signCheckpoint({ size: grown.size, root: grown.root() }, { did, keys, sign })
    const newHead: StoredHead = { size: grown.size, last: next.last, checkpoint }
    await store.durable([...next.ops, ...grown.takeChanged().map(putTile), put(headKey, headCodec.encode(newHead))])
    head = newHead
    tree = grown
    group.forEach(({ resolve }, index) => resolve({ seq: first + index }))
    publish(checkpoint)
  }

  /** After a failed write the disk may hold the group or not; it decides where the log ends. */
  async function reopen(): Promise<GrowingTree> {
    const end = await openEnd(store, { did, keys, verify })
    if (end === undefined || end.head.size < head.size) throw new MeshError('ERR_AUDIT_TAMPERED', 'the audit log on disk is shorter than what was written')
    head = end.head
    return end.tree
  }

  function publish(checkpoint: string): void {
    try {
      onCheckpoint?.(checkpoint)
    } catch (error) {
      logger.warn('checkpoint not kept outside the store', { error: String(error) })
    }
  }

  async function entryBytes(seq: number): Promise<Uint8Array> {
    const bytes = Number.isSafeInteger(seq) && seq >= 0 && seq < head.size ? await store.get(entryKey(seq)) : undefined
    if (bytes === undefined) throw new MeshError('ERR_AUDIT_MISSING', `no audit entry ${seq}`)
    return bytes
  }

  async function* entries({ from = 0 }: { readonly from?: number | undefined } = {}): AsyncGenerator<AuditEntry> {
    for await (const [key, bytes] of store.range({ gte: entryKey(from), lt: headKey })) yield decodeEntry(key, bytes)
  }

  return {
    record,
    checkpoint: async () => head.checkpoint,
    verify: (options = {}) => verifyAudit({ ...options, store, did, keys, verify }),
    async prove(seq) {
      const { size, checkpoint } = head
      const entry = base64(await entryBytes(seq))
      const proof: InclusionProof = { schema: inclusionSchema, entry, index: seq, size, hashes: writeHashes(await inclusionPath(read, seq, size)), checkpoint }
      const verdict = verifyProof(proof, { did, keys, verify })
      if (!verdict.ok) throw new MeshError('ERR_AUDIT_TAMPERED', `audit entry ${seq} cannot be proven: ${verdict.reason}`)
      return proof
    },
    async consistency(oldSize) {
      const { size, checkpoint } = head
      if (!Number.isSafeInteger(oldSize) || oldSize < 1 || oldSize > size) {
        throw new MeshError('ERR_AUDIT_MISSING', `the audit log has ${size} entries; no proof from ${oldSize}`)
      }
      return { schema: consistencySchema, oldSize, size, hashes: writeHashes(await consistencyPath(read, oldSize, size)), checkpoint }
    },
    get: async (seq) => decodeEntry(entryKey(seq), await entryBytes(seq)),
    entries,
    async tail({ limit, before = head.size }) {
      const page: AuditEntry[] = []
      const range = { gte: entryKey(0), lt: entryKey(Math.max(0, before)), reverse: true, limit: Math.max(0, Math.min(limit, tailEntriesMax)) }
      for await (const [key, bytes] of store.range(range)) page.push(decodeEntry(key, bytes))
      return page.reverse()
    },
    async close() {
      closed = true
      await writing
    },
  }
}

interface Identity extends LogOwner {
  readonly verify: VerifySignature
}

/** The end of the log on disk; undefined when there is none. Looks at the last entry and log16(size) tiles only. */
async function openEnd(store: Store, identity: Identity): Promise<End | undefined> {
  const bytes = await store.get(headKey)
  if (bytes === undefined) {
    for await (const [key] of store.range({ gte: keyPrefix, lt: `${keyPrefix}~`, limit: 1 })) throw tampered(`no signed checkpoint, yet there is ${key}`)
    return undefined
  }
  const head = readHead(bytes)
  if (head === undefined) throw tampered('its head does not parse')
  const signed = openCheckpoint(head.checkpoint, identity)
  if (!signed.ok) throw tampered(signed.reason)
  const tree = await openTree(head.size, tileReader(store))
  if (signed.size !== head.size || !equal(tree.root(), signed.root)) throw tampered('stored hashes are not what was signed')
  const last = head.size === 0 ? undefined : await store.get(entryKey(head.size - 1))
  if (!equal(last === undefined ? firstPrevHash : leafHash(last), head.last)) throw tampered(`entry ${head.size - 1} is missing or altered`)
  if (await store.has(entryKey(head.size))) throw tampered(`entry ${head.size} is not covered by the signed checkpoint`)
  return { head, tree }
}

const tampered = (reason: string): MeshError => new MeshError('ERR_AUDIT_TAMPERED', `the audit log was altered: ${reason}`)

/** An empty log is signed too: one whose entries were all deleted is not taken for a new one. */
async function beginLog(store: Store, signer: LogOwner & { readonly sign: SignBytes }): Promise<End> {
  const head: StoredHead = { size: 0, last: firstPrevHash, checkpoint: signCheckpoint({ size: 0, root: emptyRoot }, signer) }
  await store.durable([put(headKey, headCodec.encode(head))])
  return { head, tree: growTree(0, []) }
}

function takeGroup(waiting: Waiting[]): Waiting[] {
  let count = 0
  let bytes = 0
  for (const next of waiting) {
    if (count === groupEntriesMax || (count > 0 && bytes + next.bytes > groupBytesMax)) break
    bytes += next.bytes
    count++
  }
  return waiting.splice(0, count)
}

/** Chains the group's entries onto the tree; the ops write each entry next to its act. */
function extend(tree: GrowingTree, last: Uint8Array, group: readonly Waiting[]): { readonly last: Uint8Array; readonly ops: readonly StoreOp[] } {
  const ops: StoreOp[] = []
  let prevHash = last
  for (const { event, time, ops: act } of group) {
    const { event: name, actor, subject, data } = event
    const bytes = entryCodec.encode({ seq: tree.size, time, event: name, actor, subject, data, prevHash })
    ops.push(...act, put(entryKey(tree.size), bytes))
    prevHash = leafHash(bytes)
    tree.append(prevHash)
  }
  return { last: prevHash, ops }
}

function decodeEntry(key: string, bytes: Uint8Array): AuditEntry {
  try {
    return entryCodec.decode(bytes)
  } catch (cause) {
    throw new MeshError('ERR_AUDIT_TAMPERED', `${key} does not parse`, { cause })
  }
}
