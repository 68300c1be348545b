import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { styleText } from 'node:util'
import { type LogLevel, MeshError, profilePaths } from '../base/index.ts'
import { type Client, createClient } from '../client/index.ts'
import { parseDuration } from './parse.ts'
import { passphraseBytes } from './secret-input.ts'

/** Options every command takes. */
export interface SharedOptions {
  readonly home?: string
  readonly passphraseFile?: string
  readonly input?: boolean
  readonly json?: boolean
  readonly jsonl?: boolean
  readonly quiet?: boolean
  readonly timeout?: string
  readonly verbose?: boolean
}

/** What a command is given: where the profile is, how to talk, when to stop. */
export interface Context {
  readonly home: string
  readonly json: boolean
  readonly jsonl: boolean
  readonly mayAsk: boolean
  readonly logLevel: LogLevel
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal
  /** Data: one JSON object with `schema`, or what `text` makes of it. */
  print<T extends object>(schema: string, data: T, text: (data: T) => string): void
  /** Whether `say` says anything. */
  readonly isTalking: boolean
  /** Talk: to stderr, not with --quiet or --json. */
  say(text: string): void
  /** From --passphrase-file, KINDMESH_PASSPHRASE_FILE, or KINDMESH_PASSPHRASE; undefined when none is given. */
  passphrase(): Promise<Uint8Array | undefined>
  /** The API of the node that runs for this profile. @throws ERR_NODE_DOWN, ERR_PROFILE_MISSING */
  client(): Promise<Client>
}

export function defaultHome(env: NodeJS.ProcessEnv): string {
  if (env['KINDMESH_HOME'] !== undefined && env['KINDMESH_HOME'] !== '') return env['KINDMESH_HOME']
  return join(env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'kindmesh')
}

export function createContext(options: SharedOptions, signal: AbortSignal): Context {
  const { env } = process
  const home = options.home ?? defaultHome(env)
  const json = options.json === true
  const jsonl = options.jsonl === true
  const quiet = options.quiet === true || json || jsonl
  const passphraseFile = options.passphraseFile ?? env['KINDMESH_PASSPHRASE_FILE']
  return {
    home,
    json,
    jsonl,
    mayAsk: options.input !== false && process.stdin.isTTY,
    logLevel: options.verbose === true ? 'info' : 'warn',
    timeoutMs: options.timeout === undefined ? undefined : parseDuration(options.timeout),
    signal,
    isTalking: !quiet,
    print(schema, data, text) {
      process.stdout.write(json || jsonl ? `${JSON.stringify({ schema: `kindmesh.${schema}/1`, ...data })}\n` : `${text(data)}\n`)
    },
    say(text) {
      if (!quiet) process.stderr.write(`${text}\n`)
    },
    async passphrase() {
      if (passphraseFile !== undefined) return await passphraseBytes(passphraseFile)
      const plain = env['KINDMESH_PASSPHRASE']
      return plain === undefined ? undefined : new TextEncoder().encode(plain)
    },
    client: () => openClient(home),
  }
}

async function openClient(home: string): Promise<Client> {
  const { api, identity } = profilePaths(home)
  const text = await readFile(api, 'utf8').catch(() => undefined)
  if (text === undefined) {
    const hasProfile = await readFile(identity).then(
      () => true,
      () => false,
    )
    throw hasProfile
      ? new MeshError('ERR_NODE_DOWN', `no node is running for ${home}`)
      : new MeshError('ERR_PROFILE_MISSING', `no identity in ${home}`, { hint: 'run `kindmesh up --init`, or name another --home' })
  }
  const { url, token, pid } = JSON.parse(text) as { readonly url: string; readonly token: string; readonly pid?: number }
  // After a crash its port may be somebody else's, who is not to hear the token.
  if (pid !== undefined && !isAlive(pid)) throw new MeshError('ERR_NODE_DOWN', `no node is running for ${home}`)
  return createClient({ url, token })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Colours only where a person looks. */
export const paint = (style: Parameters<typeof styleText>[0], text: string): string => styleText(style, text, { stream: process.stdout })

/** The last line on stderr: with --json an object, else a sentence and the next step. */
export function reportError(error: MeshError, { json }: { readonly json: boolean }): void {
  const { code, message, hint } = error
  process.stderr.write(
    json ? `${JSON.stringify({ code, message, hint })}\n` : `${styleText('red', 'error', { stream: process.stderr })} ${message} (${code})\nnext: ${hint}\n`,
  )
}
