/**
 * The process that holds the isolates: `node worker.ts <isolated-vm addon>`. Reads tasks from stdin, writes frames to stdout, one task at a time.
 * Runs everything on its main thread; the node outside watches clock, memory and output, and kills this process.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import type IsolatedVm from 'isolated-vm'
import { checkCode, codeBytesMax } from './code.ts'
import {
  encodeFrame,
  failureTextMax,
  FrameReader,
  type FrameType,
  frameTypes,
  progressNoteMax,
  type WorkerFailure,
  type WorkerTask,
  type WorkerUsage,
} from './frames.ts'
import { guestMain } from './guest.ts'

/** A task frame: code, input and JSON quoting. */
const taskFrameBytesMax = 64 << 20
const readBytes = 64 << 10
const isolateMemoryMiBMin = 8

const addonPath = process.argv[2] ?? ''
const { ivm } = createRequire(import.meta.url)(addonPath) as { readonly ivm: typeof IsolatedVm }
const guestSource = `return (${guestMain.toString()})($0, $1, $2, $3)`

function write(type: FrameType, payload: Uint8Array): void {
  const frame = encodeFrame(type, payload)
  for (let offset = 0; offset < frame.length;) offset += writeSync(1, frame, offset)
}
const writeJson = (type: FrameType, value: WorkerUsage | WorkerFailure): void => write(type, Buffer.from(JSON.stringify(value)))

/** Waits to be killed. Nothing of the task runs any more, since the host call never returns. */
function halt(): never {
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function runTask(task: WorkerTask): void {
  const cpuAtStart = process.cpuUsage()
  let hostCalls = 0
  let outputBytes = 0
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
    if (++hostCalls > task.hostCalls) return stop('hostCalls')
    switch (kind) {
      case 'console':
        write(frameTypes.console, Buffer.concat([Uint8Array.of(Number(extra)), counted(Buffer.from(text))]))
        return ''
      case 'progress':
        write(frameTypes.progress, counted(Buffer.from(`${extra} ${text.slice(0, progressNoteMax)}`)))
        return ''
      case 'random':
        return randomBytes(Math.min(Number(text) || 0, 65_536)).toString('hex')
      case 'uuid':
        return randomUUID()
      case 'sha256':
        return createHash('sha256')
          .update(Buffer.from(text, extra === 'utf8' ? 'utf8' : 'latin1'))
          .digest('hex')
      default:
        return ''
    }
  }

  if (Buffer.byteLength(task.code) > codeBytesMax) return fail('code', `longer than ${codeBytesMax} bytes`)
  const problem = checkCode(task.code)
  if (problem !== undefined) return fail('code', `${problem.message} (line ${problem.line}, column ${problem.column})`)
  try {
    isolate = new ivm.Isolate({ memoryLimit: Math.max(isolateMemoryMiBMin, task.memoryMiB) })
    const context = isolate.createContextSync()
    context.evalClosureSync(guestSource, [new ivm.Callback(call), task.code, task.input, task.outputBytes])
    if (!ended) fail('threw', 'the task waits for a promise that nothing can settle')
  } catch (error) {
    // An unhandled rejection of the guest surfaces here after the task has ended; it changes nothing.
    if (isolate?.isDisposed === true && !ended) stop('memoryMiB')
    if (!ended) fail('threw', error instanceof Error ? error.message : 'unknown')
  } finally {
    if (isolate?.isDisposed === false) isolate.dispose()
  }
}

function heapBytes(isolate: IsolatedVm.Isolate): number {
  try {
    const { total_heap_size, externally_allocated_size } = isolate.getHeapStatisticsSync()
    return total_heap_size + externally_allocated_size
  } catch {
    return 0
  }
}

async function serve(): Promise<void> {
  const reader = new FrameReader(taskFrameBytesMax)
  const buffer = new Uint8Array(readBytes)
  write(frameTypes.ready, new Uint8Array())
  for (;;) {
    const count = readSync(0, buffer)
    if (count === 0) return
    for (const { payload } of reader.push(buffer.slice(0, count))) {
      runTask(JSON.parse(Buffer.from(payload).toString()) as WorkerTask)
      // Lets isolated-vm free what the isolate left behind.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

await serve()
