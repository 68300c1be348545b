import { createAudit } from '../../src/audit/index.ts'
import { clockFrom, createSeededRandom, createVirtualClock, type Did, MeshError, silentLogger, utf8, type VirtualClock } from '../../src/base/index.ts'
import { contentHash, sha256 } from '../../src/crypto/index.ts'
import { openBox, openPrekeys } from '../../src/envelope/index.ts'
import { openStatement, signStatement } from '../../src/identity/index.ts'
import type { Host } from '../../src/net/index.ts'
import { framed, frameKinds } from '../../src/protocols/channel.ts'
import { createChannel } from '../../src/protocols/task/channel.ts'
import { decodeEvent, encodeEvent } from '../../src/protocols/task/codec.ts'
import {
  type Artefact,
  receiptCodec,
  requestCodec,
  resumeCodec,
  type TaskEvent,
  taskLifetimeMsMax,
  type TaskRequest,
  taskStatementTypes,
} from '../../src/protocols/task/index.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { type Asker, openAsker, type TaskOrder, type TaskProgress } from '../../src/tasks/index.ts'
import { keyringOf } from './raw-peer.ts'
import { createStreamPair } from './stream-pair.ts'
import { receiptOf } from './tasks.ts'

/** An executor's end of one stream that an asker opened. */
export interface ScriptedStream {
  readonly opened: 'request' | 'attach' | 'stop'
  /** The request this stream is about. */
  readonly request: ScriptedRequest
  send(...events: readonly TaskEvent[]): Promise<void>
  /** The next frame of the asker, opened: a chunk of a file, or its countersignature as it is. */
  chunk(): Promise<Uint8Array>
  countersignature(): Promise<Uint8Array>
  /** A signed end: `ok` with this result, or a failure. */
  end(outcome: unknown, options?: EndOptions): Promise<void>
  receipt(outcome: string, result: string | undefined, options?: EndOptions): Promise<Uint8Array>
  /** As a power cut or a lost link. */
  reset(): void
  close(): Promise<void>
  /** Resolves when the asker has gone. */
  left(): Promise<void>
}
export interface EndOptions {
  readonly artefacts?: readonly Artefact[]
  readonly code?: string
  readonly facts?: Partial<Parameters<typeof receiptCodec.encode>[0]>
}
export interface ScriptedRequest {
  readonly fields: TaskRequest
  readonly hash: Uint8Array
  readonly to: Did
}
export type Script = (stream: ScriptedStream) => Promise<void>

export interface Stage {
  readonly clock: VirtualClock
  readonly disk: MemoryStore
  readonly executors: readonly Did[]
  asker: Asker
  /** What was opened, in order: kind and executor. */
  readonly streams: (readonly [kind: string, executor: number])[]
  /** What the executors do; set before the asker asks. */
  script: Script
  /** Nobody is reached while it is true. */
  isCut: boolean
  /** Runs a task to its end, time passing; with files the clock stands still, as the disk keeps its own time. */
  run(order?: Partial<TaskOrder>): Promise<readonly TaskProgress[]>
  /** Starts one that goes on by itself; no time passes. */
  start(order?: Partial<TaskOrder>): Promise<string>
  /** A power cut of the asker, and its next start. */
  restart(): Promise<void>
  audited(event: string): Promise<number>
}

export interface StageOptions {
  readonly executors?: number
  readonly choose?: Parameters<typeof openAsker>[0]['choose']
  readonly fault?: (write: number, durable: boolean) => 'fail' | undefined
}

