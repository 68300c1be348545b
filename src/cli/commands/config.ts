import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError, realRandom, toMeshError } from '../../base/index.ts'
import {
  type Config,
  configFiles,
  configValueOf,
  envLayer,
  machineFolder,
  openConfig,
  type OpenLayer,
  parseTables,
  readConfigText,
  readLayer,
  type Setting,
} from '../../config/index.ts'
import type { Client } from '../../client/index.ts'
import { type Context, paint } from '../context.ts'
import type { AddCommand } from '../program.ts'

interface Where {
  readonly agent?: string
  readonly session?: boolean
}

const shown = (value: unknown): string => (value === undefined || value === null ? '(decided by the node)' : JSON.stringify(value))
/** A setting as the API shows it. */
type Shown = Awaited<ReturnType<Client['settings']>>['settings'][number]
const plain = ({ value, lockedBy, unheard, ...rest }: Setting): Shown => ({ ...rest, unheard: [...unheard], value: value ?? null, lockedBy: lockedBy ?? null })

const filesOf = ({ home }: Context) => configFiles(home, process.env['KINDMESH_ETC'] ?? machineFolder)

/** Settings by the files alone: no node needs to run. */
async function open(context: Context, agent: string | undefined): Promise<Config> {
  const config = await openConfig({ files: filesOf(context), runtime: [envLayer(process.env)], random: realRandom })
  if (agent !== undefined) await config.loadAgent(agent)
  return config
}

/** A node that runs knows its flags and its session; without one the files speak. */
async function settings(context: Context, agent: string | undefined): Promise<readonly Shown[]> {
  try {
    const client = await context.client()
    return (await client.settings(agent === undefined ? {} : { agent }, { signal: context.signal })).settings
  } catch (error) {
    const { code } = toMeshError(error)
    if (code !== 'ERR_NODE_DOWN' && code !== 'ERR_PROFILE_MISSING') throw error
    return (await open(context, agent)).settings({ agent }).map(plain)
  }
}

/** Changes a file, or the session of the node that runs, and says what holds then. */
async function change(context: Context, key: string, value: unknown, { agent, session = false }: Where): Promise<Shown> {
  const layer: OpenLayer = session ? 'session' : agent === undefined ? 'user' : 'agent'
  const given = { key, layer, ...(value === undefined ? {} : { value }), ...(agent === undefined ? {} : { agent }) }
  try {
    const client = await context.client()
    return await client.setSetting(given, { signal: context.signal })
  } catch (error) {
    const { code } = toMeshError(error)
    if (session || (code !== 'ERR_NODE_DOWN' && code !== 'ERR_PROFILE_MISSING')) throw error
    return plain(await (await open(context, agent)).set({ key, layer, value, agent }))
  }
}

const heard = ({ key, value, from, felt }: Shown): string => `${key} = ${shown(value)}  (${from})${felt === 'start' ? '; felt at the next `kindmesh up`' : ''}`

function explained({ key, meaning, value, from, source, felt, lockedBy, unheard }: Shown): string {
  return [
    `${paint('bold', key)} = ${shown(value)}`,
    `  ${meaning}`,
    `  from ${from} (${source})${lockedBy === null ? '' : `, locked by ${lockedBy}`}`,
    ...unheard.map(({ layer, source: where, value: said, why }) => `  ${layer} (${where}) says ${shown(said)}: ${why}`),
    `  a change is felt ${felt === 'now' ? 'at once' : 'at the next `kindmesh up`'}`,
  ].join('\n')
}

function find(all: readonly Shown[], key: string): Shown {
  const found = all.find((setting) => setting.key === key)
  if (found !== undefined) return found
  const near = all.filter((setting) => setting.key.includes(key)).map((setting) => setting.key)
  throw new MeshError('ERR_CONFIG_INVALID', `there is no setting ${JSON.stringify(key)}`, {
    hint: near.length === 0 ? '`kindmesh config get` lists all' : `perhaps ${near.slice(0, 4).join(', ')}`,
  })
}

const forAgent = (command: Command): Command => command.option('--agent <name>', 'with the settings of this agent')

export function addConfigCommands(program: Command, add: AddCommand): void {
  const config = program.command('config').description('settings: system, organization, user, agent, session, and this run')
  add<readonly [string | undefined], Where>(
    config,
    'get [key]',
    'the value in force; all of them without a name',
    forAgent,
    async (context, [key], { agent }) => {
      const all = await settings(context, agent)
      if (key === undefined) {
        context.print('config', { settings: all }, () =>
          all.map((setting) => `${setting.key} = ${shown(setting.value)}  ${paint('dim', setting.from)}`).join('\n'),
        )
        return
      }
      context.print('config-get', find(all, key), ({ value }) => shown(value))
    },
  )
  add<readonly [string | undefined], Where>(
    config,
    'explain [key]',
    'where a value comes from, who locks it, and who said something else in vain',
    forAgent,
    async (context, [key], { agent }) => {
      const all = await settings(context, agent)
      const asked = key === undefined ? all : [find(all, key)]
      context.print('config-explain', { settings: asked }, () => asked.map(explained).join('\n'))
    },
  )
  const where = (command: Command): Command =>
    command.option('--agent <name>', 'for this agent alone').option('--session', 'until the node stops, without a file')
  add<readonly [string, string], Where>(
    config,
    'set <key> <value>',
    'change a setting of yours; lists with commas',
    where,
    async (context, [key, text], options) => {
      context.print('config-set', await change(context, key, configValueOf(key, text, 'the command line'), options), heard)
    },
  )
  add<readonly [string], Where>(config, 'unset <key>', 'take a setting of yours back', where, async (context, [key], options) => {
    context.print('config-unset', await change(context, key, undefined, options), heard)
  })
  add<readonly [], Where>(
    config,
    'edit',
    'open your settings in $EDITOR; what is wrong is refused and nothing is lost',
    forAgent,
    async (context, _args, { agent }) => {
      const files = filesOf(context)
      const path = agent === undefined ? files.user : files.agent(agent)
      await edit(context, path)
      await readLayer(agent === undefined ? 'user' : 'agent', path)
      const changed = await reload(context)
      context.print(
        'config-edit',
        { path, changed },
        () => `${path}: ${changed === null ? 'felt at the next `kindmesh up`' : `${changed.length} settings changed`}`,
      )
    },
  )
}

/** Hands the file to the editor of the user. @throws ERR_USAGE without a terminal, ERR_CONFIG_INVALID for what does not parse */
async function edit(context: Context, path: string): Promise<void> {
  const editor = process.env['VISUAL'] ?? process.env['EDITOR']
  if (!context.mayAsk || editor === undefined) {
    throw new MeshError('ERR_USAGE', 'no terminal or no $EDITOR', { hint: `edit ${path}, then \`kindmesh config get\` checks it` })
  }
  if ((await readConfigText(path)) === undefined) await writeFile(path, '# settings of this profile; `kindmesh config explain` lists them\n', { mode: 0o600 })
  await new Promise<void>((resolve, reject) => {
    const child = spawn(editor, [path], { stdio: 'inherit', shell: true })
    child.once('error', reject).once('exit', () => resolve())
  })
  parseTables(path, (await readConfigText(path)) ?? '')
}

async function reload(context: Context): Promise<readonly string[] | null> {
  try {
    return (await (await context.client()).reloadSettings({ signal: context.signal })).changed
  } catch (error) {
    const { code } = toMeshError(error)
    if (code === 'ERR_NODE_DOWN' || code === 'ERR_PROFILE_MISSING') return null
    throw error
  }
}
