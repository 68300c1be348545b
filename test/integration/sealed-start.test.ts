import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { profilePaths, realClock, realRandom } from '../../src/base/index.ts'
import { createClient } from '../../src/client/index.ts'
import { createProfile, withVault } from '../../src/node/index.ts'
import { createPlayground, spawnUp } from '../helpers/cli.ts'

test('a node that starts sealed says so and does nothing else; wrong keys are few; a code on paper opens it, and the same process goes on as the node', async () => {
  await using ground = await createPlayground()
  const home = ground.home('anna')
  const profile = { home, clock: realClock, random: realRandom }
  const { identity } = await createProfile(profile)
  const code = await withVault(profile, async (doors) => {
    await doors.set('key', 'kept')
    return (await doors.addRecoveryCode()).code
  })
  const up = spawnUp(home, '--sealed', '--no-upnp')
  try {
    const { event, api } = await up.next()
    expect(event).toBe('sealed')
    const url = String(api)
    const ask = async (path: string, body?: object, headers: Record<string, string> = {}): Promise<readonly [number, string]> => {
      const sent = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } }
      const answer = await fetch(`${url}${path}`, { headers, ...sent })
      return [answer.status, await answer.text()]
    }
    const { token } = JSON.parse(await readFile(join(home, 'api.json'), 'utf8')) as { readonly token: string }
    const own = { authorization: `Bearer ${token}` }
    expect(await ask('/healthz')).toEqual([200, '{"ok":true,"sealed":true}'])
    expect(JSON.parse((await ask('/v1/vault'))[1])).toMatchObject({ sealed: true, slots: [{ kind: 'passphrase' }, { kind: 'recovery' }] })
    for (const path of ['/v1/status', '/v1/vault/secrets', '/v1/users', '/openapi.json']) {
      expect((await ask(path))[0]).toBe(401)
      expect(await ask(path, undefined, own)).toEqual([423, expect.stringContaining('ERR_SEALED') as string])
    }
    expect((await ask('/v1/vault/unseal', { kind: 'recovery', code }, { origin: 'http://localhost:1' }))[0]).toBe(403)
    const wrong = { kind: 'prf', secret: 'AAAA' }
    const answers: number[] = []
    for (let tries = 0; tries < 7; tries++) answers.push((await ask('/v1/vault/unseal', wrong))[0])
    // There is no slot of that kind; a guess costs a try all the same.
    expect([new Set(answers.slice(0, 5)), answers.at(-1)]).toEqual([new Set([404]), 429])
    expect((await ask('/v1/vault/unseal', { kind: 'recovery', code: code.replace(/.$/, (digit) => (digit === '7' ? '8' : '7')) }, own))[0]).toBe(400)

    expect((await ask('/v1/vault/unseal', { kind: 'recovery', code }, own))[0]).toBe(200)
    const ready = await up.next()
    expect(ready).toMatchObject({ event: 'ready', did: identity, api })
    expect(await ask('/healthz')).toEqual([200, '{"ok":true}'])
    const again = JSON.parse(await readFile(profilePaths(home).api, 'utf8')) as { readonly url: string; readonly token: string; readonly pid: number }
    expect(again.pid).toBe(up.child.pid)
    expect(again.token).not.toBe(token)
    expect(await createClient(again).readSecret('key')).toEqual({ name: 'key', value: 'kept' })
  } finally {
    await up.end('SIGTERM')
  }
}, 240_000)

test('whoever unseals it and goes away at once leaves a node that runs', async () => {
  await using ground = await createPlayground()
  const home = ground.home('anna')
  await createProfile({ home, clock: realClock, random: realRandom })
  const passphrase = (await readFile(profilePaths(home).passphraseFile, 'utf8')).trim()
  const up = spawnUp(home, '--sealed', '--no-upnp')
  try {
    const url = String((await up.next())['api'])
    const call = request(`${url}/v1/vault/unseal`, { method: 'POST', headers: { 'content-type': 'application/json' }, agent: false })
    call.on('error', () => undefined)
    call.end(JSON.stringify({ kind: 'passphrase', passphrase }), () => call.destroy())
    const health = (): Promise<string> =>
      fetch(`${url}/healthz`).then(
        (answer) => answer.text(),
        () => 'between the two servers',
      )
    await expect.poll(health, { timeout: 60_000 }).toBe('{"ok":true}')
    expect(await up.next()).toMatchObject({ event: 'ready', api: url })
  } finally {
    await up.end('SIGTERM')
  }
}, 120_000)
