import { request } from 'node:http'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkConsistency, checkInclusion } from '../../src/console/lib/audit-proof.ts'
import { createClient } from '../../src/client/index.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'

type Playground = Awaited<ReturnType<typeof createPlayground>>
let ground: Playground
let node: UpNode
let token: string
let port: number

beforeAll(async () => {
  ground = await createPlayground()
  node = await ground.up('anna')
  token = (JSON.parse(await readFile(join(node.home, 'api.json'), 'utf8')) as { readonly token: string }).token
  port = Number(new URL(node.api).port)
})
afterAll(() => ground[Symbol.asyncDispose]())

interface Answer {
  readonly status: number
  readonly body: { readonly code?: string; readonly hint?: string; readonly did?: string }
}

/** A request byte for byte as an attacker's page or program would send it. */
function raw(method: string, path: string, headers: Readonly<Record<string, string>>, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers: { host: `localhost:${port}`, ...headers } }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Answer['body'] }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
const bearer = () => ({ authorization: `Bearer ${token}` })

describe('the local API', () => {
  test('says without a token only that it is up', async () => {
    expect(await raw('GET', '/healthz', {})).toEqual({ status: 200, body: { ok: true } })
    expect((await raw('GET', '/v1/status', {})).body.code).toBe('ERR_AUTH_FAILED')
    expect((await raw('GET', '/v1/status', { authorization: `Bearer ${token.slice(1)}x` })).status).toBe(401)
    expect((await raw('GET', '/v1/status', bearer())).body.did).toBe(node.did)
  })

  test('refuses another Host, so that a rebound DNS name reaches nothing', async () => {
    for (const host of ['evil.example', `evil.example:${port}`, 'localhost', `localhost:${port + 1}`, `localhost.evil.example:${port}`]) {
      expect((await raw('GET', '/v1/status', { ...bearer(), host })).body.code).toBe('ERR_POLICY_DENIED')
    }
    for (const host of [`127.0.0.1:${port}`, `[::1]:${port}`]) expect((await raw('GET', '/v1/status', { ...bearer(), host })).status).toBe(200)
  })

  test('refuses requests of other origins, other ports of localhost among them', async () => {
    for (const origin of ['http://evil.example', `http://localhost:${port + 1}`, `https://localhost:${port}`, 'null', `http://127.0.0.1:${port}`]) {
      expect((await raw('GET', '/v1/status', { ...bearer(), origin })).body.code).toBe('ERR_POLICY_DENIED')
    }
    expect((await raw('GET', '/v1/status', { ...bearer(), origin: `http://localhost:${port}` })).status).toBe(200)
  })

  test('takes JSON only where something is changed, so that no form of a foreign page gets in', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/jsonx', '']) {
      const headers = type === '' ? bearer() : { ...bearer(), 'content-type': type }
      expect((await raw('POST', '/v1/agents', headers, '{"name":"echo"}')).status).toBe(415)
    }
    expect((await raw('GET', '/v1/agents', bearer())).body).toMatchObject({ agents: [], keys: [] })
  })

  test('answers bad input with a code and the next step, and goes on', async () => {
    const json = { ...bearer(), 'content-type': 'application/json' }
    const cases: readonly (readonly [string, string, string])[] = [
      ['/v1/dial', '{}', 'ERR_USAGE'],
      ['/v1/dial', '{', 'ERR_USAGE'],
      ['/v1/dial', '', 'ERR_USAGE'],
      ['/v1/dial', '[]', 'ERR_USAGE'],
      ['/v1/dial', '{"target":"/ip4/127.0.0.1/tcp/1"}', 'ERR_NET_UNREACHABLE'],
      ['/v1/dial', '{"target":"/nonsense"}', 'ERR_NET_ADDRESS'],
      ['/v1/send', `{"to":"${node.did}x","body":"x"}`, 'ERR_IDENTITY_INVALID'],
      ['/v1/send', `{"to":"${node.did.slice(0, -1)}","body":"to the beginning of our own DID"}`, 'ERR_USAGE'],
      ['/v1/ask', `{"to":"did:key:zzz","agent":"a","data":1}`, 'ERR_IDENTITY_INVALID'],
      ['/v1/attestations', `{"subject":"${node.did}","level":"basic","scopes":["/x"],"lifetimeMs":1000}`, 'ERR_TRUST_INVALID'],
      ['/v1/agents', '{"name":"nobody"}', 'ERR_AGENT_UNKNOWN'],
      ['/v1/revocations', `{"id":"${'0'.repeat(64)}"}`, 'ERR_NOT_FOUND'],
      ['/v1/nowhere', '{}', 'ERR_NOT_FOUND'],
      ['/v1/send', `{"to":"${'x'.repeat(2 << 20)}"}`, 'ERR_WIRE_TOO_LARGE'],
    ]
    for (const [path, body, code] of cases) {
      const answer = await raw('POST', path, json, body)
      expect([path, body.slice(0, 40), answer.body.code]).toEqual([path, body.slice(0, 40), code])
      expect(answer.body.hint).not.toBe('')
    }
    expect((await raw('GET', '/v1/status', bearer())).status).toBe(200)
  })

  test('describes every call in OpenAPI', async () => {
    const { paths } = (await (await fetch(`${node.api}/openapi.json`)).json()) as { readonly paths: Readonly<Record<string, object>> }
    for (const path of [
      '/v1/status',
      '/v1/dial',
      '/v1/send',
      '/v1/ask',
      '/v1/tasks',
      '/v1/attestations',
      '/v1/trust/explain',
      '/v1/audit/verify',
      '/v1/events',
    ]) {
      expect(Object.keys(paths)).toContain(path)
    }
  })

  test('changes a setting of the session at once, refuses what is none, and writes it into the audit log', async () => {
    const client = createClient({ url: node.api, token })
    const key = 'policy.message_level_min'
    expect(await client.setSetting({ layer: 'session', key, value: 'basic' })).toMatchObject({ key, value: 'basic', from: 'session' })
    expect((await client.settings()).settings.find((setting) => setting.key === key)).toMatchObject({ value: 'basic', from: 'session' })
    await expect(client.setSetting({ layer: 'session', key, value: 'best' })).rejects.toMatchObject({ code: 'ERR_CONFIG_INVALID' })
    expect(await client.setSetting({ layer: 'session', key })).toMatchObject({ from: 'default' })
    const { entries } = await client.auditTail({ limit: 10 })
    expect(entries.filter(({ event }) => event === 'config_changed').map(({ data }) => data)).toEqual(Array(2).fill(expect.objectContaining({ keys: [key] })))
  })

  test('shows the log from several sides: what fits, how far a check is, and that it continues what was signed before', async () => {
    const client = createClient({ url: node.api, token })
    const { did, checkpoint, keys } = await client.auditCheckpoint()
    expect(keys).toEqual([did])
    const { entries } = await client.auditTail({ limit: 1, event: 'node_started', party: did })
    expect(entries).toMatchObject([{ event: 'node_started', actor: did }])
    const size = Number(checkpoint.split('\n')[1])
    await client.setSetting({ layer: 'session', key: 'policy.message_level_min', value: 'basic' })
    const grown = await client.auditConsistency(size)
    expect(await checkConsistency(grown, { did, oldCheckpoint: checkpoint })).toMatchObject({ ok: true, size: size + 1 })
    expect(await checkInclusion(await client.auditProve(entries[0]?.seq ?? -1), { did, keys })).toMatchObject({ ok: true, entry: { event: 'node_started' } })
    await client.setSetting({ layer: 'session', key: 'policy.message_level_min' })
    const lines = []
    for await (const line of client.auditVerifyLines()) lines.push(line)
    expect(lines[0]).toMatchObject({ type: 'progress', of: expect.any(Number) })
    expect(lines.at(-1)).toMatchObject({ type: 'verdict', ok: true })
  })

  test('keeps its token in a file of its owner alone', async () => {
    expect((await stat(join(node.home, 'api.json'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(node.home, 'identity.json'))).mode & 0o777).toBe(0o600)
  })

  test('streams events, and a client that leaves a task kills it', async () => {
    const client = createClient({ url: node.api, token })
    const ben = await ground.up('ben', '--bootstrap', node.addresses[0] ?? '')
    const leaving = new AbortController()
    const events = client.events({ signal: leaving.signal })
    const first = events.next()
    await ben.run('send', node.did, 'ping')
    const seen = [(await first).value as { readonly event: string }]
    while (!seen.some(({ event }) => event === 'message')) seen.push((await events.next()).value as { readonly event: string })
    leaving.abort()

    await ben.run('attest', node.did, '--level', 'verified')
    const task = client.run({ on: ben.did, code: 'for (;;);', input: null, limits: { wallMs: 60_000, cpuMs: 60_000 } })
    for (const type of ['asked', 'attempt', 'accepted']) expect((await task.next()).value).toMatchObject({ type })
    await task.return(undefined)
    const ended = async (): Promise<boolean> => {
      const { entries } = (await ben.run('audit', 'tail', '--limit', '20', '--json')).json() as { readonly entries: readonly { readonly event: string }[] }
      return entries.some(({ event }) => event === 'task_cancelled')
    }
    while (!(await ended()));
  })
})
