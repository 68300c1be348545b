import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** nobody, so that a guest with the same number would be allowed to signal the victim. */
const victimUid = 65_534

/** Things of this machine that nothing inside a sandbox may reach, open to everybody outside. */
export interface Canaries {
  /** Stands in the secret file, the victim's environment, shared memory, the queue and every answer of the servers. */
  readonly token: string
  /** Says to the probe where everything is. */
  readonly args: readonly string[]
  readonly dir: string
  readonly port: number
  readonly victim: number
  /** Empty as long as nobody reached anything; else what was reached, by the name of the case where it can be told. */
  reached(): Promise<readonly string[]>
  remove(): Promise<void>
}

/** @param probe the compiled probe.c */
export async function layCanaries(probe: string): Promise<Canaries> {
  const token = `secret-${randomBytes(12).toString('hex')}`
  const name = `kindmesh-${randomBytes(6).toString('hex')}`
  const key = String(1 + (randomBytes(4).readUInt32BE() >>> 2))
  const dir = await mkdtemp(join(tmpdir(), 'kindmesh-canary-'))
  const said: string[] = []
  await chmod(dir, 0o777)
  await mkdir(join(dir, 'work'), { mode: 0o777 })
  for (const file of ['secret', 'log', 'loose']) {
    await writeFile(join(dir, file), token)
    await chmod(join(dir, file), 0o666)
  }
  const answer = (socket: Socket): void => {
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => void said.push(chunk.toString('latin1').slice(0, 40)))
    socket.end(token)
  }
  const servers = [createServer(answer), createServer(answer), createServer(answer)] as const
  const listen = async (server: Server, where: string | { port: number; host: string }): Promise<void> => {
    server.listen(where)
    await once(server, 'listening')
  }
  await listen(servers[0], { port: 0, host: '::' })
  await listen(servers[1], `\0${name}`)
  await listen(servers[2], join(dir, 'socket'))
  await chmod(join(dir, 'socket'), 0o777)
  const bound = servers[0].address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  const datagrams = createSocket('udp4', (message) => void said.push(message.toString('latin1').slice(0, 40)))
  datagrams.bind(port, '127.0.0.1')
  await once(datagrams, 'listening')
  const victim = await startVictim(probe, dir, token, (what) => void said.push(what))
  const run = promisify(execFile)
  await run(probe, [`prepare=${token}`, `key=${key}`, `name=${name}`])
  const address =
    Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address ?? '127.0.0.1'
  return {
    token,
    dir,
    port,
    victim: victim.pid ?? 0,
    args: [`dir=${dir}`, `port=${port}`, `name=${name}`, `key=${key}`, `pid=${victim.pid ?? 0}`, `address=${address}`],
    async reached() {
      const names = await readdir(dir)
      const written = names.filter((file) => file.startsWith('written-')).map((file) => file.slice('written-'.length))
      const lost = ['secret', 'log', 'loose', 'socket', 'work'].filter((file) => !names.includes(file)).map((file) => `removed ${file}`)
      const log = await stat(join(dir, 'log')).catch(() => undefined)
      const changed = log === undefined || (log.size === token.length && (log.mode & 0o7777) === 0o666) ? [] : ['changed log']
      return [...new Set([...written, ...lost, ...changed, ...said])]
    },
    async remove() {
      victim.kill('SIGKILL')
      datagrams.close()
      for (const server of servers) server.close()
      await run(probe, ['remove', `key=${key}`, `name=${name}`]).catch(() => undefined)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** A process of this machine, of the user a guest may have, that tells when it was signalled or died. */
async function startVictim(probe: string, cwd: string, token: string, tell: (what: string) => void): Promise<ChildProcess> {
  const user = process.getuid?.() === 0 ? { uid: victimUid, gid: victimUid } : {}
  const child = spawn(probe, ['victim'], { cwd, env: { CANARY: token }, stdio: ['pipe', 'pipe', 'ignore'], ...user })
  await once(child.stdout, 'data')
  child.stdout.on('data', () => tell('the victim was signalled'))
  child.on('exit', (_code, signal) => signal !== 'SIGKILL' && tell('the victim died'))
  return child
}
