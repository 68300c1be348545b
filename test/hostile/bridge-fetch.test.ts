import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HostAnswer } from '../../src/sandbox/index.ts'
import { bypassCases, unguardedCases } from '../helpers/bridge-bypasses.ts'
import { type BridgeWorld, createBridgeWorld } from '../helpers/bridge-world.ts'

let world: BridgeWorld
beforeAll(async () => {
  world = await createBridgeWorld()
})
afterAll(async () => world.close())

const never = new AbortController().signal
const json = (answer: HostAnswer): unknown => (answer.ok ? (JSON.parse(answer.value) as unknown) : answer)
/** A bridge that may go to `allowed.test`. */
const open = () => world.bridgeFor({ name: 'open', url: '' })
const at = (path: string): string => world.filled(`http://allowed.test:{outside}${path}`)

describe('ways around the network policy', () => {
  test(`there are ${bypassCases.length} of them, at least 50, each under a name of its own`, () => {
    expect(bypassCases.length).toBeGreaterThanOrEqual(50)
    expect(new Set(bypassCases.map(({ name }) => name)).size).toBe(bypassCases.length)
  })

  test('some of them reach the target without a guard', async () => {
    const reached: string[] = []
    for (const { name, url } of unguardedCases()) {
      const ends = AbortSignal.timeout(200)
      const answer = await fetch(world.filled(url as string), { signal: ends }).then(
        (response) => response.text(),
        () => '',
      )
      if (answer === 'inside') reached.push(name)
    }
    expect(reached.length).toBeGreaterThanOrEqual(12)
  })

  test.each(bypassCases)('$name: refused, and nothing arrives', async (bypass) => {
    const before = world.hits()
    const bridge = world.bridgeFor(bypass)
    const { url, init = {} } = world.filled({ url: bypass.url, init: bypass.init })
    const answer = await bridge.call('fetch', JSON.stringify([url, init]), never)
    await bridge.close()
    const code = bypass.code ?? 'ERR_POLICY_DENIED'
    expect(answer).toMatchObject({ ok: false, code })
    if (code === 'ERR_POLICY_DENIED') expect(answer).toHaveProperty('denied', expect.stringMatching(/^capability network:outbound: fetch: /))
    // A guest learns no address behind a name, and nothing of ours.
    const behind = Object.values(bypass.answers ?? {}).flat(2)
    for (const address of behind) if (!JSON.stringify(url).includes(address)) expect(JSON.stringify(answer)).not.toContain(`${address} `)
    expect(JSON.stringify(answer)).not.toMatch(/node:|\.ts\b/)
    expect(world.hits()).toBe(before)
  })
})

describe('what the policy allows', () => {
  test('arrives, and comes back whole', async () => {
    const bridge = open()
    world.at('/echo', (_, response) => response.writeHead(201, { 'x-more': 'yes', 'set-cookie': ['a=1', 'b=2'] }).end('grüße'))
    const answer = json(
      await bridge.call('fetch', JSON.stringify([at('/echo'), { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: 'hällo' }]), never),
    )
    expect(answer).toMatchObject({ status: 201, url: at('/echo'), text: 'grüße', headers: { 'x-more': 'yes', 'set-cookie': 'a=1, b=2' } })
    expect(world.seen.at(-1)).toMatchObject({
      method: 'POST',
      body: 'hällo',
      headers: { 'content-type': 'text/plain', host: world.filled('allowed.test:{outside}') },
    })
    expect(bridge.usage().netBytes).toBeGreaterThan(20)
    await bridge.close()
  })

  test('is reached by TLS whose certificate names it, and by no other', async () => {
    const policy = { allowedPrivate: ['allowed.test:{tls}', 'other.test:{tls}'], requireTLS: true }
    const bridge = world.bridgeFor({ name: 'tls', url: '', policy, answers: { 'other.test': [['127.0.0.1']] } })
    const fetched = (host: string) => bridge.call('fetch', JSON.stringify([world.filled(`https://${host}:{tls}/`)]), never)
    expect(json(await fetched('allowed.test'))).toMatchObject({ status: 200, text: 'outside' })
    expect(await fetched('other.test')).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED', message: expect.stringContaining('TLS') as string })
    await bridge.close()
  })

  test('a private address by its exact host and port', async () => {
    const bridge = world.bridgeFor({ name: 'private', url: '', policy: { allowedPrivate: ['127.0.0.1:{target}'] } })
    const before = world.hits()
    expect(json(await bridge.call('fetch', JSON.stringify([world.filled('http://127.0.0.1:{target}/')]), never))).toMatchObject({ text: 'inside' })
    expect(world.hits()).toBe(before + 1)
    await bridge.close()
  })

  test('bytes both ways, as base64', async () => {
    const bridge = open()
    world.at('/bytes', (_, response) => response.end(Buffer.from([0, 255, 128])))
    const init = { method: 'PUT', body: { base64: 'AP+A' }, encoding: 'base64' }
    expect(json(await bridge.call('fetch', JSON.stringify([at('/bytes'), init]), never))).toMatchObject({ base64: 'AP+A' })
    await bridge.close()
  })
})

