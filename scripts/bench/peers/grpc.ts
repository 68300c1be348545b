/** gRPC over TLS: one open bidirectional stream, raw bytes, no schema. */
import { type ClientDuplexStream, Client, credentials, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js'
import { answerParent, createCpuMeter, load, type LoadOptions } from '../harness.ts'
import { type Certified, selfSigned } from '../self-signed.ts'

const path = '/bench.Echo/Ask'
const text = Buffer.alloc(1_024, 'x')
const same = (bytes: Buffer): Buffer => bytes
const service = {
  ask: {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
} satisfies ServiceDefinition

const waiting = new Map<number, () => void>()
let stream: ClientDuplexStream<Buffer, Buffer> | undefined
let lastId = 0

function ask(): Promise<void> {
  const id = ++lastId
  const head = Buffer.alloc(4)
  head.writeUInt32BE(id)
  return new Promise((resolve) => {
    waiting.set(id, resolve)
    stream?.write(Buffer.concat([head, text]))
  })
}

answerParent({
  async start() {
    const { key, certificate } = selfSigned('localhost')
    const server = new Server()
    server.addService(service, {
      ask: (call: NodeJS.ReadWriteStream) => {
        call.on('data', (bytes: Buffer) => call.write(bytes))
        call.on('end', () => call.end())
      },
    })
    const secure = ServerCredentials.createSsl(null, [{ private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) }])
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', secure, (error, bound) => (error === null ? resolve(bound) : reject(error)))
    })
    return { port, certificate }
  },
  connect({ port, certificate }: Pick<Certified, 'certificate'> & { readonly port: number }) {
    const trusted = credentials.createSsl(Buffer.from(certificate))
    const client = new Client(`127.0.0.1:${port}`, trusted, { 'grpc.ssl_target_name_override': 'localhost', 'grpc.default_authority': 'localhost' })
    stream = client.makeBidiStreamRequest(path, same, same)
    stream.on('data', (bytes: Buffer) => {
      const id = bytes.readUInt32BE(0)
      waiting.get(id)?.()
      waiting.delete(id)
    })
    return ask()
  },
  load: (options: LoadOptions) => load(ask, options),
  cpuUs: createCpuMeter(),
})
