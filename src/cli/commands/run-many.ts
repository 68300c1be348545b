import { isErrorCode, MeshError, toMeshError } from '../../base/index.ts'
import type { Client, TaskBody, TaskLine } from '../../client/index.ts'
import type { Context } from '../context.ts'

/** Peers a task runs on at a time. */
const atOnceMax = 16
const peersMax = 100

export interface Many {
  readonly client: Client
  readonly body: Omit<TaskBody, 'on'>
  /** Separated by commas, or `all`. */
  readonly peers: string
  readonly signal: AbortSignal
  /** Only ask whether they would. */
  readonly isPlan: boolean
}

type Ended = Extract<TaskLine, { readonly type: 'result' }>

interface Outcome {
  readonly peer: string
  readonly ok: boolean
  readonly id: string
  readonly result: unknown
  readonly error: { readonly code: string; readonly message: string } | null
  readonly usage: Ended['usage'] | null
  readonly artefacts: readonly Ended['artefacts'][number][]
  readonly receipt: Ended['receipt'] | null
}

/** One task on many peers: each ends for itself, and the exit code tells whether all ended well. @throws ERR_TASK_PARTIAL, or the code that all failed with */
export async function runMany(context: Context, { client, body, peers, signal, isPlan }: Many): Promise<void> {
  const targets = await targetsOf(client, peers, signal)
  const board = createBoard(context, targets)
  const outcomes: Outcome[] = []
  const left = [...targets.keys()]
  async function worker(): Promise<void> {
    for (let index = left.shift(); index !== undefined; index = left.shift()) {
      const peer = targets[index] ?? ''
      const order = { ...body, on: peer, ...(body.out === undefined ? {} : { out: `${body.out}/${folderOf(peer)}` }) }
      const outcome = await (isPlan
        ? plan(client, order, signal)
        : one(client, order, { signal, show: (text, fraction) => board.show(index ?? 0, text, fraction) }))
      outcomes[index] = outcome
      if (context.jsonl) context.print('run-one', outcome, () => '')
      board.show(index, outcome.ok ? 'ok' : `${outcome.error?.code ?? 'failed'}: ${outcome.error?.message ?? ''}`, 1)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnceMax, targets.length) }, worker))
  const failed = outcomes.filter(({ ok }) => !ok)
  context.print('run-many', { ok: outcomes.length - failed.length, failed: failed.length, results: outcomes }, ({ results }) =>
    results.map(({ peer, ok, result, error }) => `${peer}  ${ok ? JSON.stringify(result ?? null) : `${error?.code ?? ''} ${error?.message ?? ''}`}`).join('\n'),
  )
  if (signal.aborted) throw toMeshError(signal.reason)
  if (failed.length === 0) return
  const codes = new Set(failed.map(({ error }) => error?.code))
  const [code] = codes
  const isSame = failed.length === outcomes.length && codes.size === 1 && isErrorCode(code)
  throw new MeshError(isSame && isErrorCode(code) ? code : 'ERR_TASK_PARTIAL', `${failed.length} of ${outcomes.length} peers did not bring a result`)
}

async function targetsOf(client: Client, peers: string, signal: AbortSignal): Promise<readonly string[]> {
  const { did } = await client.status({ signal })
  const named =
    peers === 'all'
      ? (await client.find({ capability: 'task', limit: peersMax }, { signal })).peers.map((peer) => peer.did)
      : peers.split(',').map((peer) => peer.trim())
  const targets = [...new Set(named)].filter((peer) => peer !== '' && peer !== did)
  if (targets.length === 0) throw new MeshError('ERR_CAPABILITY_DENIED', 'no peer that runs tasks was found', { hint: 'connect to some with `kindmesh dial`' })
  if (targets.length > peersMax) throw new MeshError('ERR_USAGE', `at most ${peersMax} peers at a time`)
  return targets
}

/** A folder for each, by the end of its DID. */
const folderOf = (peer: string): string => peer.replaceAll(/[^\w-]/g, '_').slice(-24)

async function one(
  client: Client,
  order: TaskBody,
  { signal, show }: { readonly signal: AbortSignal; show(text: string, fraction: number): void },
): Promise<Outcome> {
  const none = { peer: order.on, ok: false, id: '', result: null, error: null, usage: null, artefacts: [], receipt: null } as const
  let id = ''
  let fraction = 0
  try {
    for await (const line of client.run(order, { signal })) {
      if (line.type === 'asked') id = line.id
      else if (line.type === 'accepted') show('accepted', fraction)
      else if (line.type === 'queued') show(`waits behind ${line.position}`, fraction)
      else if (line.type === 'running') show('running', fraction)
      else if (line.type === 'retry') show(`again after ${line.code}`, fraction)
      else if (line.type === 'progress') show(line.note === '' ? 'running' : line.note, (fraction = line.fraction))
      else if (line.type === 'result') {
        const { ok, result = null, error = null, usage, artefacts, receipt } = line
        return { peer: order.on, ok, id, result, error, usage, artefacts, receipt }
      }
    }
    return { ...none, id, error: { code: 'ERR_PROTOCOL', message: 'the task ended without a result' } }
  } catch (error) {
    const { code, message } = toMeshError(error)
    return { ...none, id, error: { code, message } }
  }
}

async function plan(client: Client, order: TaskBody, signal: AbortSignal): Promise<Outcome> {
  const none = { peer: order.on, ok: false, id: '', result: null, error: null, usage: null, artefacts: [], receipt: null } as const
  try {
    const { decision } = await client.planTask(order, { signal })
    if (decision.allow === false) return { ...none, error: { code: decision.code, message: decision.reason } }
    return { ...none, ok: true, result: decision }
  } catch (error) {
    const { code, message } = toMeshError(error)
    return { ...none, error: { code, message } }
  }
}

interface Board {
  show(index: number, text: string, fraction: number): void
}

/** A line for each peer, drawn over where somebody sits at a terminal; elsewhere a line for each change. */
function createBoard(context: Context, peers: readonly string[]): Board {
  const width = 20
  const states = peers.map(() => ({ text: 'asked', fraction: 0 }))
  const isDrawn = context.isTalking && process.stderr.isTTY
  const named = (peer: string): string => (peer.length > 28 ? `…${peer.slice(-27)}` : peer).padEnd(28)
  let lines = 0
  function draw(): void {
    const columns = (process.stderr.columns ?? 80) - 1
    const rows = states.map(({ text, fraction }, index) => {
      const filled = Math.floor(Math.min(1, Math.max(0, fraction)) * width)
      return `${named(peers[index] ?? '')} ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${text.replaceAll(/\p{Cc}/gu, ' ')}`.slice(0, columns)
    })
    process.stderr.write(`${lines > 0 ? `\x1b[${lines}A` : ''}${rows.map((row) => `\r\x1b[2K${row}\n`).join('')}`)
    lines = rows.length
  }
  return {
    show(index, text, fraction) {
      const before = states[index]
      states[index] = { text, fraction }
      if (isDrawn) draw()
      else if (before?.text !== text) context.say(`${peers[index] ?? ''}: ${text}`)
    },
  }
}
