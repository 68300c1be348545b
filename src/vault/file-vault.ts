import { equal, hex, MeshError } from '../base/index.ts'
import { deriveKey, equalSecret, sha256 } from '../crypto/index.ts'
import { sealBackup } from './backup.ts'
import { type Committed, settle, type VaultDisk } from './disk.ts'
import { type ImportOptions, type ImportReport, merged, resealed, withoutRecord, withRecords } from './edits.ts'
import { decodeVault, encodeVault, macIn, macOf, type Slot, type StoredRecord, type VaultFile, wrongOrAltered } from './format.ts'
import { macKeyOf, openEpoch, openRecord, type Secret, type VaultContext, type VaultKeys, wipe } from './records.ts'
import { makeSlot, type NewSlot, openSlot, type SlotView, type VaultKey, viewOf } from './slots.ts'
import type { SecretInfo, Vault, VaultCommit, VaultOptions, VaultStatus } from './types.ts'

export interface VaultStart {
  readonly disk: VaultDisk
  readonly bytes: Uint8Array
  /** Of a vault just made. */
  readonly keys: VaultKeys | undefined
  /** What the log knows, and how the file stands to it: the same, older (or another one of the same age), or newer. */
  readonly known: Committed | undefined
  readonly standing: 'held' | 'behind' | 'ahead'
  readonly accept: boolean
}

/** What one change makes of the file, under which keys. */
interface Edit {
  readonly change: VaultCommit['change']
  readonly name?: string
  readonly file: VaultFile
  readonly keys?: VaultKeys
}

/** A record and what is told of it. */
interface Entry {
  readonly record: StoredRecord
  readonly info: SecretInfo
}
/** By name. */
type Index = ReadonlyMap<string, Entry>

/** One vault file and, while it is open, its keys. */
export class FileVault implements Vault {
  readonly id: string
  readonly #options: VaultOptions
  readonly #disk: VaultDisk
  readonly #context: VaultContext
  readonly #known: Committed | undefined
  readonly #accept: boolean
  #standing: VaultStart['standing']
  #file: VaultFile
  #bytes: Uint8Array
  #digest: Uint8Array
  #keys: VaultKeys | undefined
  #index: Index = new Map()
  /** What an open vault knows of its records; a change opens those that are new to it. */
  #entries = new WeakMap<StoredRecord, Entry>()
  /** A commit failed, or what it promised is not yet in its place: the log says which state holds. */
  #unsettled = false
  #queue: Promise<unknown> = Promise.resolve()

