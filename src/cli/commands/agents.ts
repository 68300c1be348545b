import { readFile, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError, toMeshError } from '../../base/index.ts'
import type { Client } from '../../client/index.ts'
import { limitsHint, parseLimits } from '../parse.ts'
import type { AddCommand } from '../program.ts'

const codeBytesMax = 256 * 1024
const levels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const

interface GrantOptions {
  readonly level?: string
  readonly strict?: boolean
  readonly cap?: readonly string[]
  readonly limit?: string
  readonly allowDomain?: readonly string[]
  readonly secret?: readonly string[]
  readonly root?: readonly string[]
  readonly grants?: string
}

export function addAgentCommands(program: Command, add: AddCommand): void {
  const agent = program.command('agent').description('agents that live at this node')
  add<readonly [string, string | undefined], GrantOptions>(
    agent,
    'add <name> [file]',
    'register a built-in agent (echo), or a JavaScript or TypeScript file as an agent in a sandbox of its own',
    (command) =>
      command
        .option('--level <level>', `isolation: ${levels.join(', ')}; sandboxed unless said otherwise`)
        .option('--strict', 'the strict variant of the level')
        .option('--cap <capability...>', 'what it may do, such as memory:read memory:write agent:delegate; nothing unless said otherwise')
        .option('--limit <limits>', `for each message: ${limitsHint}`)
        .option('--allow-domain <domain...>', 'names it may reach with network:outbound')
        .option('--secret <name...>', 'secrets it may read with vault:access')
        .option('--root <root...>', 'folders it may reach with file:read and file:write: name=/path, name=/path:write')
        .option('--grants <file>', 'all grants as JSON (sandbox/v1 section 5); the options above are added'),
    async ({ client, print, signal }, [name, file], options) => {
      const body = file === undefined ? { name } : { name, program: { ...(await readProgram(file)), ...(await programOptions(options)) } }
      const answer = await (await client()).addAgent(body, { signal })
      print('agent-add', answer, ({ did }) => `${name} lives here now\n${did}`)
    },
  )
  add(
    agent,
    'list',
    'who lives here, and how those do that are programs',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).agents({ signal })
      print('agent-list', answer, textOf)
    },
  )
  add<readonly [string, string]>(
    agent,
    'update <name> <file>',
    'put other code in the place of an agent program; what it may do stays',
    (command) => command,
    async ({ client, print, signal }, [name, file]) => {
      const answer = await (await client()).updateAgent({ name, ...(await readProgram(file)) }, { signal })
      print('agent-update', answer, ({ codeHash }) => `${name} runs ${codeHash}`)
    },
  )
  for (const action of ['start', 'stop'] as const) {
    add<readonly [string]>(
      agent,
      `${action} <name>`,
      action === 'start' ? 'start an agent program that is stopped or has failed' : 'stop an agent program until it is started again',
      (command) => command,
      async ({ client, print, signal }, [name]) => {
        const api = await client()
        const answer = await (action === 'start' ? api.startAgent(name, { signal }) : api.stopAgent(name, { signal }))
        print(`agent-${action}`, answer, ({ status }) => `${name} is ${status}`)
      },
    )
  }
  add<readonly [string], { readonly follow?: boolean }>(
    agent,
    'logs <name>',
    'what an agent program printed of late',
    (command) => command.option('-f, --follow', 'go on with what comes, until Ctrl-C'),
    async ({ client, print, json, signal }, [name], { follow = false }) => {
      const lines: object[] = []
      try {
        for await (const { type: _, ...line } of (await client()).agentLogs({ name, follow }, { signal })) {
          if (json) lines.push(line)
          else print('agent-log-line', line, ({ at, level, text }) => `${new Date(at).toISOString()}  ${level.padEnd(5)}  ${text}`)
        }
      } catch (error) {
        if (!follow || !signal.aborted || toMeshError(error).code !== 'ERR_ABORTED') throw error
      }
      if (json) print('agent-logs', { name, lines }, () => '')
    },
  )
  add(
    agent,
    'rotate <name>',
    'replace the key of an agent: its DID stays',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).rotateAgent(name ?? '', { signal })
      print('agent-rotate', answer, ({ did, seq }) => `${did}  key number ${seq}`)
    },
  )
  add(
    agent,
    'remove <name>',
    'send an agent away and forget its key',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      const answer = await (await client()).removeAgent(name ?? '', { signal })
      print('agent-remove', answer, () => `${name ?? ''} is gone`)
    },
  )
}

