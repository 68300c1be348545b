import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Api, startApi } from '../../src/api/index.ts'
import { realRandom } from '../../src/base/index.ts'
import { type Client, createClient } from '../../src/client/index.ts'
import { createNode, type MeshNode } from '../../src/node/index.ts'
import { createAuthenticator } from '../helpers/authenticator.ts'

const undo = new AsyncDisposableStack()
let node: MeshNode
let api: Api
let token: string
let client: Client
const sessions: Record<string, string> = {}

async function enrol(name: string, link: string): Promise<string> {
  const device = createAuthenticator({ origin: api.url })
  const anyone = createClient({ url: api.url, token: 'none' })
  const { flow, options } = await anyone.beginRegistration({ token: link, name })
  const { session } = await anyone.finishRegistration({ flow, response: device.create(options as never) })
  return session?.token ?? ''
}

beforeAll(async () => {
  const home = await mkdtemp(join(tmpdir(), 'kindmesh-api-'))
  undo.defer(() => rm(home, { recursive: true, force: true }))
  node = undo.use(await createNode({ dataDir: home, upnp: false }))
  const file = join(home, 'api.json')
  api = await startApi({ node, file, version: 'test', startedAt: 0, random: realRandom })
  undo.defer(() => api.stop())
  token = (JSON.parse(await readFile(file, 'utf8')) as { readonly token: string }).token
  client = createClient({ url: api.url, token })
  sessions['owner'] = await enrol('Anna', (await node.users.ownerLink())?.token ?? '')
  for (const role of ['operator', 'viewer'] as const) sessions[role] = await enrol(role, (await client.inviteUser({ role })).token)
})
afterAll(() => undo.disposeAsync())

const as = (bearer: string | undefined): Client => createClient({ url: api.url, token: bearer ?? '' })

function raw(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<{ readonly status: number; readonly headers: Readonly<Record<string, unknown>>; readonly code?: string }> {
  const { port, host } = new URL(api.url)
  return new Promise((resolve, reject) => {
    request({ host: 'localhost', port, path, method, headers: { host, ...headers }, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => {
        const { code } = text.startsWith('{') ? (JSON.parse(text) as { readonly code?: string }) : {}
        resolve({ status: response.statusCode ?? 0, headers: response.headers, ...(code === undefined ? {} : { code }) })
      })
    })
      .on('error', reject)
      .end()
  })
}