describe('a name is asked for once', () => {
  test('and what was checked is what is connected to', async () => {
    // Where the second answer leads to, a server counts what comes as hits.
    const before = world.hits()
    const answers = { 'allowed.test': [['127.0.0.1'], ['127.0.0.2']] }
    const bridge = world.bridgeFor({ name: 'rebinding', url: '', answers })
    expect(json(await bridge.call('fetch', JSON.stringify([at('/')]), never))).toMatchObject({ text: 'outside' })
    expect(world.asked).toEqual(['allowed.test'])
    expect(world.hits()).toBe(before)
    await bridge.close()
  })

  test('a literal address never reaches the resolver', async () => {
    const bridge = world.bridgeFor({ name: 'literal', url: 'http://127.1/', opens: true })
    await bridge.call('fetch', JSON.stringify(['http://127.1/']), never)
    expect(world.asked).toEqual([])
    await bridge.close()
  })
})

describe('redirects', () => {
  const hop = (to: string, status: number): string => at(`/redirect?status=${status}&to=${encodeURIComponent(to)}`)
  const secret = { authorization: 'Bearer x', cookie: 'a=b', 'x-api-key': 'k', accept: 'text/html' }

  test('keep credentials within an origin and drop them across', async () => {
    const bridge = open()
    await bridge.call('fetch', JSON.stringify([hop('/same', 302), { headers: secret }]), never)
    expect(world.seen.at(-1)).toMatchObject({ url: '/same', headers: secret })
    const across = world.bridgeFor({ name: 'across', url: '', policy: { allowedPrivate: ['allowed.test:{outside}', '127.0.0.1:{outside}'] } })
    await across.call('fetch', JSON.stringify([hop(world.filled('http://127.0.0.1:{outside}/other'), 307), { headers: secret }]), never)
    const { url, headers } = world.seen.at(-1) ?? {}
    expect(url).toBe('/other')
    expect(headers).toMatchObject({ accept: 'text/html' })
    for (const name of ['authorization', 'cookie', 'x-api-key']) expect(headers).not.toHaveProperty(name)
    await Promise.all([bridge.close(), across.close()])
  })

  test.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [307, 'POST', 'POST', 'body'],
    [308, 'PUT', 'PUT', 'body'],
    [302, 'PUT', 'PUT', 'body'],
  ])('%i turns %s into %s', async (status, method, becomes, body) => {
    const bridge = open()
    await bridge.call('fetch', JSON.stringify([hop('/after', status), { method, body: 'body', headers: { 'content-type': 'text/plain' } }]), never)
    expect(world.seen.at(-1)).toMatchObject({ url: '/after', method: becomes, body })
    expect(world.seen.at(-1)?.headers['content-type']).toBe(body === '' ? undefined : 'text/plain')
    await bridge.close()
  })

  test('are handed over or refused when the guest says so', async () => {
    const bridge = open()
    expect(json(await bridge.call('fetch', JSON.stringify([hop('/x', 302), { redirect: 'manual' }]), never))).toMatchObject({
      status: 302,
      headers: { location: '/x' },
    })
    expect(await bridge.call('fetch', JSON.stringify([hop('/x', 302), { redirect: 'error' }]), never)).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
    await bridge.close()
  })
})