  constructor(options: VaultOptions, { disk, bytes, keys, known, standing, accept }: VaultStart) {
    this.#options = options
    this.#disk = disk
    this.#known = known
    this.#standing = standing
    this.#accept = accept
    this.#file = decodeVault(bytes)
    this.#bytes = bytes
    this.#digest = sha256(bytes)
    this.#context = { vaultId: this.#file.id, random: options.random }
    this.id = hex(this.#file.id)
    if (keys === undefined) return
    this.#keys = keys
    this.#index = this.#indexOf(this.#file, keys)
  }

  get counter(): number {
    return this.#file.counter
  }

  get digest(): Uint8Array {
    return this.#digest
  }

  status(): VaultStatus {
    const { counter, epoch, createdAt, slots, records } = this.#file
    return {
      sealed: this.#keys === undefined,
      id: this.id,
      counter,
      epoch: epoch.number,
      createdAt,
      slots: slots.map(viewOf),
      secrets: records.length,
      bytes: this.#bytes.length,
      rolledBack: this.#standing === 'behind',
    }
  }

  async unseal(key: VaultKey): Promise<void> {
    await this.#inTurn(async () => {
      const { root } = await this.#unlock(key)
      if (this.#keys !== undefined) {
        root.fill(0)
        return
      }
      if (this.#standing === 'behind' && !this.#accept) {
        root.fill(0)
        throw this.#rolledBack()
      }
      this.#open(root)
      try {
        await this.#tellLog()
      } catch (error) {
        this.seal()
        throw error
      }
    })
  }

  seal(): void {
    if (this.#keys !== undefined) wipe(this.#keys)
    this.#keys = undefined
    this.#index = new Map()
    this.#entries = new WeakMap()
  }

  async verify(key: VaultKey): Promise<SlotView> {
    return await this.#inTurn(async () => {
      const { root, slot } = await this.#unlock(key)
      root.fill(0)
      return viewOf(slot)
    })
  }

  get(name: string): Secret | undefined {
    const keys = this.#opened()
    const entry = this.#index.get(name)
    return entry === undefined ? undefined : openRecord(keys, entry.record, this.#context)
  }

  list(): readonly SecretInfo[] {
    this.#opened()
    return [...this.#index.values()].map(({ info }) => info).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  async set(name: string, value: Uint8Array): Promise<SecretInfo> {
    const [info] = await this.setMany([[name, value]])
    if (info === undefined) throw new MeshError('ERR_INTERNAL', 'a secret was set and is not there')
    return info
  }

  async setMany(records: Iterable<readonly [name: string, value: Uint8Array]>): Promise<readonly SecretInfo[]> {
    const given = [...records]
    const [first] = given
    let infos: readonly SecretInfo[] = []
    if (first === undefined) return infos
    await this.#change((keys) => {
      const file = withRecords(this.#file, keys, given, { context: this.#context, now: this.#options.clock.now() })
      const index = this.#indexOf(file, keys)
      infos = given.flatMap(([name]) => index.get(name)?.info ?? [])
      return { change: 'set', ...(given.length === 1 ? { name: first[0] } : {}), file }
    })
    return infos
  }

  async remove(name: string): Promise<boolean> {
    return await this.#change((keys) => {
      const file = withoutRecord(this.#file, keys, name)
      return file === undefined ? undefined : { change: 'removed', name, file }
    })
  }

  async addSlot(given: NewSlot): Promise<SlotView> {
    return await this.#putSlot(undefined, given)
  }

  async replaceSlot(id: string, given: NewSlot): Promise<SlotView> {
    return await this.#putSlot(id, given)
  }

  async removeSlot(id: string): Promise<void> {
    await this.#change(() => {
      const slot = this.#slotAt(id)
      if (this.#file.slots.length === 1) {
        throw new MeshError('ERR_USAGE', 'the last slot stays: nothing else opens the vault', { hint: 'add another one first' })
      }
      return { change: 'slot_removed', name: id, file: { ...this.#file, slots: this.#file.slots.filter((other) => other !== slot) } }
    })
  }

  async rotate(): Promise<void> {
    await this.#change((keys) => ({ change: 'rotated', ...resealed(this.#file, keys, { context: this.#context, now: this.#options.clock.now() }) }))
  }

  async export(passphrase: Uint8Array): Promise<Uint8Array> {
    const keys = this.#opened()
    const secrets = this.#file.records.map((record) => openRecord(keys, record, this.#context))
    try {
      return await sealBackup(secrets, { passphrase, ...this.#context, now: this.#options.clock.now() })
    } finally {
      for (const { value } of secrets) value.fill(0)
    }
  }

  async import(secrets: readonly Secret[], options: ImportOptions = {}): Promise<ImportReport> {
    let report: ImportReport = { added: [], replaced: [], kept: [], skipped: [] }
    await this.#change((keys) => {
      const next = merged(this.#file, keys, secrets, { ...options, context: this.#context })
      report = next.report
      return report.added.length + report.replaced.length === 0 ? undefined : { change: 'imported', file: next.file }
    })
    return report
  }

  keyFor(purpose: string): Uint8Array {
    return deriveKey(this.#opened().root, `vault key for ${purpose}`)
  }

  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(act)
    this.#queue = turn.catch(() => undefined)
    return await turn
  }

  #opened(): VaultKeys {
    if (this.#keys === undefined) throw new MeshError('ERR_SEALED', 'the vault is sealed', { hint: 'unseal it: `kindmesh vault unseal`' })
    return this.#keys
  }

  #rolledBack(): MeshError {
    const details = { counter: this.counter, expected: this.#known?.counter }
    return new MeshError('ERR_VAULT_ROLLBACK', `the vault file is at change ${details.counter}, the log knows change ${details.expected}`, { details })
  }

  #slotAt(id: string): Slot {
    const slot = this.#file.slots.find((slot) => hex(slot.id) === id)
    if (slot === undefined) throw new MeshError('ERR_NOT_FOUND', 'the vault has no such slot', { hint: 'see `kindmesh vault slots`' })
    return slot
  }

  /** The root key behind a slot. Failing costs the same whatever was wrong: every slot of the kind, and a MAC for each. */
  async #unlock(key: VaultKey): Promise<{ readonly root: Uint8Array; readonly slot: Slot }> {
    const slots = this.#file.slots.filter(({ kind }) => kind === key.kind)
    if (slots.length === 0) throw new MeshError('ERR_NOT_FOUND', `the vault has no slot of kind ${key.kind}`, { hint: 'see `kindmesh vault slots`' })
    for (const slot of slots) {
      const root = await openSlot(slot, key, this.#context)
      const macKey = macKeyOf(root ?? new Uint8Array(32))
      const holds = equalSecret(macOf(this.#bytes, macKey), macIn(this.#bytes))
      macKey.fill(0)
      if (root !== undefined && holds) return { root, slot }
      root?.fill(0)
    }
    throw wrongOrAltered()
  }

  #open(root: Uint8Array): void {
    try {
      const keys = openEpoch(root, this.#file.epoch, this.#context)
      this.#index = this.#indexOf(this.#file, keys)
      this.#keys = keys
    } catch (cause) {
      root.fill(0)
      throw wrongOrAltered(cause)
    }
  }

  /** What the log does not know yet of a file that was found. */
  async #tellLog(): Promise<void> {
    if (this.#standing === 'behind') await this.#write({ change: 'rollback_accepted', file: this.#file }, (this.#known?.counter ?? 0) + 1)
    else if (this.#standing === 'ahead') await this.#options.commit?.({ counter: this.counter, digest: this.#digest, change: 'adopted' })
    this.#standing = 'held'
  }

  /** False when there was nothing to change. */
  async #change(edit: (keys: VaultKeys) => Promise<Edit | undefined> | Edit | undefined): Promise<boolean> {
    return await this.#inTurn(async () => {
      await this.#settle()
      const keys = this.#opened()
      const edited = await edit(keys)
      // Sealed meanwhile, its keys are zeros.
      if (this.#opened() !== keys) throw new MeshError('ERR_SEALED', 'the vault was sealed meanwhile')
      if (edited === undefined) return false
      await this.#write(edited, this.counter + 1)
      return true
    })
  }

  /** Finishes or forgets what a failed commit left. */
  async #settle(): Promise<void> {
    if (!this.#unsettled) return
    const bytes = await settle(this.#disk, await this.#options.expected?.())
    const digest = sha256(bytes)
    if (!equal(digest, this.#digest)) {
      const keys = this.#opened()
      if (!equalSecret(macOf(bytes, keys.mac), macIn(bytes))) throw wrongOrAltered()
      this.#take(decodeVault(bytes), bytes, openEpoch(keys.root, decodeVault(bytes).epoch, this.#context))
    }
    this.#unsettled = false
  }

  async #write({ change, name, file, keys = this.#opened() }: Edit, counter: number): Promise<void> {
    const { commit, expected } = this.#options
    const next = { ...file, counter }
    const bytes = encodeVault(next, keys.mac)
    try {
      await this.#disk.writeNext(bytes)
    } catch (cause) {
      await this.#disk.dropNext().catch(() => undefined)
      throw new MeshError('ERR_STORE_FAILED', 'the vault could not be written; nothing was changed', { cause })
    }
    try {
      await commit?.({ counter, digest: sha256(bytes), change, ...(name === undefined ? {} : { name }) })
    } catch (error) {
      // It may have reached the disk all the same: what is written stays until the log was asked.
      if (expected === undefined) await this.#disk.dropNext().catch(() => undefined)
      else this.#unsettled = true
      throw error
    }
    try {
      await this.#disk.finish()
    } catch (cause) {
      this.#unsettled = true
      // With a log the change holds since the log took it.
      if (commit === undefined || expected === undefined) throw new MeshError('ERR_STORE_FAILED', 'the vault could not be written', { cause })
    }
    this.#take(next, bytes, keys)
  }

  #take(file: VaultFile, bytes: Uint8Array, keys: VaultKeys): void {
    this.#file = file
    this.#bytes = bytes
    this.#digest = sha256(bytes)
    // Sealed meanwhile.
    if (this.#keys === undefined) return
    this.#index = this.#indexOf(file, keys)
    if (keys === this.#keys) return
    const { data, mac, names } = this.#keys
    for (const key of [data, mac, names]) key.fill(0)
    this.#keys = keys
  }

  async #putSlot(id: string | undefined, given: NewSlot): Promise<SlotView> {
    let view: SlotView | undefined
    await this.#change(async ({ root }) => {
      const old = id === undefined ? undefined : this.#slotAt(id)
      if (old !== undefined && old.kind !== given.kind) throw new MeshError('ERR_USAGE', `that slot is of kind ${old.kind}`)
      const { clock } = this.#options
      const slot = await makeSlot(
        root,
        { label: old?.label ?? '', ...given },
        { ...this.#context, ...(old === undefined ? {} : { id: old.id }), now: clock.now() },
      )
      view = viewOf(slot)
      const slots = old === undefined ? [...this.#file.slots, slot] : this.#file.slots.map((other) => (other === old ? slot : other))
      return { change: old === undefined ? 'slot_added' : 'slot_replaced', name: view.id, file: { ...this.#file, slots } }
    })
    if (view === undefined) throw new MeshError('ERR_INTERNAL', 'a slot was made and is not there')
    return view
  }

  /** Values are forgotten again. @throws ERR_CRYPTO_OPEN */
  #indexOf(file: VaultFile, keys: VaultKeys): Index {
    return new Map(
      file.records.map((record) => {
        const entry = this.#entries.get(record) ?? entryOf(record, openRecord(keys, record, this.#context))
        this.#entries.set(record, entry)
        return [entry.info.name, entry]
      }),
    )
  }
}

function entryOf(record: StoredRecord, { value, ...info }: Secret): Entry {
  value.fill(0)
  return { record, info: { ...info, bytes: value.length } }
}
