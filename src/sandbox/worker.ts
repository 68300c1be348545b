/**
 * The process that holds the isolates: `node worker.ts <isolated-vm addon> [device] [--commands]`. Reads tasks, answers and messages from stdin, writes frames to stdout
 * (both from and to the device when there is one); one task at a time.
 * Runs everything on its main thread; the node outside watches clock, memory and output, and kills this process.
 */
import { openSync, readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import type IsolatedVm from 'isolated-vm'
import { hostCallCapabilities } from './capabilities.ts'
import { analyseCode, codeBytesMax, describeMissing, missingUse } from './code.ts'
import { parseCommand, resultText, runCommand, runSpawned, type SpawnOrder } from './command.ts'
import {
  encodeFrame,
  failureTextMax,
  type Frame,
  FrameReader,
  type FrameType,
  frameTypes,
  hostCallBytesMax,
  hostCallsInFlightMax,
  numbered,
  progressNoteMax,
  readNumbered,
  type WorkerFailure,
  type WorkerTask,
  type WorkerUsage,
} from './frames.ts'
import { type GuestEnter, guestMain, guestNames } from './guest.ts'
import { localCall } from './local-calls.ts'
import { missingImport, wasmMain, wasmModuleBytesMax } from './wasm-guest.ts'

/** A task frame: code, input and JSON quoting. */
const taskFrameBytesMax = 64 << 20
const readBytes = 64 << 10
const isolateMemoryMiBMin = 8
/** Of the first task, until there was one. */
const realmMemoryMiB = 128
/** Globals a task does not get: threads, shared memory, clocks made of them, code below JavaScript. */
const removed = ['WebAssembly', 'SharedArrayBuffer', 'Atomics', 'FinalizationRegistry', 'WeakRef', 'console']

const mayRunCommands = process.argv.includes('--commands')
const [, , addonPath = '', device] = process.argv.filter((word) => word !== '--commands')
const { ivm } = createRequire(import.meta.url)(addonPath) as { readonly ivm: typeof IsolatedVm }
const wasmSource = `return (${wasmMain.toString()})($0, $1, $2, JSON.parse($3))`
const guestSource = `return (${guestMain.toString()})($0, JSON.parse($1))`
const bounds = JSON.stringify({ hostCallBytesMax, names: guestNames, removed })
const channel = device === undefined ? undefined : openSync(device, 'r+')

function write(type: FrameType, payload: Uint8Array): void {
  const frame = encodeFrame(type, payload)
  for (let offset = 0; offset < frame.length;) offset += writeSync(channel ?? 1, frame, offset)
}
const writeJson = (type: FrameType, value: WorkerUsage | WorkerFailure): void => write(type, Buffer.from(JSON.stringify(value)))

const reader = new FrameReader(taskFrameBytesMax)
const buffer = new Uint8Array(readBytes)
const arrived: Frame[] = []
/** The next frame of the node; blocks. Undefined when the node has left. */
function nextFrame(): Frame | undefined {
  for (;;) {
    const frame = arrived.shift()
    if (frame !== undefined) return frame
    const count = readSync(channel ?? 0, buffer)
    if (count === 0) return undefined
    arrived.push(...reader.push(buffer.slice(0, count)))
  }
}

/** Waits to be killed. Nothing of the task runs any more, since the host call never returns. */
function halt(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Bytes cross to a module's realm as texts with a character a byte. */
const latin = (text: string): string => Buffer.from(text).toString('latin1')
const fromLatin = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/** A fresh isolate with the guest side in it, before any code of a task. */
interface Realm {
  readonly isolate: IsolatedVm.Isolate
  readonly memoryMiB: number
  readonly enter: IsolatedVm.Reference<GuestEnter>
  /** Takes the calls of the task it is for. */
  onCall: (kind: unknown, text: unknown, extra: unknown) => string
}

const createIsolate = (memoryMiB: number): IsolatedVm.Isolate => new ivm.Isolate({ memoryLimit: Math.max(isolateMemoryMiBMin, memoryMiB) })

function createRealm(memoryMiB: number): Realm {
  const isolate = createIsolate(memoryMiB)
  const call = new ivm.Callback((kind: unknown, text: unknown, extra: unknown): string => realm.onCall(kind, text, extra))
  const enter = isolate.createContextSync().evalClosureSync(guestSource, [call, bounds], { result: { reference: true } }) as Realm['enter']
  const realm: Realm = { isolate, memoryMiB, enter, onCall: () => '' }
  return realm
}

/** Made while nobody waits: half of a small task's time is the making of its realm. */
let spare: Realm | undefined
function takeRealm(memoryMiB: number): Realm {
  const found = spare
  spare = undefined
  if (found?.memoryMiB === memoryMiB) return found
  found?.isolate.dispose()
  return createRealm(memoryMiB)
}

function runTask(task: WorkerTask): Promise<void> | void {
  const cpuAtStart = process.cpuUsage()
  let hostCalls = 0
  let outputBytes = 0
  let lastCall = 0
  let pending = 0
  /** Calls of `spawn` that wait for the node to let the program start. */
  const spawning = new Set<string>()
  let isReceiving = false
  let isolate: IsolatedVm.Isolate | undefined
  let ended = false

  const usage = (): WorkerUsage => {
    const { user, system } = process.cpuUsage(cpuAtStart)
    return { cpuMs: Math.round((user + system) / 1_000), memoryBytes: isolate === undefined ? 0 : heapBytes(isolate), hostCalls }
  }
  const end = (type: FrameType, payload: Uint8Array): void => {
    if (ended) return
    ended = true
    writeJson(frameTypes.usage, usage())
    write(type, payload)
  }
  const fail = (reason: WorkerFailure['reason'], text: string): void =>
    end(frameTypes.failed, Buffer.from(JSON.stringify({ reason, text: text.slice(0, failureTextMax) })))
  const stop = (limit: 'memoryMiB' | 'outputBytes' | 'hostCalls'): never => {
    fail(limit, '')
    return halt()
  }
  const counted = (bytes: Uint8Array): Uint8Array => {
    outputBytes += bytes.length
    return outputBytes > task.outputBytes ? stop('outputBytes') : bytes
  }
  /** Hands a call to the node; its number, or '' when too many wait. */
  const callNode = (name: string, args: string): string => {
    if (pending >= hostCallsInFlightMax || args.length > hostCallBytesMax) return ''
    pending++
    const id = ++lastCall
    if (name === 'spawn') spawning.add(String(id))
    write(frameTypes.call, numbered(id, Uint8Array.of(name.length), Buffer.from(name), Buffer.from(args)))
    return String(id)
  }

  // Never throws: an error would carry our stack into the guest.
  const call = (kind: unknown, text: unknown, extra: unknown): string => {
    if (typeof kind !== 'string' || typeof text !== 'string' || typeof extra !== 'string' || ended) return ''
    if (kind === 'over') return stop('outputBytes')
    if (kind === 'done') {
      end(frameTypes.done, counted(Buffer.from(text)))
      return ''
    }
    if (kind === 'threw' || kind === 'result' || kind === 'code' || kind === 'input') {
      fail(kind, text)
      return ''
    }
    if (kind === 'reply' || kind === 'replyFailed') {
      write(frameTypes.reply, numbered(Number(extra), Uint8Array.of(kind === 'reply' ? 1 : 0), Buffer.from(text.slice(0, hostCallBytesMax))))
      return ''
    }
    if (++hostCalls > task.hostCalls) return stop('hostCalls')
    switch (kind) {
      case 'console':
        write(frameTypes.console, Buffer.concat([Uint8Array.of(Number(extra)), counted(Buffer.from(text))]))
        return ''
      case 'progress':
        write(frameTypes.progress, counted(Buffer.from(`${extra} ${text.slice(0, progressNoteMax)}`)))
        return ''
      case 'call':
        return callNode(extra, text)
      case 'receiving':
        isReceiving = true
        write(frameTypes.receiving, new Uint8Array())
        return ''
      default:
        return localCall(kind, text, extra) ?? ''
    }
  }
  /** What the task is told: the node's answer, or what came of the program that it let start. */
  const answerOf = (id: string, rest: Uint8Array): { readonly isOk: boolean; readonly text: string } => {
    const isOk = rest[0] === 1
    const text = Buffer.from(rest.subarray(1)).toString()
    if (!spawning.delete(id) || !isOk) return { isOk, text }
    if (!mayRunCommands) return { isOk: false, text: '{"code":"ERR_POLICY_DENIED","message":"no program is started at this level"}' }
    return { isOk, text: resultText(runSpawned(JSON.parse(text) as SpawnOrder, task.processes), hostCallBytesMax) }
  }
  /** Hands a call to the node and waits for the answer: a module cannot wait for a promise. */
  const callNow = (name: string, args: string): string => {
    const id = callNode(name, args)
    if (id === '') return '{"error":{"code":"ERR_WIRE_TOO_LARGE","message":"the arguments are too large"}}'
    for (let frame = nextFrame(); frame !== undefined; frame = nextFrame()) {
      const got = readNumbered(frame.payload)
      if (frame.type !== frameTypes.answer || String(got?.id) !== id) continue
      pending--
      const { isOk, text } = answerOf(id, got?.rest ?? new Uint8Array())
      return isOk ? `{"ok":${text}}` : `{"error":${text}}`
    }
    return process.exit()
  }
  /** What a module's realm may say besides. */
  const moduleCall = (kind: unknown, bytes: unknown, extra: unknown): string => {
    if (typeof kind !== 'string' || typeof bytes !== 'string' || typeof extra !== 'string' || ended) return ''
    switch (kind) {
      case 'consoleBytes':
        return call('console', fromLatin(bytes), extra)
      case 'progressBytes':
        return call('progress', fromLatin(bytes), extra)
      case 'text':
        return fromLatin(bytes)
      case 'imports': {
        const missing = task.capabilities === undefined ? undefined : missingImport(JSON.parse(bytes) as readonly string[], task.capabilities)
        if (missing !== undefined) fail('permission', missing)
        return missing ?? ''
      }
      case 'callNow':
        if (++hostCalls > task.hostCalls) return stop('hostCalls')
        return latin(callNow(extra, fromLatin(bytes)))
      case 'doneBytes':
        return isJson(fromLatin(bytes)) ? call('done', fromLatin(bytes), '') : call('result', 'the result is not JSON', '')
      default:
        return call(kind, bytes, extra)
    }
  }
  /** Passes answers and messages on until the task has ended. */
  const serve = ({ enter }: Realm): void => {
    while (!ended && (pending > 0 || isReceiving)) {
      const frame = nextFrame()
      if (frame === undefined) return process.exit()
      if (task.agent === true) {
        hostCalls = 0
        outputBytes = 0
      }
      if (frame.type === frameTypes.ping) write(frameTypes.pong, frame.payload)
      const got = readNumbered(frame.payload)
      if (got === undefined) continue
      if (frame.type === frameTypes.answer) {
        pending--
        const { isOk, text } = answerOf(String(got.id), got.rest)
        enter.applySync(undefined, [isOk ? 'ok' : 'refused', String(got.id), text])
      } else if (frame.type === frameTypes.message) {
        enter.applySync(undefined, ['message', String(got.id), Buffer.from(got.rest).toString()])
      }
    }
  }

  const runModule = (bytes: Buffer, context: IsolatedVm.Context): void => {
    const bounds = JSON.stringify({ outputBytes: task.outputBytes, hostCallBytesMax, calls: Object.keys(hostCallCapabilities) })
    context.evalClosureSync(wasmSource, [new ivm.Callback(moduleCall), bytes.toString('latin1'), latin(task.input), bounds])
    if (!ended) fail('threw', 'the module gave no result')
  }

  /** Programs write as they please: lines are counted as calls, bytes as output. */
  const runProgram = async (words: readonly string[]): Promise<void> => {
    const onText = (stream: 'stdout' | 'stderr', text: string): void => void call('console', text, stream === 'stdout' ? '0' : '3')
    const result = await runCommand(words, task, { onText, after: (ms, fn) => void setTimeout(fn, ms) })
    call('done', resultText(result, task.outputBytes - outputBytes), '')
  }

  const problem = problemOf(task)
  if (problem !== undefined) return fail(problem.reason, problem.text)
  const words = task.engine === 'command' ? parseCommand(task.code) : undefined
  if (words !== undefined) return runProgram(words)
  try {
    if (task.engine === 'wasm') {
      isolate = createIsolate(task.memoryMiB)
      return runModule(Buffer.from(task.code, 'base64'), isolate.createContextSync())
    }
    const realm = takeRealm(task.memoryMiB)
    isolate = realm.isolate
    realm.onCall = call
    realm.enter.applySync(undefined, ['begin', String(task.outputBytes), task.code, task.input])
    serve(realm)
    if (!ended) fail('threw', 'the task waits for a promise that nothing can settle')
  } catch (error) {
    // An unhandled rejection of the guest surfaces here after the task has ended; it changes nothing.
    if (isolate?.isDisposed === true && !ended) stop('memoryMiB')
    if (!ended) fail('threw', error instanceof Error ? error.message : 'unknown')
  } finally {
    if (isolate?.isDisposed === false) isolate.dispose()
  }
}

/** Why a task is not even begun. */
function problemOf({ engine, code, capabilities }: WorkerTask): Pick<WorkerFailure, 'reason' | 'text'> | undefined {
  if (engine === 'wasm') {
    // The strict profile has no compiler.
    if (typeof WebAssembly === 'undefined') return { reason: 'engine', text: 'WebAssembly needs a compiler, which this profile does not have' }
    if (code.length > (wasmModuleBytesMax / 3) * 4) return { reason: 'code', text: `a module of more than ${wasmModuleBytesMax} bytes` }
    return /^[A-Za-z0-9+/]+={0,2}$/.test(code) ? undefined : { reason: 'code', text: 'the module is not base64' }
  }
  if (engine === 'command') {
    if (!mayRunCommands) return { reason: 'engine', text: 'commands run at containerized or virtualized' }
    if (capabilities !== undefined && !capabilities.includes('subprocess:spawn')) return { reason: 'permission', text: 'a command needs subprocess:spawn' }
    return code.length <= codeBytesMax && parseCommand(code) !== undefined
      ? undefined
      : { reason: 'code', text: 'a command is a JSON array of a program and its arguments' }
  }
  if (engine !== 'javascript') return { reason: 'engine', text: `this worker does not run ${String(engine)}` }
  if (Buffer.byteLength(code) > codeBytesMax) return { reason: 'code', text: `longer than ${codeBytesMax} bytes` }
  const { problem, uses = [] } = { uses: undefined, ...analyseCode(code) }
  if (problem !== undefined) return { reason: 'code', text: `${problem.message} (line ${problem.line}, column ${problem.column})` }
  const missing = capabilities === undefined ? undefined : missingUse(uses, capabilities)
  return missing === undefined ? undefined : { reason: 'permission', text: describeMissing(missing, capabilities ?? []) }
}

function heapBytes(isolate: IsolatedVm.Isolate): number {
  try {
    const { total_heap_size, externally_allocated_size } = isolate.getHeapStatisticsSync()
    return total_heap_size + externally_allocated_size
  } catch {
    return 0
  }
}

async function serveTasks(): Promise<void> {
  // A machine is copied after this line: what is made of chance must not exist yet.
  const mayPrepare = device === undefined
  if (mayPrepare) spare = createRealm(realmMemoryMiB)
  write(frameTypes.ready, new Uint8Array())
  for (let frame = nextFrame(); frame !== undefined; frame = nextFrame()) {
    // An answer that came after its task had ended concerns nobody.
    if (frame.type !== frameTypes.task) continue
    const task = JSON.parse(Buffer.from(frame.payload).toString()) as WorkerTask
    await runTask(task)
    // Lets isolated-vm free what the isolate left behind.
    await new Promise((resolve) => setImmediate(resolve))
    if (mayPrepare && arrived.length === 0) spare ??= createRealm(task.memoryMiB)
  }
}

await serveTasks()
