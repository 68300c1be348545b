/** Runs in the place of a sandbox worker and tells, as one line of JSON, what it can reach from there: the view of a guest that broke out of V8. */
import { spawnSync } from 'node:child_process'
import { existsSync, fstatSync, readdirSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { networkInterfaces } from 'node:os'

const canWrite = (path: string): boolean => {
  try {
    writeFileSync(path, 'x')
    return true
  } catch {
    return false
  }
}
const networks = (): readonly string[] => {
  try {
    return Object.keys(networkInterfaces())
  } catch {
    return []
  }
}
const connect = (): Promise<string> =>
  new Promise((resolve) => {
    try {
      const socket = createConnection({ host: '127.0.0.1', port: 9 })
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
      socket.on('connect', () => resolve('connected'))
    } catch (error) {
      resolve(String(error))
    }
  })

const facts = {
  root: readdirSync('/').sort(),
  app: readdirSync('/app').sort(),
  writable: ['/x', '/app/x', '/app/worker.ts', '/dev/x', '/dev/shm/x', '/tmp/x'].filter(canWrite),
  visible: ['/proc', '/etc/passwd', '/home', '/root', '/var', '/sys', '/bin/sh'].filter((path) => existsSync(path)),
  networks: networks().filter((name) => name !== 'lo'),
  connect: await connect(),
  spawned: spawnSync('/app/node', ['--version'], { stdio: 'ignore' }).status === 0,
  environment: Object.keys(process.env).filter((name) => name !== 'PWD'),
  files: Array.from({ length: 64 }, (_, descriptor) => descriptor).filter((descriptor) => {
    try {
      const stat = fstatSync(descriptor)
      return descriptor > 2 && (stat.isFile() || stat.isDirectory() || stat.isSocket())
    } catch {
      return false
    }
  }),
}
process.stdout.write(`${JSON.stringify(facts)}\n`)
process.stdin.resume()
