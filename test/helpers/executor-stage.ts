import { createAudit } from '../../src/audit/index.ts'
import { createSeededRandom, createVirtualClock, type Did, MeshError, silentLogger, utf8, type VirtualClock } from '../../src/base/index.ts'
import { contentHash, sha256 } from '../../src/crypto/index.ts'
import { openPrekeys, openReplayGuard, sealBox } from '../../src/envelope/index.ts'
import { type Keyring, openStatement, type Signed, signStatement } from '../../src/identity/index.ts'
import { type Decision, decideTask, type TaskGrant, type TaskQuestion } from '../../src/policy/index.ts'
import { policyDefault } from '../../src/node/policy-default.ts'
import { countersignCodec, receiptCodec, requestCodec, resumeCodec, type TaskEvent } from '../../src/protocols/task/index.ts'
import type { Sandboxes } from '../../src/sandbox/index.ts'
import { createMemoryStore, type Store } from '../../src/store/index.ts'
import { type Executor, openExecutor } from '../../src/tasks/executor.ts'
import type { TaskEndNotice } from '../../src/tasks/executor-end.ts'
import { keyringOf } from './raw-peer.ts'
import { wordSandboxes } from './task-sandboxes.ts'
import { requestOf } from './tasks.ts'

type Fields = Parameters<typeof requestOf>[0]
export interface Sending {
  readonly keyring?: Keyring
  /** Pieces sent in place of the files; an error is thrown where it stands. */
  readonly chunks?: readonly (Uint8Array | Error)[]
  /** Aborts as a reset does. */
  readonly signal?: AbortSignal
  /** Signs for the result; true unless said otherwise. */
  readonly signs?: boolean
  /** Sees each event as it comes. */
  onEvent?(event: TaskEvent): void
}
export interface Sent {
  readonly events: readonly TaskEvent[]
  /** The code the stream was refused with; undefined when it was not. */
  readonly refused: string | undefined
  /** What the receipt says. */
  readonly receipt: ReturnType<typeof receiptCodec.decode> | undefined
}

/** An executor on a virtual clock, without a network: statements go in, events come out. */
export interface ExecutorStage {
  readonly clock: VirtualClock
  readonly executor: Executor
  readonly store: Store
  readonly did: Did
  readonly ran: ReturnType<typeof wordSandboxes>['ran']
  readonly told: readonly (TaskEndNotice & { readonly asker: Did })[]
  /** How far everybody is trusted. */
  setLevel(level: TaskQuestion['level']): void
  /** Signs a request. */
  request(fields?: Fields, keyring?: Keyring, lifetimeMs?: number): Promise<Signed>
  resume(of: Signed, action: 'attach' | 'stop', keyring?: Keyring): Signed
  send(statement: Signed, sending?: Sending): Promise<Sent>
  seal(statement: Signed): Promise<Uint8Array>
  entries(event: string): Promise<number>
}

export const asker = keyringOf(501)
export const otherAsker = keyringOf(502)

export async function createExecutorStage({
  store = createMemoryStore(),
  clock = createVirtualClock(),
  workDir,
  slots,
  sandboxes = wordSandboxes(() => clock),
}: {
  readonly store?: Store
  readonly clock?: VirtualClock
  readonly workDir?: string
  readonly slots?: number
  readonly sandboxes?: Sandboxes & { readonly ran: ExecutorStage['ran'] }
} = {}): Promise<ExecutorStage> {
  const keyring = keyringOf(500)
  const random = createSeededRandom(clock.monotonic() + 7)
  const prekeys = await openPrekeys({ store: store.sub('prekeys'), keyring, clock, random })
  const replay = await openReplayGuard({ store: store.sub('replay'), clock })
  const audit = await createAudit({ store, sign: keyring.sign, did: keyring.identity, keys: keyring.keys, clock, logger: silentLogger })
  const told: (TaskEndNotice & { readonly asker: Did })[] = []
  let level: TaskQuestion['level'] = 2
  const decide = async (_asker: Did, question: Pick<TaskQuestion, 'isolation' | 'limits'>): Promise<Decision<TaskGrant>> =>
    decideTask(policyDefault, { ...question, level })
  const executor = await openExecutor({
    keyring,
    clock,
    random,
    logger: silentLogger,
    prekeys,
    replay,
    audit,
    store,
    sandboxes,
    workDir,
    slots,
    policyText: () => '',
    subject: (key) => key,
    decide,
    async tell(who, notice) {
      told.push({ ...notice, asker: who })
    },
    onEnd: () => undefined,
  })
  await executor.start()
  const { bundle } = await prekeys.current()
  const sign = (
    who: Keyring,
    kind: 'task' | 'task-countersign',
    type: string,
    payload: Uint8Array,
    refs: readonly Uint8Array[],
    lifetimeMs = 600_000,
  ): Signed =>
    signStatement(kind, { to: keyring.did, type, payload, refs, issuedAt: clock.now(), expiresAt: clock.now() + lifetimeMs }, { keyring: who, random })

  return {
    clock,
    executor,
    store,
    did: keyring.did,
    ran: sandboxes.ran,
    told,
    setLevel: (now) => (level = now),
    async request(fields = {}, who = asker, lifetimeMs = 600_000) {
      const request = requestOf(fields)
      const codeHash = fields.codeHash ?? (await contentHash(utf8(request.code)))
      return sign(who, 'task', 'task_request', requestCodec.encode({ ...request, codeHash }), [], lifetimeMs)
    },
    resume: (of, action, who = asker) =>
      sign(who, 'task', 'task_resume', resumeCodec.encode({ version: 1, requestHash: of.hash, action, replySecret: new Uint8Array(32) }), [of.hash]),
    async send(statement, { keyring: who = asker, chunks = [], signal = new AbortController().signal, signs = true, onEvent } = {}) {
      const events: TaskEvent[] = []
      let next = 0
      let receipt: Sent['receipt']
      let refused: string | undefined
      try {
        const task = await executor.open(who.did, sealBox(statement.bytes, { bundle, now: clock.now(), random }))
        const nextChunk = async (most: number): Promise<Uint8Array> => {
          const chunk = chunks[next++] ?? new MeshError('ERR_NET_CLOSED', 'the asker left')
          if (chunk instanceof Error) throw chunk
          if (chunk.length > most) throw new MeshError('ERR_PROTOCOL', 'more than was due')
          return chunk
        }
        try {
          for await (const event of task.run({ signal, nextChunk })) {
            events.push(event)
            onEvent?.(event)
            if (event.event !== 'result') continue
            const signed = openStatement('task-receipt', event.receipt, { now: clock.now(), lifetimeMsMax: Infinity, atAnyTime: true })
            receipt = receiptCodec.decode(signed.statement.payload)
            if (!signs) continue
            const back = countersignCodec.encode({ version: 1, receiptHash: signed.hash, resultMatches: true })
            await task.keep(sign(who, 'task-countersign', 'task_result', back, [signed.hash]).bytes)
          }
        } finally {
          task.end()
        }
      } catch (error) {
        if (!(error instanceof MeshError)) throw error
        refused = error.code
      }
      return { events, refused, receipt }
    },
    seal: async (statement) => sealBox(statement.bytes, { bundle, now: clock.now(), random }),
    async entries(event) {
      let count = 0
      for await (const entry of audit.entries()) if (entry.event === event) count++
      return count
    },
  }
}

/** A file as a request names it. */
export const fileOf = (name: string, bytes: Uint8Array): { readonly name: string; readonly size: number; readonly hash: Uint8Array } => ({
  name,
  size: bytes.length,
  hash: sha256(bytes),
})