describe('a hostile server', () => {
  const fetched = async (path: string, init = {}, signal = never): Promise<HostAnswer> => {
    const bridge = open()
    const answer = await bridge.call('fetch', JSON.stringify([at(path), init]), signal)
    await bridge.close()
    return answer
  }

  test('that announces too much is not listened to', async () => {
    world.at('/huge', (_, response) => response.writeHead(200, { 'content-length': String(2 ** 40) }).write('x'))
    expect(await fetched('/huge')).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
  })

  test('that never ends is cut off at the size allowed', async () => {
    let closed: (() => void) | undefined
    const cut = new Promise<void>((resolve) => (closed = resolve))
    world.at('/endless', (_, response) => {
      const more = (): void => void response.write(Buffer.alloc(1 << 16), () => !response.destroyed && setImmediate(more))
      response.once('close', () => closed?.())
      more()
    })
    expect(await fetched('/endless')).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
    await cut
  })

  test('that sends a compressed bomb gets nothing decompressed', async () => {
    world.at('/bomb', (_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(Buffer.from('H4sIAAAAAAAAA0vKBADaXTjLAgAAAA==', 'base64')))
    expect(await fetched('/bomb')).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
    expect(json(await fetched('/bomb', { encoding: 'base64' }))).toMatchObject({ base64: 'H4sIAAAAAAAAA0vKBADaXTjLAgAAAA==' })
    expect(world.seen.at(-1)?.headers['accept-encoding']).toBe('identity')
  })

  test('that sends a head without end is cut off', async () => {
    world.at('/head', ({ socket }) => void socket.write(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}\r\n`))
    expect(await fetched('/head')).toMatchObject({ ok: false, code: 'ERR_HOST_QUOTA' })
  })

  test('that changes the protocol is left', async () => {
    world.at('/upgrade', ({ socket }) => void socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'))
    expect(await fetched('/upgrade')).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
  })

  test('that does not speak HTTP is left', async () => {
    world.at('/noise', ({ socket }) => void socket.end('SSH-2.0-x\r\n'))
    expect(await fetched('/noise')).toMatchObject({ ok: false, code: 'ERR_HOST_FAILED' })
  })

  test('that never answers is left when the run ends', async () => {
    const run = new AbortController()
    world.at('/silent', () => run.abort())
    expect(await fetched('/silent', {}, run.signal)).toMatchObject({ ok: false, code: 'ERR_ABORTED' })
  })
})

test('runs share no connection; one run uses its own again', async () => {
  const [one, two] = [open(), open()]
  const before = world.sockets.size
  for (const bridge of [one, one, one, two]) expect((await bridge.call('fetch', JSON.stringify([at('/')]), never)).ok).toBe(true)
  expect(world.sockets.size - before).toBe(2)
  await Promise.all([one.close(), two.close()])
})

test('a proxy in the environment changes nothing', async () => {
  const { env } = process
  const names = ['HTTP_PROXY', 'http_proxy', 'NODE_USE_ENV_PROXY', 'ALL_PROXY']
  const before = names.map((name) => env[name])
  const hits = world.hits()
  for (const name of names) env[name] = name === 'NODE_USE_ENV_PROXY' ? '1' : world.filled('http://127.0.0.1:{target}')
  const bridge = open()
  expect(json(await bridge.call('fetch', JSON.stringify([at('/')]), never))).toMatchObject({ text: 'outside' })
  await bridge.close()
  for (const [at, name] of names.entries()) {
    if (before[at] === undefined) Reflect.deleteProperty(env, name)
    else env[name] = before[at]
  }
  expect(world.hits()).toBe(hits)
})
