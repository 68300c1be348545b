import { createServer as createHttpServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { createSeededRandom, realClock, silentLogger } from '../../src/base/index.ts'
import { type BridgeConfiguration, type BridgeServices, createHostBridge, type Refusal, type RunBridge } from '../../src/bridge/index.ts'
import { grantsSchema } from '../../src/sandbox/index.ts'
import type { BypassCase } from './bridge-bypasses.ts'
import { testCertificate } from './bridge-tls.ts'

export interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Two plain servers and one with TLS, all on the loopback: `target` is what nobody may reach, `outside` and `tls` stand for the internet. */
export interface BridgeWorld {
  readonly ports: Readonly<Record<'target' | 'outside' | 'tls', number>>
  /** Connections that came to the target. */
  hits(): number
  /** Requests that came to `outside` and `tls`. */
  readonly seen: readonly Seen[]
  /** Connections that came to `outside`. */
  readonly sockets: ReadonlySet<Socket>
  /** Questions to the resolver. */
  readonly asked: readonly string[]
  /** What was refused. */
  readonly refusals: readonly Refusal[]
  /** Puts ports into a text, or all texts of plain data. */
  filled<T>(value: T): T
  /** A bridge under the policy of a case. */
  bridgeFor(bypass: BypassCase): RunBridge
  bridge(grants: object, more?: Partial<BridgeConfiguration>, services?: BridgeServices): RunBridge
  /** What `outside` does at a path. */
  at(path: string, listener: RequestListener): void
  close(): Promise<void>
}

const generous = { netKiBps: 1 << 20, fsOps: 100_000 }

export async function createBridgeWorld(): Promise<BridgeWorld> {
  let hits = 0
  const seen: Seen[] = []
  const sockets = new Set<Socket>()
  const asked: string[] = []
  const refusals: Refusal[] = []
  const routes = new Map<string, RequestListener>([
    ['/loop', (_, response) => response.writeHead(302, { location: '/loop' }).end()],
    ['/plain', (_, response) => response.writeHead(302, { location: `http://plain.wild.test:${ports.target}/` }).end()],
    [
      '/redirect',
      ({ url }, response) => {
        const query = new URL(url ?? '', 'http://x').searchParams
        response.writeHead(Number(query.get('status')), { location: query.get('to') ?? '' }).end('elsewhere')
      },
    ],
  ])
  const listener: RequestListener = (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body })
      const route = routes.get(new URL(request.url ?? '', 'http://x').pathname)
      if (route === undefined) response.end('outside')
      else route(request, response)
    })
  }
  const target = createHttpServer((_, response) => response.end('inside')).on('connection', () => hits++)
  const outside = createHttpServer(listener).on('connection', (socket: Socket) => sockets.add(socket))
  const tls = createHttpsServer(testCertificate, listener)
  // Every loopback address and, where the machine has it, IPv6.
  const [targetPort, outsidePort, tlsPort] = await Promise.all([
    listen(target, '::').catch(() => listen(target, '0.0.0.0')),
    listen(outside, '127.0.0.1'),
    listen(tls, '127.0.0.1'),
  ])
  // Linux has the whole network 127/8; elsewhere nobody answers there, which is not `outside` either.
  const decoy = createHttpServer((_, response) => response.end('inside')).on('connection', () => hits++)
  await listen(decoy, '127.0.0.2', outsidePort).catch(() => undefined)
  const servers: readonly Server[] = [target, outside, tls, decoy]
  const ports = { target: targetPort, outside: outsidePort, tls: tlsPort }
  const filled = <T>(value: T): T =>
    JSON.parse(
      JSON.stringify(value)
        .replaceAll(/\{(target|outside|tls)\}/g, (_, name: keyof typeof ports) => String(ports[name]))
        .replaceAll(/%257B(target|outside|tls)%257D/g, (_, name: keyof typeof ports) => String(ports[name])),
    ) as T

  const resolverOf =
    (answers: BypassCase['answers']): BridgeServices['resolve'] =>
    async (name) => {
      const times = asked.filter((other) => other === name).length
      asked.push(name)
      const own = answers?.[name]
      return own?.[Math.min(times, own.length - 1)] ?? (name === 'allowed.test' ? ['127.0.0.1'] : [])
    }

  function bridge(grants: object, more: Partial<BridgeConfiguration> = {}, services: BridgeServices = {}): RunBridge {
    return createHostBridge({
      configuration: { agentId: 'tester', level: 'sandboxed', limits: generous, grants: grantsSchema.parse(grants), ...more },
      services: { resolve: resolverOf({}), ca: testCertificate.cert, ...services },
      clock: realClock,
      random: createSeededRandom(1),
      logger: silentLogger,
      onRefused: (refusal) => refusals.push(refusal),
    })
  }

  return {
    ports,
    hits: () => hits,
    seen,
    sockets,
    asked,
    refusals,
    filled,
    bridgeFor({ url, opens = false, policy = {}, answers }) {
      asked.length = 0
      const own = opens && typeof url === 'string' ? [hostOf(filled(url))] : []
      const network = {
        allowOutbound: true,
        requireTLS: false,
        allowedPorts: [ports.target, ports.outside, ports.tls],
        allowedPrivate: ['allowed.test:{outside}', 'allowed.test:{tls}'],
        ...policy,
        allowedDomains: ['allowed.test', '*.wild.test', ...own, ...((policy['allowedDomains'] as readonly string[] | undefined) ?? [])],
      }
      return bridge({ capabilities: ['network:outbound'], network: filled(network) }, {}, { resolve: resolverOf(answers) })
    },
    bridge,
    at: (path, listener) => void routes.set(path, listener),
    async close() {
      await Promise.all(
        servers
          .filter((server) => server.listening)
          .map((server) => {
            server.closeAllConnections()
            return new Promise((resolve) => server.close(resolve))
          }),
      )
    },
  }
}

const hostOf = (url: string): string => {
  const { hostname } = new URL(url)
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
}

async function listen(server: Server, host: string, port = 0): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  return (server.address() as AddressInfo).port
}