describe('people and programs at the API', () => {
  test('a viewer looks, and is told which right it lacks for more; an operator runs things, but not people', async () => {
    const viewer = as(sessions['viewer'])
    expect((await viewer.status()).did).toBe(node.did)
    expect((await viewer.me()).rights).toContain('/api/read')
    const lacks = (right: string, who: string): unknown =>
      expect.objectContaining({ code: 'ERR_POLICY_DENIED', message: `the role ${who} does not have the right ${right}` })
    await expect(viewer.inbox({ limit: 1 })).rejects.toEqual(lacks('/api/message/read', 'viewer'))
    await expect(viewer.addAgent({ name: 'echo' })).rejects.toEqual(lacks('/api/agent', 'viewer'))
    const operator = as(sessions['operator'])
    await operator.setName({ name: 'friend', did: node.did } as never).catch(() => undefined)
    await expect(operator.users()).rejects.toEqual(lacks('/api/users', 'operator'))
    await expect(operator.secrets()).rejects.toMatchObject({ code: 'ERR_POLICY_DENIED' })
  })

  test('what somebody does over the API is in the audit log with who it was', async () => {
    const owner = as(sessions['owner'])
    const { user } = await owner.me()
    await owner.addAgent({ name: 'echo' })
    const { entries } = await client.auditTail({ limit: 20 })
    expect(entries.filter(({ data }) => (data as { readonly by?: string }).by === `user:${user.id}`).map(({ event }) => event)).toContain('agent_added')
    await client.removeAgent('echo')
  })

  test('a token of one program has no more rights than its maker, is refused as another program, and ends when it is revoked', async () => {
    const { id, token: text } = await client.createToken({ surface: 'mcp', rights: ['/api/read', '/api/token'] })
    const program = as(text)
    expect((await program.status()).did).toBe(node.did)
    await expect(program.inbox({ limit: 1 })).rejects.toMatchObject({ code: 'ERR_POLICY_DENIED' })
    // Nobody stands before a program.
    await expect(program.createToken({ surface: 'mcp', rights: ['/api/read'] })).rejects.toMatchObject({ code: 'ERR_STEP_UP' })
    const bearer = { authorization: `Bearer ${text}` }
    expect((await raw('/v1/status', { ...bearer, 'kindmesh-surface': 'mcp' })).status).toBe(200)
    expect(await raw('/v1/status', { ...bearer, 'kindmesh-surface': 'a2a' })).toMatchObject({ status: 401, code: 'ERR_AUTH_FAILED' })
    expect((await raw('/v1/status', { authorization: `Bearer ${token}`, 'kindmesh-surface': 'mcp' })).status).toBe(401)
    const session = { authorization: `Bearer ${sessions['viewer'] ?? ''}` }
    expect((await raw('/v1/status', { ...session, 'kindmesh-surface': 'cli' })).status).toBe(401)
    expect((await raw('/v1/status', { ...session, 'kindmesh-surface': 'console' })).status).toBe(200)
    const maker = { by: 'user:nobody', rights: ['/api/read'] }
    await expect(node.tokens.create({ surface: 'mcp', rights: ['/api/task'] }, maker)).rejects.toMatchObject({ code: 'ERR_POLICY_DENIED' })
    const orphan = await node.tokens.create({ surface: 'mcp', rights: ['/api/read'] }, maker)
    await expect(as(orphan.token).status()).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
    await client.revokeToken(id)
    await expect(program.status()).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
    const { entries } = await client.auditTail({ limit: 20 })
    for (const event of ['api_token_created', 'api_token_misused', 'api_token_revoked']) expect(entries.map((entry) => entry.event)).toContain(event)
    expect(JSON.stringify(entries)).not.toContain(text)
  })

  test('an answer in lines ends with the session or the token it was asked for with, and says so', async () => {
    const over = { code: 'ERR_AUTH_FAILED', message: 'the session or token that asked for this has ended' }
    const read = async (bearer: string | undefined) => {
      const lines = as(bearer).topic('quiet')
      expect((await lines.next()).value).toMatchObject({ event: 'subscribed' })
      return lines
    }
    const eve = await enrol('Eve', (await client.inviteUser({ role: 'operator' })).token)
    const { id, token: text } = await client.createToken({ surface: 'mcp', rights: ['/api/message/read'] })
    const [ofEve, ofProgram, ofOwner] = [await read(eve), await read(text), await read(sessions['owner'])]
    const next = ofOwner.next()
    next.catch(() => undefined)
    const { sessions: open } = await client.userSessions({ user: 'Eve' })
    await client.revokeUserSession(open[0]?.id ?? '')
    await expect(ofEve.next()).rejects.toMatchObject(over)
    await client.revokeToken(id)
    await expect(ofProgram.next()).rejects.toMatchObject(over)
    // Nobody else's.
    expect(await Promise.race([next, client.status().then(() => 'still open')])).toBe('still open')
  })

  test('unknown paths are 401 to strangers, the front page leads to localhost, long addresses and headers go no further', async () => {
    const { port } = new URL(api.url)
    expect((await raw('/v1/nowhere')).status).toBe(401)
    expect((await raw('/v1/nowhere', { authorization: `Bearer ${token}` })).status).toBe(404)
    expect(await raw('/?x=1', { host: `127.0.0.1:${port}` })).toMatchObject({ status: 307, headers: { location: `http://localhost:${port}/?x=1` } })
    expect((await raw(`/healthz?${'x'.repeat(5_000)}`)).status).toBe(413)
    // The connection is closed at once: the answer does not always come through.
    expect(
      await raw('/healthz', { 'x-long': 'x'.repeat(20_000) }).then(
        ({ status }) => status,
        () => 431,
      ),
    ).toBe(431)
    const { headers } = await raw('/healthz')
    expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', 'cross-origin-resource-policy': 'same-origin' })
  })

  test('a session is nobody’s once it was logged out', async () => {
    const viewer = as(sessions['viewer'])
    expect(await viewer.logout()).toEqual({ loggedOut: true })
    await expect(viewer.status()).rejects.toMatchObject({ code: 'ERR_AUTH_FAILED' })
  })
})

