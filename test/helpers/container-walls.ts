/** Runs as a program in a container and tells, as one line of JSON, what it can reach from there. Plain Node, nothing of ours. */
import { spawnSync } from 'node:child_process'
import { chmodSync, closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'

interface Probe {
  /** Host addresses to try: ports and abstract sockets. */
  readonly ports: readonly number[]
  readonly abstract: string
  /** Name and program, base64. */
  readonly calls: readonly (readonly [string, string])[]
}

const { ports, abstract, calls } = JSON.parse(readFileSync(0, 'utf8')) as Probe

const can = (work: () => unknown): boolean => {
  try {
    work()
    return true
  } catch {
    return false
  }
}
const opens = (path: string): boolean => can(() => closeSync(openSync(path, 'r+')))
const writes = (path: string): boolean => can(() => writeFileSync(path, 'x'))
const connects = (where: { port: number; host: string } | { path: string }): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(where)
    socket.on('error', () => resolve(false))
    socket.on('connect', () => resolve(true))
  })
const attempts = ports.map((port) => connects({ port, host: '127.0.0.1' }))

const status = readFileSync('/proc/self/status', 'latin1')
const field = (name: string): string | undefined => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1]

function outcome([name, program]: Probe['calls'][number], index: number): readonly [string, number | string | null] {
  const path = `/work/call-${index}`
  writeFileSync(path, Buffer.from(program, 'base64'))
  chmodSync(path, 0o755)
  const { status: exit, signal } = spawnSync(path, { stdio: 'inherit' })
  return [name, signal ?? exit]
}

/** Files and folders any process of the container holds open, of the container's own root. */
const held = readdirSync('/proc')
  .filter((name) => /^\d+$/.test(name))
  .flatMap((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).map((descriptor) => readlinkSync(`/proc/${pid}/fd/${descriptor}`))
    } catch {
      return []
    }
  })
  .filter((target) => target.startsWith('/') && !target.startsWith('/dev/') && !target.startsWith('/proc/'))

const facts = {
  uid: process.getuid?.(),
  groups: process.getgroups?.(),
  capabilities: ['CapInh', 'CapPrm', 'CapEff', 'CapBnd'].map((name) => BigInt(`0x${field(name) ?? '0'}`) === 0n),
  noNewPrivileges: field('NoNewPrivs'),
  seccomp: field('Seccomp'),
  /** Without what a shell sets by itself. */
  environment: Object.keys(process.env)
    .filter((name) => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))
    .sort(),
  writable: ['/x', '/app/x', '/bin/x', '/etc/passwd', '/usr/x', '/lib/x', '/dev/x', '/sys/x', '/run/x', '/proc/sys/kernel/hostname'].filter(writes),
  folders: ['/work/x', '/tmp/x'].filter(writes),
  opens: ['/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/dev/mem', '/dev/kmsg', '/dev/sda', '/dev/vda', '/proc/1/mem'].filter((path) => opens(path)),
  networks: [...readFileSync('/proc/net/dev', 'latin1').matchAll(/^ *(\w+):/gm)].map(([, name]) => name).filter((name) => name !== 'lo'),
  connected: [...(await Promise.all(attempts)), await connects({ path: `\0${abstract}` })],
  home: can(() => readdirSync('/root')) || can(() => readdirSync('/home')),
  held,
  calls: Object.fromEntries(calls.map((call, index) => outcome(call, index))),
  unshared: ['-U', '-m', '-n', '-p'].filter((flag) => spawnSync('/bin/unshare', [flag, 'true'], { stdio: 'ignore' }).status === 0),
  mounted: spawnSync('/bin/mount', ['-t', 'tmpfs', 'none', '/tmp'], { stdio: 'ignore' }).status === 0,
}
process.stdout.write(`${JSON.stringify(facts)}\n`)
