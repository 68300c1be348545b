import type { Command } from 'commander'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { renderUnicodeCompact } from 'uqr'
import { MeshError } from '../../base/index.ts'
import type { Client } from '../../client/index.ts'
import { type Context, paint } from '../context.ts'
import type { AddCommand } from '../program.ts'

/** Longest line a code is read from. */
const lineCharsMax = 256

/** A code from the person at the terminal, or the next line of stdin: arguments are seen by every program of the machine. */
function codeReader(mayAsk: boolean): (question: string) => Promise<string> {
  const lines = createInterface({ input: process.stdin, terminal: false })
  const next = lines[Symbol.asyncIterator]()
  return async (question) => {
    if (mayAsk) process.stderr.write(question)
    const { value, done } = await next.next()
    if (done === true || value.trim() === '') throw new MeshError('ERR_USAGE', 'no code was given', { hint: 'the code comes on stdin, a line each' })
    return value.slice(0, lineCharsMax).trim()
  }
}

const isTotp = (code: string): boolean => /^\d{3} ?\d{3}$/.test(code)

type Result = Awaited<ReturnType<Client['authenticate']>>

/** Tells this command line from others at the next login; opens nothing by itself. */
const deviceFile = (home: string): string => join(home, 'device')

/** Shows codes until the policy is met or one is refused, then ends the session: nothing of it is kept. */
async function login(context: Context, name: string): Promise<Result> {
  const { home, mayAsk, signal } = context
  const client = await context.client()
  const ask = codeReader(mayAsk)
  const known = await readFile(deviceFile(home), 'utf8').catch(() => undefined)
  let flow: string | undefined
  for (;;) {
    const code = await ask('code of the app, or a recovery code: ')
    const shown = isTotp(code) ? { totpCode: code.replace(' ', '') } : { recoveryCode: code }
    const body = { userId: name, ...shown, ...(flow === undefined ? {} : { flow }), ...(known === undefined ? {} : { deviceToken: known.trim() }) }
    const result = await client.authenticate(body, { signal })
    if (result.success) {
      if (result.deviceToken !== null) await writeFile(deviceFile(home), `${result.deviceToken}\n`, { mode: 0o600 })
      if (result.sessionToken !== null) await client.as(result.sessionToken).logout({ signal })
      return result
    }
    const mayGoOn = result.missing.every((type) => type === 'totp' || type === 'recovery')
    if (!mayGoOn) {
      throw new MeshError('ERR_FACTOR_NEEDED', `the code is right, and this login also needs: ${result.missing.join(', ')}`, {
        hint: 'log in at the console with a passkey: `kindmesh status` shows its address',
      })
    }
    flow = result.flow ?? undefined
    context.say(`right; also needed: ${result.missing.join(', ')}`)
  }
}

const percent = (part: number): string => `${Math.round(part * 100)} %`

export function addUserCodeCommands(user: Command, add: AddCommand): void {
  add<readonly [string]>(
    user,
    'login <name>',
    'prove who somebody is by codes, a line each on stdin; the session ends at once',
    (command) => command,
    async (context, [name]) => {
      const { sessionToken: _, deviceToken: __, ...result } = await login(context, name)
      context.print('user-login', result, ({ factors }) =>
        [`${name} it is`, ...factors.map(({ type, success, confidence }) => `${success ? 'passed' : 'not passed'}  ${type}  ${percent(confidence)}`)].join(
          '\n',
        ),
      )
    },
  )
  add<readonly [string], { readonly remove?: boolean; readonly flow?: string }>(
    user,
    'totp <name>',
    'enrol an authenticator app: shows a QR code, then takes the first code on stdin',
    (command) => command.option('--remove', 'take the app away').option('--flow <flow>', 'finish what --json began; the code comes on stdin'),
    async (context, [name], { remove = false, flow }) => {
      const { signal, mayAsk, print } = context
      const client = await context.client()
      if (remove) {
        print('user-totp', await client.removeTotp({ user: name }, { signal }), () => `${name} has no app any more`)
        return
      }
      const enrolled = async (begun: string): Promise<void> => {
        const code = await codeReader(mayAsk)('the code the app shows now: ')
        print('user-totp', await client.finishTotp({ user: name, flow: begun, code }, { signal }), () => `${name} logs in with the app from now on`)
      }
      if (flow !== undefined) return await enrolled(flow)
      const begun = await client.beginTotp({ user: name }, { signal })
      if (context.json || context.jsonl) {
        print('user-totp-begun', begun, () => '')
        return
      }
      // For the eyes of whoever scans it, not for a pipe.
      process.stderr.write(`${renderUnicodeCompact(begun.uri)}\n${begun.secret}\n`)
      await enrolled(begun.flow)
    },
  )
  add<readonly [string]>(
    user,
    'recovery <name>',
    'make ten recovery codes, shown once; those before are dead',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      print('user-recovery', await (await client()).makeRecoveryCodes({ user: name }, { signal }), ({ codes }) =>
        [...codes, '', paint('dim', 'each logs in once; keep them on paper')].join('\n'),
      )
    },
  )
}
