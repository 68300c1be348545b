/**
 * Runs in the place of a sandbox worker that its guest has taken over: says what the code of the task names, byte for byte, and reads nothing more.
 * The code is JSON: `{ say: hex, times, pauseMs, after }` where `after` is `sleep`, `exit` or `next` (says `ready` for the next task).
 */
import { readSync, writeSync } from 'node:fs'

interface Script {
  readonly say: string
  readonly times: number
  readonly pauseMs: number
  readonly after: 'sleep' | 'exit' | 'next'
}

const headerBytes = 5

function sayAll(bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length;) offset += writeSync(1, bytes, offset)
}

function readExactly(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let offset = 0; offset < length;) {
    const count = readSync(0, bytes, offset, length - offset, null)
    if (count === 0) process.exit()
    offset += count
  }
  return bytes
}

sayAll(Uint8Array.of(0, 0, 0, 1, 1))
for (;;) {
  const header = readExactly(headerBytes)
  const task = readExactly(new DataView(header.buffer).getUint32(0) - 1)
  const { say, times, pauseMs, after } = JSON.parse((JSON.parse(Buffer.from(task).toString()) as { readonly code: string }).code) as Script
  const bytes = Buffer.from(say, 'hex')
  for (let round = 0; round < times; round++) {
    sayAll(bytes)
    if (pauseMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs)
  }
  if (after === 'exit') process.exit()
  if (after === 'sleep') for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}
