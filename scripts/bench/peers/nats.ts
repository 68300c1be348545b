/** NATS request-reply over TLS: a broker of its own between the two, an inbox shared by all questions of a client. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { answerParent, load, type LoadOptions } from '../harness.ts'
import { selfSigned } from '../self-signed.ts'

interface Msg {
  readonly data: Uint8Array
  respond(data: Uint8Array): boolean
}
interface NatsConnection {
  subscribe(subject: string, options: { callback(error: Error | null, message: Msg): void }): unknown
  request(subject: string, data: Uint8Array, options: { readonly timeout: number }): Promise<Msg>
  flush(): Promise<void>
}
interface Nats {
  connect(options: { readonly servers: string; readonly tls: { readonly ca: string }; readonly reconnect: boolean }): Promise<NatsConnection>
}

// Not imported: its declarations do not hold under exactOptionalPropertyTypes.
const require = createRequire(import.meta.url)
const { connect } = require('@nats-io/transport-node') as Nats
const subject = 'bench.echo'
const text = new Uint8Array(1_024).fill(120)
let broker: ChildProcess | undefined
let connection: NatsConnection | undefined

interface Address {
  readonly port: number
  readonly certificate: string
}

async function open({ port, certificate }: Address): Promise<NatsConnection> {
  connection = await connect({ servers: `localhost:${port}`, tls: { ca: certificate }, reconnect: false })
  return connection
}

/** Starts the broker on a port it chooses. */
async function startBroker(folder: string): Promise<Address> {
  mkdirSync(folder)
  const { key, certificate } = selfSigned('localhost')
  const [keyFile, certificateFile] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')]
  writeFileSync(keyFile, key)
  writeFileSync(certificateFile, certificate)
  broker = spawn('nats-server', ['-a', '127.0.0.1', '-p', '-1', '--tls', `--tlscert=${certificateFile}`, `--tlskey=${keyFile}`, `--ports_file_dir=${folder}`], {
    stdio: 'ignore',
  })
  await once(broker, 'spawn')
  for (;;) {
    const file = readdirSync(folder).find((name) => name.endsWith('.ports'))
    const port = file === undefined ? undefined : /:(\d+)"/.exec(readFileSync(join(folder, file), 'utf8'))?.[1]
    if (port !== undefined) return { port: Number(port), certificate }
    if (broker.exitCode !== null) throw new Error(`nats-server ended with ${broker.exitCode}`)
    await sleep(20)
  }
}

process.once('exit', () => broker?.kill())

answerParent({
  /** Broker and responder. */
  async start(folder: string) {
    const address = await startBroker(folder)
    const responder = await open(address)
    responder.subscribe(subject, { callback: (_error, message) => void message.respond(message.data) })
    await responder.flush()
    return address
  },
  async connect(address: Address) {
    await open(address)
  },
  load: (options: LoadOptions) => load(async () => await connection?.request(subject, text, { timeout: 10_000 }), options),
})
