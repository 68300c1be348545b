import { accessSync, chownSync, constants, createWriteStream, existsSync, lstatSync, mkdtempSync, readlinkSync, rmSync, statSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../base/index.ts'
import { byDeadline } from './deadline.ts'
import { findProgram, versionOf, unavailable, workerUid } from '../programs.ts'
import { ports } from './guest-scripts.ts'
import type { Accelerator, BootedMachine, Lack, Machine, MachineMonitor, MachineParts } from './monitor.ts'
import { channel, startWalled } from './walled.ts'

export interface QemuOptions {
  readonly accelerator: Accelerator
  readonly clock: Clock
  /** The programs; found where the system keeps its programs when undefined. */
  readonly qemu?: string | undefined
  readonly bwrap?: string | undefined
}

/** Translated code of a machine without KVM, MiB. The default, a quarter of the machine's memory, would count against nobody. */
const translationMiB = 96
const saveTimeoutMs = 30_000
const kvmDevice = '/dev/kvm'
/** Advanced vector instructions are slower than their replacements when they are emulated. */
const processors: Readonly<Record<Accelerator, string>> = { tcg: 'max,-avx,-avx2', kvm: 'host' }
/** The machine is one task's: it needs no guard of its kernel against that task's leftovers, and no memory cleared twice. */
const kernelArguments = 'console=ttyS0 quiet panic=-1 reboot=t init_on_alloc=0 mitigations=off random.trust_cpu=on'
const sandbox = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'

/** QEMU in bubblewrap: no network, nothing writable, nobody's uid, few system calls, its state and channels handed over open. */
export function qemuMonitor({ accelerator, clock, qemu = findProgram('qemu-system-x86_64'), bwrap = findProgram('bwrap') }: QemuOptions): MachineMonitor {
  const start = (parts: MachineParts, rest: readonly string[], binds: readonly string[], stateFile?: string): Machine & { readonly monitor: Socket } => {
    if (qemu === undefined || bwrap === undefined) throw unavailable('qemu or bubblewrap is missing')
    const walled = startWalled({
      bwrap,
      binds: [...systemBinds(), ...partBinds(parts), ...(accelerator === 'kvm' ? ['--dev-bind', kvmDevice, kvmDevice] : []), ...binds],
      command: [qemu, ...hardware(accelerator, parts), ...rest],
      stateFile,
      ...(accelerator === 'kvm' ? { group: statSync(kvmDevice).gid } : {}),
    })
    return walled
  }
  return {
    name: `qemu-${accelerator}`,
    accelerator,
    version: () => versionOf(qemu),
    build() {
      if (qemu === undefined) return ''
      const { size, mtimeMs } = statSync(qemu)
      return JSON.stringify([size, mtimeMs, hardware(accelerator, { kernel: '', initialDisk: '', rootDisk: '', memoryMiB: 0 })])
    },
    lacks() {
      if (qemu === undefined || !existsSync(qemu)) return { why: 'qemu is missing', fix: 'apt-get install --no-install-recommends qemu-system-x86' }
      if (bwrap === undefined || !existsSync(bwrap)) return { why: 'bubblewrap is missing', fix: 'apt-get install bubblewrap' }
      return accelerator === 'kvm' ? lacksKvm() : undefined
    },
    async boot(parts) {
      // The machine saves itself through a socket, since QEMU may not start another program.
      const folder = mkdtempSync(join(tmpdir(), 'kindmesh-machine-'))
      if (process.getuid?.() === 0) chownSync(folder, workerUid, workerUid)
      const machine = start(parts, ['-chardev', `socket,id=monitor,fd=${channel.monitor}`, '-mon', 'chardev=monitor,mode=control'], ['--bind', folder, '/save'])
      void machine.closed.then(() => rmSync(folder, { recursive: true, force: true }))
      return { ...machine, save: (stateFile) => save(machine, join(folder, 'socket'), stateFile, clock) } satisfies BootedMachine
    },
    async restore(parts, stateFile) {
      return start(parts, ['-incoming', `fd:${channel.state}`], [], stateFile)
    },
  }
}

const hardware = (accelerator: Accelerator, { memoryMiB }: MachineParts): readonly string[] => [
  ...['-nodefaults', '-no-user-config', '-nographic', '-no-reboot', '-sandbox', sandbox],
  ...['-machine', 'q35', '-accel', accelerator === 'tcg' ? `tcg,tb-size=${translationMiB}` : 'kvm', '-cpu', processors[accelerator]],
  ...['-m', String(memoryMiB), '-smp', '1', '-kernel', '/machine/kernel', '-initrd', '/machine/initial', '-append', kernelArguments],
  ...['-drive', 'if=none,id=root,file=/machine/root,format=raw,readonly=on', '-device', 'virtio-blk-pci,drive=root'],
  ...['-serial', 'stdio', '-device', 'virtio-serial-pci'],
  ...[ports.frames, ports.control].flatMap((name) => [
    ...['-chardev', `socket,id=${name},fd=${channel[name]}`],
    ...['-device', `virtserialport,chardev=${name},name=${name}`],
  ]),
]

/** Programs and libraries of the system, as they lie there. */
function systemBinds(): readonly string[] {
  const tops = ['/lib', '/lib64', '/bin'].filter((path) => existsSync(path))
  return [
    ...['--ro-bind', '/usr', '/usr', '--ro-bind-try', '/etc/ld.so.cache', '/etc/ld.so.cache'],
    ...tops.flatMap((path) => (lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path])),
  ]
}

