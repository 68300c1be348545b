import { utf8 } from '../../base/index.ts'
import { encodeFrame, FrameReader, frameTypes, type WorkerTask } from '../frames.ts'
import { unavailable } from '../programs.ts'
import type { Machine } from './monitor.ts'

/** A task of our own that a machine runs before it gets one of a stranger. */
export interface Errand {
  readonly task: WorkerTask
  readonly result: string
}

const errand = (code: string, result: string): Errand => ({
  task: { engine: 'javascript', code, input: '{"a":1}', memoryMiB: 64, outputBytes: 1_000, hostCalls: 100, processes: 8 },
  result,
})

/** Touches what every task needs, so that it is compiled, and without KVM translated, when a task comes. Draws no chance. */
export const warmUp = errand('console.log("warm", input); progress(0.5, "half"); return { a: [input.a + 1] }', '{"a":[2]}')
export const probe = errand('return input.a + 1', '2')

/** Longest frame of a worker that runs errands. */
const errandFrameBytesMax = 64 << 10

/** @throws ERR_SANDBOX_UNAVAILABLE when the result is another, or the machine ends */
export async function run(machine: Machine, { task, result }: Errand): Promise<void> {
  const answer = nextFrame(machine, frameTypes.done)
  machine.frames.write(encodeFrame(frameTypes.task, utf8(JSON.stringify(task))))
  const found = Buffer.from(await answer).toString()
  if (found !== result) throw unavailable(`a task gave ${found.slice(0, 100)}`)
}

/** The payload of the next frame of a type; afterwards nobody reads. */
export function nextFrame(machine: Machine, type: number): Promise<Uint8Array> {
  const reader = new FrameReader(errandFrameBytesMax)
  return new Promise((resolve, reject) => {
    const onData = (chunk: Uint8Array): void => {
      try {
        for (const frame of reader.push(chunk)) {
          if (frame.type === frameTypes.failed) throw unavailable(`a task failed: ${Buffer.from(frame.payload).toString().slice(0, 200)}`)
          if (frame.type !== type) continue
          machine.frames.off('data', onData)
          machine.frames.pause()
          resolve(frame.payload)
        }
      } catch (error) {
        reject(error instanceof Error ? error : unavailable(String(error)))
      }
    }
    machine.frames.on('data', onData)
    // It was paused after the frame before.
    machine.frames.resume()
    void machine.closed.then(() => reject(unavailable('the machine ended')))
  })
}
