import { expect, test } from 'vitest'
import { createSeededRandom, createVirtualClock, type Did, MeshError, silentLogger } from '../../src/base/index.ts'
import { type Keyring, signStatement } from '../../src/identity/index.ts'
import { createLocalExperience } from '../../src/node/experience.ts'
import { countersignCodec, receiptCodec, receiptLifetimeMs } from '../../src/protocols/task/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { type AskedEnd, type AskedRecord, createAskedRecords } from '../../src/tasks/index.ts'
import type { Experience } from '../../src/trust/experience.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const [me, anna, ben] = [keyringOf(71), keyringOf(72), keyringOf(73)]
const clock = createVirtualClock()
const random = createSeededRandom(4)
const limits = { memoryMiB: 64, wallMs: 2_000, cpuMs: 2_000, outputBytes: 1, hostCalls: 1, cpuPercent: 100, netKiBps: 1, fsOps: 1, processes: 1 }
const usage = { cpuMs: 1, wallMs: 1, memoryBytes: 1, outputBytes: 1, hostCalls: 0, netBytes: 0, fsOps: 0 }
const hash = (seed: number): Uint8Array => new Uint8Array(32).fill(seed)

/** A task given to `executor`, numbered. */
function asked(number: number, executor: Did): AskedRecord {
  const id = new Uint8Array(16).fill(number)
  return {
    version: 1,
    id,
    on: executor,
    status: 'done',
    engine: 'javascript',
    isolation: 'sandboxed',
    strict: false,
    capabilities: [],
    limits,
    files: [],
    out: '',
    priority: 5,
    idempotent: true,
    retries: 0,
    codeHash: hash(200),
    codeBytes: 1,
    inputHash: hash(201),
    inputBytes: 1,
    traceId: '',
    createdAt: clock.now(),
    deadlineAt: undefined,
    acceptedAt: undefined,
    endedAt: clock.now() + number,
    backend: undefined,
    attempts: [{ id, executor, requestHash: hash(number), at: clock.now(), endedAt: undefined, code: '', message: '' }],
    error: undefined,
    artefacts: [],
    receipt: hash(1),
  }
}

interface Signers {
  readonly executor: Keyring
  readonly asker?: Keyring
  readonly counter?: Keyring
  readonly outcome?: string
}

/** What both sides sign at the end of task `number`. */
function signed(number: number, { executor, asker = me, counter = asker, outcome = 'ok' }: Signers): AskedEnd {
  const times = { issuedAt: clock.now(), expiresAt: clock.now() + receiptLifetimeMs }
  const payload = receiptCodec.encode({
    version: 1,
    requestHash: hash(number),
    codeHash: hash(200),
    inputHash: hash(201),
    resultHash: outcome === 'ok' ? hash(3) : undefined,
    outcome,
    startedAt: 1,
    endedAt: 2,
    usage,
    isolation: 'sandboxed',
    backend: 'b',
    engine: 'javascript',
    strict: false,
    capabilities: [],
    limits,
    artefactsIn: [],
    artefactsOut: [],
    policyHash: hash(6),
    securityEvents: 0,
    auditSize: 1,
    auditRoot: hash(5),
  })
  const receipt = signStatement('task-receipt', { to: asker.did, type: 'task_result', payload, refs: [hash(number)], ...times }, { keyring: executor, random })
  const back = countersignCodec.encode({ version: 1, receiptHash: receipt.hash, resultMatches: true })
  const countersigned = signStatement(
    'task-countersign',
    { to: executor.did, type: 'task_result', payload: back, refs: [receipt.hash], ...times },
    { keyring: counter, random },
  )
  return { receipt: receipt.bytes, countersigned: countersigned.bytes, result: '1' }
}

function listening({ store = createMemoryStore(), until = Infinity } = {}) {
  const told: (readonly Experience[])[] = []
  const keys = {
    subject: (key: Did): Did => key,
    check(_key: Did, at: number): void {
      if (at >= until) throw new MeshError('ERR_IDENTITY_SUPERSEDED', 'replaced')
    },
  }
  const experience = createLocalExperience({ keyring: me, store, clock, logger: silentLogger, keys, book: { experience: (all) => void told.push(all) } })
  return { experience, told }
}