interface Operation {
  readonly operationId: string
  readonly 'x-right': string
  readonly security: readonly object[]
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, { readonly schema: unknown }>> }>>
}

describe('the description of the API', () => {
  let calls: ReadonlyMap<string, Operation>
  beforeAll(async () => {
    const { paths } = (await (await fetch(`${api.url}/openapi.json`)).json()) as {
      readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
    }
    calls = new Map(
      Object.entries(paths)
        .filter(([path]) => path !== '/' && !path.startsWith('/assets/'))
        .flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const)),
    )
  })

  test('every call has an id of its own, a right or is open, says who may call it, and what an error looks like', () => {
    expect(calls.size).toBeGreaterThan(120)
    expect(new Set([...calls.values()].map(({ operationId }) => operationId)).size).toBe(calls.size)
    for (const [call, { 'x-right': right, security, responses }] of calls) {
      expect([call, right === 'open' || right.startsWith('/api/')]).toEqual([call, true])
      expect([call, security.length]).toEqual([call, right === 'open' ? 0 : 2])
      expect(responses['default']).toEqual({ $ref: '#/components/responses/Problem' })
    }
  })

  test('the client has a method for each call, and none for a call that is not there', async () => {
    const asked = new Set<string>()
    const recorder = createClient({
      url: '',
      token: '',
      fetch: async (url, init) => {
        asked.add(`${init.method ?? 'GET'} ${url.split('?')[0] ?? ''}`)
        throw new Error('enough')
      },
    })
    const given = new Proxy({}, { get: (_target, name) => (name === 'signal' ? AbortSignal.abort() : typeof name === 'symbol' ? undefined : 'x') })
    for (const method of Object.values(recorder) as ((...all: unknown[]) => unknown)[]) {
      const ask = async (first: unknown): Promise<unknown> => {
        const result = method(first, {}, {})
        const isLines = typeof result === 'object' && result !== null && Symbol.asyncIterator in result
        return await (isLines ? (result as AsyncGenerator).next() : result)
      }
      for (const first of [given, 'x']) await ask(first).catch(() => undefined)
    }
    const fits = (call: string, path: string): boolean => new RegExp(`^${call.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path)
    // One method serves three calls; which of them is its first argument.
    for (const action of ['add', 'remove', 'admin'] as const) await recorder.changeGroup(action, { group: 'x', members: ['x'] }).catch(() => undefined)
    asked.delete('POST /v1/groups/x')
    expect([...calls.keys()].filter((call) => ![...asked].some((path) => fits(call, path)))).toEqual([])
    expect([...asked].filter((path) => !path.includes('[object') && ![...calls.keys()].some((call) => fits(call, path)))).toEqual([])
  })

  test('what a live node answers is of the form it describes', async () => {
    let checked = 0
    for (const [call, { responses }] of calls) {
      const schema = responses['200']?.content?.['application/json']?.schema
      if (!call.startsWith('GET ') || call.includes('{') || schema === undefined) continue
      const response = await fetch(api.url + call.slice(4), { headers: { authorization: `Bearer ${token}` } })
      if (!response.ok) continue
      const parsed = z.fromJSONSchema(schema as never).safeParse(await response.json())
      expect([call, parsed.error?.issues ?? []]).toEqual([call, []])
      checked++
    }
    expect(checked).toBeGreaterThan(25)
  })
})