function textOf({ agents, keys, programs }: Awaited<ReturnType<Client['agents']>>): string {
  if (agents.length === 0) return 'no agents: `kindmesh agent add echo`'
  return agents
    .map((name) => {
      const line = `${name.padEnd(16)} ${keys.find((key) => key.name === name)?.did ?? ''}`.trimEnd()
      const found = programs.find((each) => each.name === name)
      if (found === undefined) return line
      const { status, level, backend, restarts, handled, failed, cpuMs, memoryBytes, lastError } = found
      const by = backend === null ? level : `${level} by ${backend}`
      const did = `${handled} answered, ${failed} failed, ${restarts} restarts, cpu ${Math.round(cpuMs)} ms, memory ${(memoryBytes / 2 ** 20).toFixed(1)} MiB`
      const why = lastError === null ? '' : `\n${' '.repeat(17)}${new Date(lastError.at).toISOString()} ${lastError.message} (${lastError.code})`
      return `${line}\n${' '.repeat(17)}${status}  ${by}  ${did}${why}`
    })
    .join('\n')
}

async function programOptions(options: GrantOptions) {
  const level = levels.find((each) => each === options.level)
  if (options.level !== undefined && level === undefined) {
    throw new MeshError('ERR_USAGE', `'${options.level}' is no isolation level`, { hint: `one of ${levels.join(', ')}` })
  }
  return {
    ...(level === undefined ? {} : { level }),
    ...(options.strict === true ? { strict: true } : {}),
    ...(options.limit === undefined ? {} : { limits: parseLimits(options.limit) }),
    grants: await grantsOf(options),
  }
}

type Plain = Readonly<Record<string, unknown>>
const plain = (value: unknown): Plain => (typeof value === 'object' && value !== null ? (value as Plain) : {})
const listed = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

async function grantsOf({ grants: file, cap = [], allowDomain = [], secret = [], root = [] }: GrantOptions): Promise<Record<string, unknown>> {
  const given = file === undefined ? {} : plain(parseGrants(await readText(file)))
  const network = plain(given['network'])
  const files = plain(given['files'])
  return {
    ...given,
    ...(cap.length === 0 ? {} : { capabilities: [...new Set([...listed(given['capabilities']), ...words(cap)])] }),
    ...(allowDomain.length === 0
      ? {}
      : { network: { ...network, allowOutbound: true, allowedDomains: [...listed(network['allowedDomains']), ...words(allowDomain)] } }),
    ...(secret.length === 0 ? {} : { vault: [...listed(given['vault']), ...words(secret)] }),
    ...(root.length === 0 ? {} : { files: { ...files, roots: [...listed(files['roots']), ...root.map(rootOf)] } }),
  }
}

/** Said one by one or with commas between. */
const words = (given: readonly string[]): readonly string[] => given.flatMap((text) => text.split(',')).filter((text) => text !== '')

function rootOf(text: string): object {
  const [, name, path, mode = 'read'] = /^([^=]+)=(\/.*?)(?::(read|write))?$/.exec(text) ?? []
  if (name === undefined) throw new MeshError('ERR_USAGE', `'${text}' is no root`, { hint: 'such as notes=/srv/notes or notes=/srv/notes:write' })
  return { name, path, mode }
}

function parseGrants(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_CONFIG', 'the grants are no JSON', { cause })
  }
}

async function readProgram(file: string): Promise<{ readonly code: string; readonly language: 'javascript' | 'typescript' }> {
  return { code: await readText(file), language: /\.[cm]?ts$/.test(file) ? 'typescript' : 'javascript' }
}

async function readText(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > codeBytesMax) throw new MeshError('ERR_USAGE', `${path} is over ${codeBytesMax} bytes`)
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  }
}