/** An asker on a virtual clock whose executors do as the test says. */
export async function createStage({ executors: count = 1, choose, fault }: StageOptions = {}): Promise<Stage> {
  // Its first call compiles it, which takes real time.
  await contentHash(new Uint8Array())
  const clock = createVirtualClock()
  const random = createSeededRandom(7)
  const keyring = keyringOf(100)
  const disk = createMemoryStore(fault === undefined ? {} : { fault })
  const peers = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const own = keyringOf(200 + index)
      return { own, prekeys: await openPrekeys({ store: createMemoryStore(), keyring: own, clock, random }) }
    }),
  )
  const requests = new Map<string, ScriptedRequest>()

  async function serve(index: number, near: ReturnType<typeof createStreamPair>[1]): Promise<void> {
    const peer = peers[index]
    if (peer === undefined) return
    const frames = near.frames[Symbol.asyncIterator]()
    const first = await frames.next()
    if (first.done === true) return
    const signed = openStatement('task', openBox(first.value, peer.prekeys), { now: clock.now(), lifetimeMsMax: taskLifetimeMsMax })
    const isRequest = signed.statement.type === taskStatementTypes.request
    const resume = isRequest ? undefined : resumeCodec.decode(signed.statement.payload)
    const fields = isRequest ? requestCodec.decode(signed.statement.payload) : undefined
    if (fields !== undefined) requests.set(signed.ref, { fields, hash: signed.hash, to: peer.own.did })
    const request = requests.get(resume === undefined ? signed.ref : Buffer.from(resume.requestHash).toString('hex'))
    if (request === undefined) throw new Error('a resume of what was never asked')
    const opened = resume?.action ?? 'request'
    stage.streams.push([opened, index])
    const secret = resume?.replySecret ?? request.fields.replySecret
    const outgoing = createChannel(secret, 'to-asker', signed.hash)
    const incoming = createChannel(secret, 'to-executor', signed.hash)
    const next = async (): Promise<Uint8Array> => {
      const { value, done } = await frames.next()
      if (done === true) throw new MeshError('ERR_NET_CLOSED', 'the asker left')
      return incoming.open(value)
    }
    const stream: ScriptedStream = {
      opened,
      request,
      async send(...events) {
        for (const event of events) await near.send(framed(frameKinds.sealed, outgoing.seal(encodeEvent(event))))
      },
      async chunk() {
        const event = decodeEvent(await next())
        if (event.event !== 'chunk') throw new Error(`${event.event} where a chunk was due`)
        return event.bytes
      },
      countersignature: next,
      async receipt(outcome, result, { artefacts = [], facts = {} } = {}) {
        const payload = receiptCodec.encode(
          receiptOf({
            requestHash: request.hash,
            codeHash: request.fields.codeHash,
            inputHash: await contentHash(utf8(request.fields.input)),
            resultHash: result === undefined ? undefined : await contentHash(utf8(result)),
            outcome,
            limits: request.fields.limits,
            artefactsIn: request.fields.artefacts.map(({ hash }) => hash),
            artefactsOut: artefacts,
            ...facts,
          }),
        )
        const issuedAt = clock.now()
        const to = keyring.did
        return signStatement(
          'task-receipt',
          { to, type: 'task_result', payload, refs: [request.hash], issuedAt, expiresAt: issuedAt + 86_400_000 },
          { keyring: peer.own, random },
        ).bytes
      },
      async end(outcome, options = {}) {
        const result = options.code === undefined ? JSON.stringify(outcome) : undefined
        const receipt = await stream.receipt(options.code ?? 'ok', result, options)
        await stream.send({ event: 'result', result, message: options.code === undefined ? '' : String(outcome), limit: '', receipt })
        await next()
        await stream.send({ event: 'kept' })
        await near.close()
      },
      reset: () => near.abort(new Error('cut')),
      close: () => near.close(),
      async left() {
        for (;;) if ((await frames.next().catch(() => ({ done: true }))).done === true) return
      },
    }
    await stage.script(stream)
  }

  /** A power cut ends this life's timers, as that of a process would. */
  let life = 0
  async function begin(): Promise<Asker> {
    const own = ++life
    const isOver = (): boolean => own !== life
    const ownClock = clockFrom({ now: clock.now, monotonic: clock.monotonic, after: (ms, fn) => clock.after(ms, () => void (isOver() || fn())) })
    const audit = await createAudit({ store: disk, sign: keyring.sign, did: keyring.identity, keys: keyring.keys, clock: ownClock, logger: silentLogger })
    const host = {
      did: keyring.did,
      async open(peer: Did, _protocol: string, { signal }: { readonly signal?: AbortSignal }) {
        signal?.throwIfAborted()
        const index = peers.findIndex(({ own: one }) => one.did === peer)
        if (stage.isCut || isOver()) throw new MeshError('ERR_NET_UNREACHABLE', 'nobody there')
        const [far, near] = createStreamPair(keyring.did, peer)
        void serve(index, near).catch(() => near.abort(new Error('the script ended')))
        return far
      },
    }
    return await openAsker({
      host: host as unknown as Host,
      keyring,
      clock: ownClock,
      random,
      audit,
      store: disk,
      logger: silentLogger,
      keys: { subject: (key) => key, current: async (identity) => identity },
      bundleOf: async (peer) => {
        const found = peers.find(({ own: one }) => one.did === peer)
        if (found === undefined || stage.isCut) throw new MeshError('ERR_NET_UNREACHABLE', 'nobody there')
        return (await found.prekeys.current()).bundle
      },
      choose: choose ?? (async () => ({ executor: peers[0]?.own.did ?? keyring.did, why: 'the only one' })),
    })
  }
  const stage: Stage = {
    clock,
    disk,
    executors: peers.map(({ own }) => own.did),
    asker: undefined as unknown as Asker,
    streams: [],
    script: async (stream) => await stream.end(42),
    isCut: false,
    async run(order = {}) {
      const seen: TaskProgress[] = []
      const running = async (): Promise<void> => {
        for await (const progress of stage.asker.tasks.run({ on: peers[0]?.own.did ?? keyring.did, code: 'return 42', input: null, ...order })) {
          seen.push(progress)
        }
      }
      await (order.files === undefined && order.out === undefined ? clock.run(running()) : running())
      return seen
    },
    async start(order = {}) {
      const starting = stage.asker.tasks.start({ on: peers[0]?.own.did ?? keyring.did, code: 'return 42', input: null, ...order })
      await clock.advance(0)
      return (await starting).id
    },
    async restart() {
      life++
      disk.crash()
      stage.asker = await begin()
    },
    async audited(event) {
      let found = 0
      const log = await createAudit({ store: disk, sign: keyring.sign, did: keyring.identity, keys: keyring.keys, clock, logger: silentLogger })
      for await (const entry of log.entries()) if (entry.event === event) found++
      return found
    },
  }
  stage.asker = await begin()
  return stage
}

/** A file as the wire names it. */
export const artefactOf = (name: string, bytes: Uint8Array): Artefact => ({ name, size: bytes.length, hash: sha256(bytes) })
