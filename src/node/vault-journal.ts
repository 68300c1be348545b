import { z } from 'zod'
import { type Audit, vaultRolledBack, vaultWritten } from '../audit/index.ts'
import { type Did, fromHex, hex, MeshError, utf8 } from '../base/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import type { Committed, VaultCommit } from '../vault/index.ts'

const expectedKey = 'vault/expected'
const waitingKey = 'vault/waiting'

/** Where the vault's changes are written down. */
export interface VaultLog {
  readonly did: Did
  readonly vault: string
  readonly audit: Pick<Audit, 'record'>
  /** Stands for a name in the log, which does not tell it. */
  mark(name: string): Uint8Array
}

/** Holds the vault to what the audit log has of it: each state of the file is in the log, durably, before the file is. Source: vault/v1 section 5. */
export interface VaultJournal {
  /** The newest state written down. @throws ERR_STORE_FAILED when the note of it is damaged */
  expected(): Promise<Committed | undefined>
  commit(change: VaultCommit): Promise<void>
  /** The key of the log lies in a vault that is refused: the entry waits until there is a log to write to. */
  noteRollback(found: number): Promise<void>
  /** What is written down from here on goes into this log; what waited for it goes first. */
  attach(log: VaultLog): Promise<void>
}

const waitingEntry = z.object({ change: z.string(), counter: z.int(), digest: z.string(), found: z.int().optional() })
type Waiting = z.infer<typeof waitingEntry>
const expectedNote = waitingEntry.pick({ counter: true, digest: true })

export function createVaultJournal(store: Store): VaultJournal {
  let log: VaultLog | undefined

  async function expected(): Promise<Committed | undefined> {
    const note = await read(expectedKey, expectedNote)
    return note === undefined ? undefined : { counter: note.counter, digest: fromHex(note.digest) }
  }
  async function read<T>(key: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const bytes = await store.get(key)
    if (bytes === undefined) return undefined
    try {
      return schema.parse(JSON.parse(new TextDecoder().decode(bytes)))
    } catch (cause) {
      throw new MeshError('ERR_STORE_FAILED', `${key} is damaged`, { cause })
    }
  }
  const waiting = async (): Promise<readonly Waiting[]> => (await read(waitingKey, z.array(waitingEntry))) ?? []
  const keep = (key: string, value: object): StoreOp => put(key, utf8(JSON.stringify(value)))

  return {
    expected,
    async commit({ counter, digest, change, name }) {
      const state = { counter, digest: hex(digest) }
      if (log !== undefined) {
        const { did, vault, audit, mark } = log
        // The name of a slot is its id, which says nothing.
        const named = name === undefined ? undefined : change.startsWith('slot_') ? utf8(name) : mark(name)
        await audit.record(vaultWritten({ did, vault, counter, digest, change, mark: named }), [keep(expectedKey, state)])
        return
      }
      await store.durable([keep(expectedKey, state), keep(waitingKey, [...(await waiting()), { ...state, change }])])
    },
    async noteRollback(found) {
      const [note, before] = [await expected(), await waiting()]
      if (note === undefined || before.some((entry) => entry.found === found && entry.counter === note.counter)) return
      await store.durable([keep(waitingKey, [...before, { change: 'rolled_back', counter: note.counter, digest: hex(note.digest), found }])])
    },
    async attach(given) {
      const { did, vault, audit } = given
      const entries = await waiting()
      const events = entries.map(({ change, counter, digest, found }) =>
        found === undefined
          ? vaultWritten({ did, vault, counter, digest: fromHex(digest), change })
          : vaultRolledBack({ did, vault, found, expected: counter }),
      )
      await Promise.all(events.map((event, index) => audit.record(event, index === events.length - 1 ? [del(waitingKey)] : [])))
      log = given
    },
  }
}
