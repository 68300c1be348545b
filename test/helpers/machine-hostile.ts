/**
 * Runs in the place of a worker in a machine, so that it has whatever code that left its isolate would have. Does what the code of a task names, and
 * what everything else asks for as a worker would.
 */
import { readdirSync, readSync, writeFileSync, writeSync, openSync, existsSync } from 'node:fs'

const channel = openSync(process.argv.at(-1) ?? '', 'r+')

function send(type: number, payload: string | Uint8Array): void {
  const bytes = Buffer.from(payload as string)
  const frame = Buffer.alloc(5 + bytes.length)
  frame.writeUInt32BE(1 + bytes.length)
  frame[4] = type
  bytes.copy(frame, 5)
  writeAll(frame)
}
function writeAll(bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length;) offset += writeSync(channel, bytes, offset)
}
function receive(): { readonly code: string; readonly input: string } {
  let got = Buffer.alloc(0)
  const buffer = new Uint8Array(1 << 16)
  while (got.length < 4 || got.length < 4 + got.readUInt32BE()) got = Buffer.concat([got, buffer.slice(0, readSync(channel, buffer))])
  return JSON.parse(got.subarray(5).toString()) as { code: string; input: string }
}
const tryAll = (paths: readonly string[], action: (path: string) => void): readonly string[] =>
  paths.filter((path) => {
    try {
      action(path)
      return true
    } catch {
      return false
    }
  })
const devices = (): readonly string[] => readdirSync('/dev').map((name) => `/dev/${name}`)
const marks = ['/', '/app', '/work', '/tmp', '/etc', '/usr/bin', '/root', '/var', '/dev', '/proc', '/sys'].map((folder) => `${folder}/mark`)

const deeds: Readonly<Record<string, () => unknown>> = {
  // Console lines without end, as large as they may be.
  flood() {
    const line = Buffer.alloc(60_000, 0x78)
    line[0] = 0
    for (;;) send(2, line)
  },
  // Bytes that are no frames, without end.
  noise() {
    const noise = Buffer.alloc(1 << 16, 0x7f)
    for (;;) writeAll(noise)
  },
  huge: () => writeAll(Buffer.from([0xff, 0xff, 0xff, 0xff, 2, 0])),
  empty: () => writeAll(Buffer.from([0, 0, 0, 0])),
  unknown: () => send(99, 'x'),
  notJson: () => send(5, '{'),
  usageTwice() {
    for (let round = 0; round < 2; round++) send(4, '{"cpuMs":0,"memoryBytes":0,"hostCalls":0}')
  },
  half() {
    writeAll(Buffer.from([0, 0, 0, 9, 2]))
    for (;;);
  },
  exit: () => process.exit(0),
  // Leaves a mark wherever it can, and overwrites every device it can open.
  marks: () => ({
    left: tryAll(marks, (path) => writeFileSync(path, 'mark')),
    devices: tryAll(devices(), (path) => writeSync(openSync(path, 'r+'), Buffer.alloc(4_096, 0xff))).filter(
      (path) => !/\/(null|zero|full|tty|u?random|ptmx|vport)/.test(path),
    ),
  }),
  found: () => marks.filter((path) => existsSync(path)),
  who: () => ({ uid: process.getuid?.(), net: readdirSync('/sys/class/net'), disks: readdirSync('/sys/block').filter((name) => name.startsWith('vd')) }),
}

/** What an honest worker would give to the tasks it gets. */
function asked(code: string, input: { readonly a: number } | number): unknown {
  if (typeof input === 'number') return input + 1
  return code.includes('warm') ? { a: [input.a + 1] } : input.a + 1
}

send(1, '')
for (;;) {
  const { code, input } = receive()
  const deed = deeds[code]
  const result = deed === undefined ? asked(code, JSON.parse(input) as { a: number } | number) : deed()
  send(4, '{"cpuMs":0,"memoryBytes":0,"hostCalls":0}')
  send(5, JSON.stringify(result ?? null))
}
