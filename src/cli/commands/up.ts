import type { Command } from 'commander'
import { renderUnicodeCompact } from 'uqr'
import { type Config, configFiles, envLayer, type Layer, machineFolder, openConfig } from '../../config/index.ts'
import { createLogger, type Logger, profilePaths, realClock, realRandom, toMeshError, utf8 } from '../../base/index.ts'
import type { Api, ApiOptions } from '../../api/index.ts'
import type { MeshNode, NodeEvent, NodeOptions, Role } from '../../node/index.ts'
import { type Context, paint } from '../context.ts'
import { parseCount } from '../parse.ts'
import { type AddCommand, version } from '../program.ts'

/** Port of the local API when it is free and none is named. */
export const apiPortDefault = 4_180
/** Tried first when nothing is named; other ports are taken when these are in use. */
const listenDefault = ['/ip4/0.0.0.0/tcp/4160', '/ip4/0.0.0.0/tcp/4161/ws']
const listenAnyPort = ['/ip4/0.0.0.0/tcp/0', '/ip4/0.0.0.0/tcp/0/ws']

interface UpOptions {
  readonly listen?: readonly string[]
  readonly bootstrap?: readonly string[]
  readonly init?: boolean
  readonly mdns?: boolean
  readonly relay?: boolean
  readonly upnp?: boolean
  readonly role?: readonly string[]
  readonly serveMailbox?: boolean
  readonly apiPort?: string
  readonly sealed?: boolean
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

export function addUpCommand(program: Command, add: AddCommand): void {
  add<readonly [], UpOptions>(
    program,
    'up',
    'run the node until interrupted',
    (command) =>
      command
        .option('--listen <multiaddr>', 'address to listen on, repeatable', collect)
        .option('--bootstrap <multiaddr>', 'peer to meet first, repeatable', collect)
        .option('--init', 'create the identity when there is none')
        .option('--mdns', 'find peers on the local network')
        .option('--relay', 'relay for peers that cannot be reached')
        .option('--no-upnp', 'do not ask the router to let others in')
        .option('--role <role>', 'peer, gateway, archive or validator, repeatable', collect)
        .option('--serve-mailbox', 'hold mail for others while they are off')
        .option('--api-port <port>', 'port of the local API; any free one unless given')
        .option('--sealed', 'wait until somebody unseals the vault by passphrase, recovery code or passkey, then start'),
    async (context, _args, options) => {
      const { startApi } = await import('../../api/index.ts')
      const logger = createLogger({ level: context.logLevel, write: (line) => process.stderr.write(line) })
      const startedAt = realClock.now()
      // A fault of ours that some peer found must not take the node down with it.
      process.on('unhandledRejection', (error) =>
        logger.error('unhandled rejection', { reason: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      )
      await using undo = new AsyncDisposableStack()
      const config = await settingsFor(context, options)
      const how = { init: options.init === true, config }
      const unsealed = options.sealed === true ? await waitSealed(context, how, logger) : undefined
      if (options.sealed === true && unsealed === undefined) return
      const node = undo.use(unsealed?.node ?? (await start(context, how, logger)))
      const api = await startApi({
        node,
        file: profilePaths(context.home).api,
        ...(unsealed === undefined ? portOf(config) : { port: unsealed.port }),
        version,
        startedAt,
        random: realRandom,
      })
      undo.defer(() => api.stop())
      if (!api.hasConsole) context.say('the console is not built: run `npm run build:console`, then start again')
      node.onEvent((event) => tell(context, event))
      ready(context, node, { api: api.url, console: await consoleLink(node, api) })
      await new Promise<void>((resolve) => {
        if (context.signal.aborted) resolve()
        context.signal.addEventListener('abort', () => resolve(), { once: true })
      })
      context.say('stopping')
    },
  )
}

/** What was said on the command line, as the last layer of the settings. */
function flagLayer({ listen, bootstrap, mdns, relay, upnp, role, serveMailbox, apiPort }: UpOptions): Layer {
  const said: Readonly<Record<string, unknown>> = {
    'node.listen': listen,
    'node.bootstrap': bootstrap,
    'node.mdns': mdns,
    'node.relay': relay,
    // `--no-upnp` has a value of its own when it is not given.
    'node.upnp': upnp === false ? false : undefined,
    'node.roles': role,
    'node.mailbox': serveMailbox,
    'node.api_port': apiPort === undefined ? undefined : parseCount(apiPort, 'the API port', 65_535),
  }
  const values = Object.entries(said).filter(([, value]) => value !== undefined)
  return { name: 'flag', source: 'the command line', values: new Map(values), locked: [] }
}

/** All settings, those of this command among them. @throws ERR_CONFIG_* */
async function settingsFor(context: Context, options: UpOptions): Promise<Config> {
  const runtime = [envLayer(process.env), flagLayer(options)]
  return await openConfig({ files: configFiles(context.home, process.env['KINDMESH_ETC'] ?? machineFolder), runtime, random: realRandom })
}

interface StartOptions {
  readonly init: boolean
  readonly config: Config
}

/** Starts the node; where somebody sits at a terminal, a passphrase that is missing is asked for. */
async function start(context: Context, options: StartOptions, logger: Logger): Promise<MeshNode> {
  try {
    return await startWith({ passphrase: await context.passphrase() }, context, options, logger)
  } catch (error) {
    if (toMeshError(error).code !== 'ERR_SEALED' || !context.mayAsk) throw error
    const { isCancel, password } = await import('@clack/prompts')
    const answer = await password({ message: `passphrase of ${context.home}` })
    if (isCancel(answer)) throw error
    return await startWith({ passphrase: utf8(answer ?? '') }, context, options, logger)
  }
}

/** Serves the sealed node until somebody unseals it; undefined when it was stopped before. */
async function waitSealed(context: Context, options: StartOptions, logger: Logger): Promise<{ readonly node: MeshNode; readonly port: number } | undefined> {
  const { startSealedApi } = await import('../../api/index.ts')
  const { readVaultStatus } = await import('../../node/index.ts')
  const profile = { home: context.home, clock: realClock, random: realRandom }
  const status = (): ReturnType<typeof readVaultStatus> => readVaultStatus(profile)
  await status()
  const api = await startSealedApi({
    file: profilePaths(context.home).api,
    ...portOf(options.config),
    clock: realClock,
    random: realRandom,
    status,
    unseal: (unsealBy) => startWith({ unsealBy }, context, { ...options, init: false }, logger),
    discard: (node) => node.stop(),
  })
  context.print('up', { event: 'sealed', api: api.url }, () => `sealed: unseal it at ${api.url} or by \`kindmesh vault unseal\``)
  context.signal.addEventListener('abort', () => void api.stop(), { once: true })
  if (context.signal.aborted) await api.stop()
  const node = await api.unsealed.catch(() => undefined)
  return node === undefined ? undefined : { node, port: api.port }
}

type Opening = Pick<NodeOptions, 'passphrase' | 'unsealBy'>

async function startWith(opening: Opening, context: Context, { init, config }: StartOptions, logger: Logger): Promise<MeshNode> {
  const { createNode } = await import('../../node/index.ts')
  const said = <T>(key: string): T => config.setting(key).value as T
  const listen = said<readonly string[] | undefined>('node.listen')
  const options = {
    dataDir: context.home,
    ...opening,
    create: init,
    config,
    bootstrap: said<readonly string[]>('node.bootstrap'),
    mdns: said<boolean>('node.mdns'),
    relayServer: said<boolean>('node.relay'),
    serveMailbox: said<boolean>('node.mailbox'),
    upnp: said<boolean>('node.upnp'),
    roles: said<readonly Role[]>('node.roles'),
    version,
    logger,
  }
  if (listen !== undefined) return await createNode({ ...options, listen })
  try {
    return await createNode({ ...options, listen: listenDefault })
  } catch (error) {
    if (toMeshError(error).code !== 'ERR_NET_ADDRESS') throw error
    context.say('ports 4160 and 4161 are taken: using free ones')
    return await createNode({ ...options, listen: listenAnyPort })
  }
}

/** What no setting says: passkeys and links are bound to the address, so it is the same at each start where it can be. */
function portOf(config: Config): Pick<ApiOptions, 'port' | 'isPortWish'> {
  const { value, from } = config.setting('node.api_port')
  return from === 'default' ? { port: apiPortDefault, isPortWish: true } : { port: value as number }
}

/** Where the console is; while there is no owner, the link that makes one. */
async function consoleLink(node: MeshNode, { url, hasConsole }: Api): Promise<string | undefined> {
  const link = await node.users.ownerLink()
  if (link !== undefined) return `${url}/#/enrol/${link.token}`
  return hasConsole ? `${url}/` : undefined
}

interface Places {
  readonly api: string
  readonly console: string | undefined
}

function ready(context: Context, node: MeshNode, { api, console }: Places): void {
  const { did, peerId, kindDid } = node
  const addresses = node.addresses()
  context.print('up', { event: 'ready', did, peerId, addresses, api, ...(console === undefined ? {} : { console }), ticket: node.ticket() }, ({ ticket }) =>
    [
      `${paint('bold', 'kindmesh is up')} ${paint('dim', version)}`,
      `DID       ${paint('cyan', did)}`,
      `peer ID   ${peerId}`,
      `kind DID  ${kindDid}`,
      ...(addresses.length === 0 ? ['addresses none yet: the relay has not answered'] : []),
      ...addresses.map((address, index) => `${index === 0 ? 'addresses' : '         '} ${address}`),
      ...(console === undefined ? [] : [`console   ${paint('cyan', console)}`]),
      `API       ${api}  ${paint('dim', `token in ${profilePaths(context.home).api}`)}`,
      '',
      renderUnicodeCompact(ticket),
      `ticket    ${ticket}`,
      '',
      paint('dim', 'others reach you with: kindmesh dial <ticket>      Ctrl-C stops the node'),
    ].join('\n'),
  )
}

function tell(context: Context, event: NodeEvent): void {
  const short = (did: string): string => `${did.slice(8, 12)}…${did.slice(-6)}`
  context.print('up', event, () => {
    if (event.event === 'message') return `message   ${event.type} from ${short(event.from)}`
    if (event.event === 'file') return `file      ${event.name} (${event.bytes} bytes) from ${short(event.from)}`
    if (event.event === 'task') return `task      of ${short(event.asker)}: ${event.outcome}`
    if (event.event === 'attestation') return `trust     ${event.change}: ${short(event.issuer)} about ${short(event.subject)}`
    if (event.event === 'grant') return `grant     ${event.id.slice(0, 12)} ${event.change}: for ${short(event.audience)}`
    if (event.event === 'identity') return `identity  ${short(event.did)}: key number ${event.seq}, ${event.status}`
    if (event.event === 'pending') return `pending   ${short(event.did)} in ${event.scope}: kindmesh pending approve ${event.did}`
    if (event.event === 'comparison') return `compare   ${short(event.did)} waits: kindmesh verify-peer ${event.did}`
    if (event.event === 'pin') return `ALARM     ${event.source} led to ${short(event.expected)} and now to ${short(event.found)}: refused`
    if (event.event === 'joined') return `joined    ${short(event.did)}: both sides signed`
    if (event.event === 'delivered') return `delivered ${event.id} to ${short(event.to)}`
    if (event.event === 'undelivered') return `undelivered ${event.id} to ${short(event.to)}: ${event.status} ${event.code}`
    if (event.event === 'security') return `security  ${event.agentId}: ${event.kind}: ${event.detail}`
    if (event.event === 'introduced') return `met       ${short(event.did)}, introduced by ${short(event.by)}`
    if (event.event === 'config') return `settings  ${event.keys.join(', ')} changed`
    return `peer      ${short(event.did)} ${event.event}, ${event.route}`
  })
}
