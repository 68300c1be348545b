import { mkdirSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAuthenticator } from '../../../test/helpers/authenticator.ts'
import { startApi } from '../../../src/api/index.ts'
import { realRandom } from '../../../src/base/index.ts'
import { createNode } from '../../../src/node/index.ts'
import { alternate, type Bench, row, type Row } from '../harness.ts'

const atOnce = 16
const unlimited = { perSecond: 1e9, burst: 1e9 }

/** What a call of a person costs over the local API: one that reads, and one that changes something, against bare node:http with the same answer. */
export async function* api(bench: Bench): AsyncIterable<Row> {
  await using undo = new AsyncDisposableStack()
  const home = bench.path('api-home')
  mkdirSync(home)
  const node = undo.use(await createNode({ dataDir: home, upnp: false }))
  const file = `${home}/api.json`
  const served = await startApi({
    ...{ node, file, version: 'bench', startedAt: 0, random: realRandom },
    rates: { cli: unlimited, principal: unlimited, anonymous: unlimited },
  })
  undo.defer(() => served.stop())
  const link = await node.users.ownerLink()
  const { flow, options } = node.users.beginRegistration({ token: link?.token ?? '' }, { name: 'Ada' })
  const { session } = await node.users.finishRegistration({ flow, response: createAuthenticator({ origin: served.url }).create(options) })
  const headers = { authorization: `Bearer ${session?.token ?? ''}`, 'content-type': 'application/json' }
  const port = Number(new URL(served.url).port)
  const change = JSON.stringify({ presence: 'busy' })
  const read = await answerOf(port, 'GET', '/v1/peers', headers)
  const bare = createServer((_request, response) => response.setHeader('content-type', 'application/json').end(read))
  await new Promise<void>((resolve) => bare.listen(0, 'localhost', resolve))
  undo.defer(() => void bare.close())
  const barePort = (bare.address() as AddressInfo).port

  for (const [id, what, method, path, body] of [
    ['api-read', 'a session lists peers', 'GET', '/v1/peers', undefined],
    ['api-act', 'a session changes what the node says of itself, in memory', 'POST', '/v1/presence', change],
  ] as const) {
    const figures = await alternate(bench.rounds(7), {
      api: () => requestsPerSecond(port, method, path, headers, bench.loadMs, body),
      bare: () => requestsPerSecond(barePort, method, path, headers, bench.loadMs, body),
    })
    yield row({ id, what: `${what}, ${atOnce} at once`, unit: 'requests/s', figures: figures.api, against: 'bare node:http', others: figures.bare })
  }
}

const agent = new Agent({ keepAlive: true, maxSockets: atOnce })

function answerOf(port: number, method: string, path: string, headers: Readonly<Record<string, string>>, body?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: 'localhost', port, method, path, headers, agent }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        if (response.statusCode === 200) resolve(text)
        else reject(new Error(`${path} answered ${response.statusCode ?? 0}: ${text}`))
      })
    })
      .on('error', reject)
      .end(body)
  })
}

async function requestsPerSecond(
  ...[port, method, path, headers, loadMs, body]: readonly [number, string, string, Readonly<Record<string, string>>, number, string | undefined]
): Promise<number> {
  const start = performance.now()
  let done = 0
  const ask = async (): Promise<void> => {
    for (; performance.now() - start < loadMs; done++) await answerOf(port, method, path, headers, body)
  }
  await Promise.all(Array.from({ length: atOnce }, ask))
  return (done * 1_000) / (performance.now() - start)
}
