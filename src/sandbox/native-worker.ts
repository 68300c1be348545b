/**
 * The process of the level `native`: a task's code in a plain Node process with all that Node offers, and the same names as at every other level.
 * Isolates nothing: for the operator's own code. One task, then it ends.
 */
import { analyseCode, codeBytesMax, describeMissing, missingUse } from './code.ts'
import {
  encodeFrame,
  failureTextMax,
  FrameReader,
  type FrameType,
  frameTypes,
  hostCallBytesMax,
  numbered,
  progressNoteMax,
  readNumbered,
  type WorkerTask,
} from './frames.ts'
import { type GuestEnter, guestMain, guestNames } from './guest.ts'
import { localCall } from './local-calls.ts'

const taskFrameBytesMax = 64 << 20
const write = (type: FrameType, payload: Uint8Array): void => void process.stdout.write(encodeFrame(type, payload))
let enter: GuestEnter = () => undefined
let hostCalls = 0
let lastCall = 0
let ended = false

function end(type: FrameType, payload: Uint8Array): void {
  if (ended) return
  ended = true
  const { user, system } = process.cpuUsage()
  write(frameTypes.usage, Buffer.from(JSON.stringify({ cpuMs: Math.round((user + system) / 1_000), memoryBytes: process.memoryUsage.rss(), hostCalls })))
  write(type, payload)
}
const fail = (reason: string, text: string): void => end(frameTypes.failed, Buffer.from(JSON.stringify({ reason, text: text.slice(0, failureTextMax) })))

/** As in worker.ts; output and calls are counted by the node alone. */
function call(kind: string, text: string, extra: string): string {
  if (ended) return ''
  switch (kind) {
    case 'over':
      fail('outputBytes', '')
      return ''
    case 'done':
      end(frameTypes.done, Buffer.from(text))
      return ''
    case 'threw':
    case 'result':
    case 'code':
    case 'input':
      fail(kind, text)
      return ''
    case 'reply':
    case 'replyFailed':
      write(frameTypes.reply, numbered(Number(extra), Uint8Array.of(kind === 'reply' ? 1 : 0), Buffer.from(text)))
      return ''
    default:
      hostCalls++
  }
  switch (kind) {
    case 'console':
      write(frameTypes.console, Buffer.concat([Uint8Array.of(Number(extra)), Buffer.from(text)]))
      return ''
    case 'progress':
      write(frameTypes.progress, Buffer.from(`${extra} ${text.slice(0, progressNoteMax)}`))
      return ''
    case 'call': {
      const id = ++lastCall
      write(frameTypes.call, numbered(id, Uint8Array.of(extra.length), Buffer.from(extra), Buffer.from(text)))
      return String(id)
    }
    case 'receiving':
      write(frameTypes.receiving, new Uint8Array())
      return ''
    default:
      return localCall(kind, text, extra) ?? ''
  }
}

function begin({ engine, code, input, outputBytes, capabilities }: WorkerTask): void {
  if (engine !== 'javascript') return fail('engine', `the level native does not run ${engine}`)
  if (Buffer.byteLength(code) > codeBytesMax) return fail('code', `longer than ${codeBytesMax} bytes`)
  const { problem, uses = [] } = { uses: undefined, ...analyseCode(code) }
  if (problem !== undefined) return fail('code', `${problem.message} (line ${problem.line}, column ${problem.column})`)
  const missing = capabilities === undefined ? undefined : missingUse(uses, capabilities)
  if (missing !== undefined) return fail('permission', describeMissing(missing, capabilities ?? []))
  enter = guestMain(call, { hostCallBytesMax, names: guestNames, removed: [] })
  enter('begin', String(outputBytes), code, input)
}

process.on('uncaughtException', (error) => fail('threw', error instanceof Error ? `${error.name}: ${error.message}` : String(error)))
const reader = new FrameReader(taskFrameBytesMax)
process.stdin.on('data', (chunk: Uint8Array) => {
  for (const { type, payload } of reader.push(chunk)) {
    if (type === frameTypes.task) {
      begin(JSON.parse(Buffer.from(payload).toString()) as WorkerTask)
      continue
    }
    if (type === frameTypes.ping) {
      write(frameTypes.pong, payload)
      continue
    }
    const got = readNumbered(payload)
    if (got === undefined) continue
    if (type === frameTypes.message) enter('message', String(got.id), Buffer.from(got.rest).toString())
    else enter(got.rest[0] === 1 ? 'ok' : 'refused', String(got.id), Buffer.from(got.rest.subarray(1)).toString())
  }
})
process.stdin.on('end', () => process.kill(process.pid))
write(frameTypes.ready, new Uint8Array())