const partBinds = ({ kernel, initialDisk, rootDisk }: MachineParts): readonly string[] => [
  ...['--ro-bind', kernel, '/machine/kernel', '--ro-bind', initialDisk, '/machine/initial', '--ro-bind', rootDisk, '/machine/root'],
]

function lacksKvm(): Lack | undefined {
  if (!existsSync(kvmDevice)) return { why: 'this machine has no /dev/kvm', fix: 'enable virtualization in the firmware, or for the machine this one runs in' }
  if (process.getuid?.() === 0) {
    // QEMU runs as nobody, with the group of the device.
    const { gid, mode } = statSync(kvmDevice)
    return gid !== 0 && (mode & 0o060) === 0o060
      ? undefined
      : { why: '/dev/kvm is for root alone', fix: 'groupadd -rf kvm && chgrp kvm /dev/kvm && chmod 0660 /dev/kvm' }
  }
  try {
    accessSync(kvmDevice, constants.R_OK | constants.W_OK)
    return undefined
  } catch {
    return { why: '/dev/kvm may not be opened', fix: 'add the user to the group kvm: usermod -aG kvm USER' }
  }
}

/** The monitor sends the machine to the socket; the first connection is taken, there is no second. */
async function save(machine: Machine & { readonly monitor: Socket }, socketPath: string, stateFile: string, clock: Clock): Promise<void> {
  const server = createServer({ pauseOnConnect: false })
  server.maxConnections = 1
  let isCompleted = false
  const written = new Promise<void>((resolve, reject) => {
    server.once('connection', (socket) => pipeline(socket, createWriteStream(stateFile, { flags: 'wx', mode: 0o444 })).then(resolve, reject))
    server.once('error', reject)
    void machine.closed.then(() => isCompleted || reject(unavailable(`the machine ended before it was saved: ${machine.said().trim()}`)))
  })
  written.catch(() => undefined)
  try {
    await new Promise<void>((resolve) => server.listen({ path: socketPath, writableAll: true }, resolve))
    const completed = new Promise<void>((resolve) => {
      let answers = ''
      machine.monitor.on('data', (chunk: Uint8Array) => {
        answers = (answers + Buffer.from(chunk).toString()).slice(-64_000)
        if (!answers.includes('"status": "completed"')) return
        isCompleted = true
        resolve()
      })
    })
    for (const command of saveCommands) machine.monitor.write(`${JSON.stringify(command)}\n`)
    await byDeadline(clock, saveTimeoutMs, 'saving the machine', Promise.race([completed, written]))
    machine.monitor.write(`${JSON.stringify({ execute: 'quit' })}\n`)
    await byDeadline(clock, saveTimeoutMs, 'saving the machine', written)
  } finally {
    server.close()
    machine.kill()
    rmSync(dirname(socketPath), { recursive: true, force: true })
  }
}

const saveCommands = [
  { execute: 'qmp_capabilities' },
  { execute: 'migrate-set-capabilities', arguments: { capabilities: [{ capability: 'events', state: true }] } },
  // Nobody waits for this line: as quick as it goes.
  { execute: 'migrate-set-parameters', arguments: { 'max-bandwidth': 1e11 } },
  { execute: 'migrate', arguments: { uri: 'unix:/save/socket' } },
]
