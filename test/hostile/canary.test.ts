import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { type MeshError, realRandom } from '../../src/base/index.ts'
import { type Client, createClient } from '../../src/client/index.ts'

const main = fileURLToPath(new URL('../../scripts/run.mjs', import.meta.url))

interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** How a secret may be written: as it is, as JSON, base64 and hexadecimal write it; without its dashes too. */
const spellings = (secret: string): readonly string[] => [
  secret,
  secret.replaceAll('-', ''),
  JSON.stringify(secret).slice(1, -1),
  // Three places in a group of three bytes: the middle of each is the same wherever the secret stands.
  ...[0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${secret}`)
      .toString('base64')
      .slice(4, -4),
  ),
  ...[0, 1, 2].map((shift) =>
    Buffer.from(`${'x'.repeat(shift)}${secret}`)
      .toString('base64url')
      .slice(4, -4),
  ),
  Buffer.from(secret).toString('hex'),
]

/** Which secrets a text tells, by the names they have here. */
const toldBy = (text: string, secrets: ReadonlyMap<string, string>): readonly string[] =>
  [...secrets].filter(([, secret]) => spellings(secret).some((spelling) => text.includes(spelling))).map(([name]) => name)

async function filesUnder(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

test('secrets, passphrases and codes stand in no log, audit entry, error, crash, temporary file or file of the profile but sealed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-canary-'))
  const [home, temporary, given] = ['home', 'tmp', 'given'].map((name) => join(folder, name)) as [string, string, string]
  for (const path of [temporary, given]) await mkdir(path)
  const env = { ...process.env, TMPDIR: temporary }
  const unique = (): string => Buffer.from(realRandom.bytes(15)).toString('base64url').replaceAll(/[-_]/g, 'q')
  const secrets = new Map<string, string>(
    ['secret', 'other', 'passphrase', 'backup', 'wrong', 'mistyped', 'totp'].map((name) => [name, `canary ${name} "${unique()}"`]),
  )
  const of = (name: string): string => secrets.get(name) ?? ''
  secrets.set('totp', Buffer.from(realRandom.bytes(20)).toString('hex').toUpperCase())
  for (const name of ['passphrase', 'backup', 'wrong']) await writeFile(join(given, name), `${of(name)}\n`)
  /** All that was said, by what said it; what was asked to show a secret is not among it. */
  const said = new Map<string, string>()

  async function run(args: readonly string[], { input = '', passphrase = 'passphrase', shows = false } = {}): Promise<Said> {
    const flags = ['--home', home, '--passphrase-file', join(given, passphrase), '-v', '--json']
    const child = spawn(process.execPath, [main, ...args, ...flags], { stdio: ['pipe', 'pipe', 'pipe'], env })
    const out = { stdout: '', stderr: '' }
    child.stdout.on('data', (chunk: Buffer) => (out.stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (out.stderr += chunk.toString()))
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    said.set(`${args.join(' ')} (${said.size})`, shows ? out.stderr : out.stdout + out.stderr)
    return { code, ...out }
  }
  async function up(): Promise<{ end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> }> {
    const flags = ['--home', home, '--passphrase-file', join(given, 'passphrase'), '-v', '--jsonl', '--init', '--no-upnp', '--listen', '/ip4/127.0.0.1/tcp/0']
    const child = spawn(process.execPath, [main, 'up', ...flags], { stdio: ['ignore', 'pipe', 'pipe'], env })
    const name = `up (${said.size})`
    said.set(name, '')
    const hear = (chunk: Buffer): void => void said.set(name, `${said.get(name) ?? ''}${chunk.toString()}`)
    child.stderr.on('data', hear)
    child.stdout.on('data', hear)
    const ended = once(child, 'close')
    const first = await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])
    expect(String(first[0])).toContain('ready')
    return {
      async end(signal) {
        child.kill(signal)
        await ended
      },
    }
  }
  const client = async (): Promise<Client> =>
    createClient(JSON.parse(await readFile(join(home, 'api.json'), 'utf8')) as { readonly url: string; readonly token: string })
  /** An error of the API, as it is told. */
  async function told(call: Promise<unknown>, code: string): Promise<void> {
    const error = await call.then(
      () => undefined,
      (reason: unknown) => reason as MeshError,
    )
    expect(error).toMatchObject({ code })
    said.set(`${code} (${said.size})`, `${error?.message ?? ''} ${error?.hint ?? ''} ${JSON.stringify(error?.details)}`)
  }
  const field = ({ stdout }: Said, name: string): unknown => (JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '{}') as Record<string, unknown>)[name]

  try {
    const node = await up()
    const api = await client()
    expect((await run(['vault', 'set', 'key'], { input: `${of('secret')}\n` })).code).toBe(0)
    await api.setSecret({ name: 'totp', value: of('totp') })
    expect(field(await run(['vault', 'get', 'key'], { shows: true }), 'value')).toBe(of('secret'))
    // Refused with the secret in hand.
    expect((await run(['vault', 'set', 'no/name'], { input: of('other') })).code).toBe(2)
    const backup = join(given, 'backup.bin')
    const byBackup = ['--backup-passphrase-file', join(given, 'backup')]
    expect((await run(['vault', 'export', backup, ...byBackup])).code).toBe(0)
    expect((await run(['vault', 'import', backup, '--backup-passphrase-file', join(given, 'wrong')])).code).toBe(12)
    const code = String(field(await run(['vault', 'slots', 'add-recovery'], { shows: true }), 'code'))
    secrets.set('code', code)
    secrets.set(
      'mistyped',
      code.replace(/^./, (digit) => (digit === '7' ? '8' : '7')),
    )
    await api.sealVault()
    expect((await run(['vault', 'unseal', '--recovery-code'], { input: of('mistyped') })).code).toBe(2)
    await told(api.unsealVault({ kind: 'passphrase', passphrase: of('wrong') }), 'ERR_AUTH_FAILED')
    await api.unsealVault({ kind: 'recovery', code })

    // An agent that may read the secret, and fails with it in its hands.
    const text = 'agent.receive(async () => { const secret = await vault.get("key"); throw Object.assign(new Error(secret), { code: secret, stack: secret }) })'
    await api.addAgent({ name: 'clumsy', program: { code: text, language: 'javascript', grants: { capabilities: ['vault:access'], vault: ['key'] } } })
    const { did } = await api.status()
    await told(api.ask({ to: did, agent: 'clumsy', data: {} }), 'ERR_AGENT_FAILED')
    await api.removeSecret('totp')
    await node.end('SIGKILL')

    // Down: the same doors on the profile itself, a start that is refused, and one after the crash.
    expect((await run(['vault', 'get', 'key'], { passphrase: 'wrong' })).code).toBe(12)
    expect(field(await run(['vault', 'import', backup, ...byBackup]), 'kept')).toEqual(['key'])
    expect((await run(['up', '--no-upnp'], { passphrase: 'wrong' })).code).toBe(12)
    const again = await up()
    expect(await (await client()).auditVerify()).toMatchObject({ ok: true })
    await again.end('SIGTERM')

    for (const [what, text] of said) expect([what, toldBy(text, secrets)]).toEqual([what, []])
    const scanned = [...(await filesUnder(home)), ...(await filesUnder(temporary))]
    expect(scanned.some((path) => path.endsWith('.log'))).toBe(true)
    for (const path of [...scanned, backup]) expect([path, toldBy(await readFile(path, 'latin1'), secrets)]).toEqual([path, []])
    // The scan finds what is there.
    expect(toldBy(await readFile(join(given, 'passphrase'), 'latin1'), secrets)).toEqual(['passphrase'])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}, 600_000)
