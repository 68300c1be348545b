import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Secret } from 'otpauth'
import { expect, test, vi } from 'vitest'
import { totpCode, totpStepAt } from '../../src/auth/totp.ts'
import { codeTriesMax } from '../../src/auth/limits.ts'
import { runProgram } from '../../src/cli/program.ts'
import { createAuthenticator } from '../helpers/authenticator.ts'
import { createPlayground, fed, type UpNode } from '../helpers/cli.ts'

interface Answer {
  readonly status: number
  readonly text: string
}

/** A call as a page of the console makes it. */
async function post({ api }: UpNode, path: string, body: unknown): Promise<Answer> {
  const response = await fetch(api + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  return { status: response.status, text: await response.text() }
}

/** Registers by the link that a command printed, with a passkey made of software. */
async function enrol(node: UpNode, url: string, name: string): Promise<void> {
  const token = url.slice(url.lastIndexOf('/') + 1)
  const begun = JSON.parse((await post(node, '/v1/auth/register/begin', { token, name })).text) as { readonly flow: string; readonly options: never }
  const { create } = createAuthenticator({ origin: node.api })
  const done = await post(node, '/v1/auth/register/finish', { flow: begun.flow, response: create(begun.options) })
  expect([done.status, JSON.parse(done.text)]).toMatchObject([200, { user: { name } }])
}

const codeIn = (secret: string, steps: number): string => totpCode(Secret.fromBase32(secret).bytes, totpStepAt(Date.now()) + steps)

/** A command in this process: most of what one costs is its start. */
async function command({ home }: UpNode, ...args: readonly string[]): Promise<{ readonly code: number; readonly out: Record<string, unknown> }> {
  const written: string[] = []
  const keep = (chunk: unknown): boolean => written.push(String(chunk)) > 0
  const spies = [vi.spyOn(process.stdout, 'write').mockImplementation(keep), vi.spyOn(process.stderr, 'write').mockImplementation(keep)]
  try {
    const code = await runProgram([...args, '--home', home, '--json'], new AbortController().signal)
    return { code, out: JSON.parse(written.join('')) as Record<string, unknown> }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

test('people by the command line: invited, enrolled, logged in by app and recovery code, removed; refused with one answer; nothing secret stays', async () => {
  await using ground = await createPlayground()
  const node = await ground.up('anna')
  const invited = await node.run('user', 'invite', '--role', 'owner', '--json')
  expect(invited.json()).toMatchObject({
    schema: 'kindmesh.user-invite/1',
    url: expect.stringMatching(/^http:\/\/localhost:\d+\/#\/enrol\/[\w-]{43}$/) as string,
  })
  await enrol(node, String(invited.json()['url']), 'Ada')

  const begun = (await command(node, 'user', 'totp', 'ada')).out as { readonly flow: string; readonly secret: string; readonly uri: string }
  expect(begun.uri).toMatch(/^otpauth:\/\/totp\/kindmesh:Ada\?/)
  const wrong = await fed(node.home, '000000\n', 'user', 'totp', 'ada', '--flow', begun.flow, '--json')
  expect([wrong.code, wrong.problem().code]).toEqual([12, 'ERR_AUTH_FAILED'])
  const enrolled = await fed(node.home, `${codeIn(begun.secret, 0)}\n`, 'user', 'totp', 'ada', '--flow', begun.flow, '--json')
  expect(enrolled.json()).toMatchObject({ user: 'Ada', totp: true })

  const code = codeIn(begun.secret, 1)
  const login = await fed(node.home, `${code}\n`, 'user', 'login', 'ADA', '--json')
  expect([login.code, login.stderr]).toEqual([0, ''])
  expect(login.json()).toMatchObject({
    schema: 'kindmesh.user-login/1',
    success: true,
    missing: [],
    factors: [
      { type: 'totp', success: true },
      { type: 'context', success: true },
    ],
  })
  expect(Object.keys(login.json())).not.toContain('sessionToken')
  const [again, nobody] = await Promise.all(['ada', 'nobody'].map((name) => fed(node.home, `${code}\n`, 'user', 'login', name, '--json')))
  expect([again?.code, again?.stdout, again?.stderr]).toEqual([12, nobody?.stdout, nobody?.stderr])
  expect(nobody?.problem().code).toBe('ERR_LOGIN_REFUSED')
  expect((await command(node, 'user', 'sessions', 'ada')).out['sessions']).toHaveLength(1)
  expect((await stat(join(node.home, 'device'))).mode & 0o777).toBe(0o600)

  const recovery = (await command(node, 'user', 'recovery', 'Ada')).out['codes'] as string[]
  const byRecovery = await fed(node.home, `${recovery[0] ?? ''}\n`, 'user', 'login', 'ada', '--json')
  expect(byRecovery.json()).toMatchObject({ success: true, factors: [{ type: 'recovery' }, { type: 'context', metadata: { device: 'known' } }] })

  const link = (await command(node, 'user', 'add', 'Ben', '--role', 'viewer')).out as { readonly url: string }
  const other = (await command(node, 'user', 'invite', '--role', 'viewer')).out as { readonly id: string }
  await enrol(node, link.url, 'Ben')
  expect((await command(node, 'user', 'list')).out).toMatchObject({
    users: [
      { name: 'Ada', role: 'owner', totp: true, recoveryCodesLeft: 9 },
      { name: 'Ben', role: 'viewer', totp: false, recoveryCodesLeft: 0 },
    ],
    invites: [{ id: other.id }],
  })

  // No such user, nothing enrolled, a wrong code, a code used before, too many tries, a right code too late: byte for byte.
  const attempt = (userId: string, shown: string): Promise<Answer> => post(node, '/v1/auth/authenticate', { userId, totpCode: shown })
  const answers = [await attempt('nobody', '123456'), await attempt('Ben', '123456'), await attempt('Ada', code)]
  for (let tries = 0; tries < codeTriesMax; tries++) answers.push(await attempt('Ada', '000000'))
  answers.push(await attempt('Ada', codeIn(begun.secret, 1)))
  expect([...new Set(answers.map(({ status, text }) => `${status} ${text}`))]).toEqual([expect.stringMatching(/^401 \{"code":"ERR_LOGIN_REFUSED"/)])

  expect((await command(node, 'user', 'remove', other.id)).code).toBe(0)
  expect((await command(node, 'user', 'role', 'ben', 'operator')).out).toMatchObject({ name: 'Ben', role: 'operator' })
  expect((await command(node, 'user', 'role', 'ben', 'king')).code).toBe(2)
  expect((await command(node, 'user', 'passkeys', 'ben')).out).toMatchObject({ passkeys: [{ disabled: false }] })
  expect((await command(node, 'user', 'remove', 'ben')).out).toMatchObject({ name: 'Ben' })
  expect((await command(node, 'user', 'remove', 'ada')).out).toMatchObject({ code: 'ERR_USER_LAST' })
  expect((await command(node, 'user', 'totp', 'ada', '--remove')).out).toMatchObject({ totp: false })

  const log = JSON.stringify((await command(node, 'audit', 'tail', '--limit', '200')).out)
  for (const event of [
    'user_registered',
    'totp_enrolled',
    'totp_removed',
    'recovery_codes_made',
    'user_login',
    'user_login_failed',
    'user_logout',
    'user_removed',
  ]) {
    expect(log).toContain(event)
  }
  for (const secret of [begun.secret, code, recovery[0] ?? '', link.url.slice(-43), await readFile(join(node.home, 'device'), 'utf8')]) {
    expect(log + JSON.stringify(node.events)).not.toContain(secret.trim())
  }
  // Sealed, the vault gives no secret of an app: to nobody, known or not.
  const { flow: second, secret: kept } = (await command(node, 'user', 'totp', 'ada')).out as { readonly flow: string; readonly secret: string }
  expect((await fed(node.home, `${codeIn(kept, 0)}\n`, 'user', 'totp', 'ada', '--flow', second, '--json')).code).toBe(0)
  expect((await command(node, 'vault', 'seal')).code).toBe(0)
  const sealed = await Promise.all(['ada', 'nobody'].map((name) => attempt(name, codeIn(kept, 1))))
  expect([...new Set(sealed.map(({ text }) => text))]).toEqual([expect.stringContaining('ERR_SEALED')])
  await node.end('SIGTERM')
  const files = await readdir(node.home, { recursive: true, withFileTypes: true })
  for (const file of files.filter((entry) => entry.isFile())) {
    const bytes = await readFile(join(file.parentPath, file.name))
    for (const secret of [kept, ...recovery]) expect([file.name, bytes.includes(secret)]).toEqual([file.name, false])
    expect([file.name, bytes.includes(Buffer.from(Secret.fromBase32(kept).bytes))]).toEqual([file.name, false])
  }
  expect((await command(node, 'user', 'list')).out).toMatchObject({ code: 'ERR_NODE_DOWN' })
})
