import { type Clock, concat, type Random } from '../../base/index.ts'
import { unavailable } from '../programs.ts'
import { byDeadline } from './deadline.ts'
import { wakeSeedBytes, wokenAnswer } from './guest-scripts.ts'
import type { Machine } from './monitor.ts'

const millisecondsASecond = 1_000n
const nanosecondsAMillisecond = 1_000_000n

/** Gives a loaded machine the time and chance of its own, so that no two copies draw the same. Resolves when the guest's kernel has drawn anew. @throws ERR_SANDBOX_UNAVAILABLE, ERR_TIMEOUT */
export async function wake(machine: Machine, clock: Clock, random: Random, timeoutMs: number): Promise<void> {
  const answered = new Promise<void>((resolve, reject) => {
    let answer = ''
    machine.control.on('data', (chunk: Uint8Array) => {
      answer = (answer + Buffer.from(chunk).toString('latin1')).slice(0, wokenAnswer.length)
      if (answer === wokenAnswer) resolve()
    })
    void machine.closed.then(() => reject(unavailable(`the machine ended before it woke: ${machine.said().trim()}`)))
  })
  const now = BigInt(clock.now())
  const time = new DataView(new ArrayBuffer(16))
  time.setBigInt64(0, now / millisecondsASecond, true)
  time.setBigInt64(8, (now % millisecondsASecond) * nanosecondsAMillisecond, true)
  machine.control.write(concat(new Uint8Array(time.buffer), random.bytes(wakeSeedBytes)))
  await byDeadline(clock, timeoutMs, 'waking a machine', answered)
  // Nobody listens there any more.
  machine.control.removeAllListeners('data')
  machine.control.destroy()
}
