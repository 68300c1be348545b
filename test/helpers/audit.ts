import { createHash } from 'node:crypto'
import { createVirtualClock, type Did, didFromKey, silentLogger } from '../../src/base/index.ts'
import { createSigner, type Signer } from '../../src/crypto/index.ts'
import { type Audit, type AuditEvent, createAudit } from '../../src/audit/index.ts'
import { createMemoryStore, put, type Store, type StoreOp } from '../../src/store/index.ts'

export interface AuditOwner {
  readonly signer: Signer
  readonly did: Did
}

export function createOwner(seed: number): AuditOwner {
  const signer = createSigner(new Uint8Array(32).fill(seed))
  return { signer, did: didFromKey(signer.publicKey) }
}

export const owner: AuditOwner = createOwner(1)
export const stranger: AuditOwner = createOwner(2)

export const openAudit = (store: Store, { signer, did }: AuditOwner = owner, onCheckpoint?: (checkpoint: string) => void): Promise<Audit> =>
  createAudit({ store, sign: (message) => signer.sign(message), did, clock: createVirtualClock(), logger: silentLogger, onCheckpoint })

export const noted = (number: number): AuditEvent => ({ event: 'noted', actor: owner.did, subject: undefined, data: { number } })

/** A log of `size` entries and the store it lives in. */
export async function createFilledAudit(size: number): Promise<{ readonly store: Store; readonly audit: Audit }> {
  const store = createMemoryStore()
  const audit = await openAudit(store)
  await Promise.all(Array.from({ length: size }, (_, number) => audit.record(noted(number))))
  return { store, audit }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export const dump = (store: Store): Promise<(readonly [string, Uint8Array])[]> => collect(store.range({ gte: '' }))

export async function storeOf(pairs: Iterable<readonly [string, Uint8Array]>): Promise<Store> {
  const store = createMemoryStore()
  await store.durable(Array.from(pairs, ([key, value]): StoreOp => put(key, value)))
  return store
}

const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}

const splitPoint = (size: number): number => {
  let power = 1
  while (power * 2 < size) power *= 2
  return power
}

/** RFC 6962 section 2.1 word for word, slow and independent of the code under test. */
export const slowTree = {
  leaf: (entry: Uint8Array): Uint8Array => sha256(Uint8Array.of(0), entry),
  root(leaves: readonly Uint8Array[]): Uint8Array {
    if (leaves.length === 0) return sha256()
    const [only] = leaves
    if (leaves.length === 1 && only !== undefined) return only
    const k = splitPoint(leaves.length)
    return sha256(Uint8Array.of(1), slowTree.root(leaves.slice(0, k)), slowTree.root(leaves.slice(k)))
  },
  path(index: number, leaves: readonly Uint8Array[]): Uint8Array[] {
    if (leaves.length === 1) return []
    const k = splitPoint(leaves.length)
    return index < k
      ? [...slowTree.path(index, leaves.slice(0, k)), slowTree.root(leaves.slice(k))]
      : [...slowTree.path(index - k, leaves.slice(k)), slowTree.root(leaves.slice(0, k))]
  },
  consistency(oldSize: number, leaves: readonly Uint8Array[], whole = true): Uint8Array[] {
    if (oldSize === leaves.length) return whole ? [] : [slowTree.root(leaves)]
    const k = splitPoint(leaves.length)
    return oldSize <= k
      ? [...slowTree.consistency(oldSize, leaves.slice(0, k), whole), slowTree.root(leaves.slice(k))]
      : [...slowTree.consistency(oldSize - k, leaves.slice(k), false), slowTree.root(leaves.slice(0, k))]
  },
}