test('what both sides signed counts once for the executor: the good, and failures that are his', () => {
  const { experience, told } = listening()
  experience.take(asked(1, anna.did), signed(1, { executor: anna }))
  experience.take(asked(2, anna.did), signed(2, { executor: anna, outcome: 'ERR_SANDBOX_CRASHED' }))
  experience.take(asked(3, ben.did), signed(3, { executor: ben, outcome: 'ERR_SANDBOX_THREW' }))
  expect(told.at(-1)).toEqual([{ subject: anna.did, successes: 1, failures: 1 }])
  // Shown again, or signed once more for the same request.
  experience.take(asked(1, anna.did), signed(1, { executor: anna }))
  experience.take(asked(1, anna.did), signed(1, { executor: anna, outcome: 'ERR_SANDBOX_CRASHED' }))
  expect(told).toHaveLength(2)
})

test('forged, swapped, half-signed and foreign receipts change nothing', async () => {
  const { experience, told } = listening()
  const [one, two] = [signed(1, { executor: anna }), signed(2, { executor: anna })]
  const flip = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, (bytes[at] ?? 0) ^ 1)
  const bad: readonly (readonly [AskedRecord, AskedEnd])[] = [
    [asked(1, anna.did), { ...one, receipt: flip(one.receipt, 10) }],
    [asked(1, anna.did), { ...one, receipt: flip(one.receipt, one.receipt.length - 9) }],
    [asked(1, anna.did), { ...one, countersigned: flip(one.countersigned, 10) }],
    // The signatures of one task under another.
    [asked(1, anna.did), two],
    [asked(1, anna.did), { ...one, countersigned: two.countersigned }],
    // Somebody else ran it than was asked to, or signed for us.
    [asked(1, ben.did), one],
    [asked(1, anna.did), signed(1, { executor: ben })],
    [asked(1, anna.did), signed(1, { executor: anna, asker: ben })],
    [asked(1, anna.did), signed(1, { executor: anna, counter: ben })],
    [asked(1, anna.did), signed(1, { executor: anna, counter: anna })],
    [asked(1, anna.did), { ...one, countersigned: new Uint8Array() }],
    [asked(1, anna.did), { ...one, countersigned: one.receipt }],
    // Other code, and weaker walls than were asked for.
    [{ ...asked(1, anna.did), codeHash: hash(9) }, one],
    [{ ...asked(1, anna.did), inputHash: hash(9) }, one],
    [{ ...asked(1, anna.did), isolation: 'virtualized' }, one],
  ]
  for (const [record, end] of bad) experience.take(record, end)
  await experience.ready
  expect(told).toEqual([])
  experience.take(asked(1, anna.did), one)
  expect(told).toHaveLength(1)
  // Signed by a key that no longer spoke for its identity.
  const late = listening({ until: clock.now() })
  late.experience.take(asked(1, anna.did), one)
  expect(late.told).toEqual([])
})

test('after a restart it is what the receipts on disk say', async () => {
  const store = createMemoryStore()
  const records = createAskedRecords(store, me)
  const ends = [signed(1, { executor: anna }), signed(2, { executor: ben, outcome: 'ERR_SANDBOX_CRASHED' }), signed(3, { executor: ben, counter: ben })]
  const ops = ends.flatMap((end, index) => {
    const record = asked(index + 1, index === 0 ? anna.did : ben.did)
    return [...records.keep(record), ...records.keepEnd(record.id, end)]
  })
  await store.durable(ops)
  const { experience, told } = listening({ store })
  await experience.ready
  expect(told).toEqual([
    [
      { subject: anna.did, successes: 1, failures: 0 },
      { subject: ben.did, successes: 0, failures: 1 },
    ],
  ])
  experience.take(asked(1, anna.did), ends[0] as AskedEnd)
  expect(told).toHaveLength(1)
})
