import { z } from 'zod'
import { contextThresholdDefault, factorPolicy, factorTypes, loginPolicyDefault, policyWaysMax, stepUpPolicyDefault } from '../auth/index.ts'
import { agentCapabilities, MeshError } from '../base/index.ts'
import { isolationLevels, type SandboxLimits, sandboxLimitsMax } from '../sandbox/index.ts'

/** One setting: what it takes, what holds without it, and when a change of it is felt. */
export interface ConfigKey {
  readonly schema: z.ZodType
  readonly meaning: string
  /** What holds when nobody says anything; undefined where the part that reads it decides. */
  readonly fallback?: unknown
  /** `now`: at once; `start`: by the next `up`. */
  readonly felt: 'now' | 'start'
  /** An agent's layer may say it for that agent. */
  readonly perAgent?: boolean
}

const addresses = z.array(z.string().min(1).max(256)).max(64)
const levels = z.enum(['distrust', 'unknown', 'basic', 'verified', 'trusted', 'authority'])
const floors = z.enum(['refuse', ...isolationLevels])
const capabilities = z.array(z.enum(agentCapabilities)).max(agentCapabilities.length)
const command = z.string().regex(/^(?:\/|(?:\/[a-z0-9][a-z0-9_.-]*)+)$/, 'must be a command path such as /task/run')
const commands = z.array(command).max(64)
const did = z.string().regex(/^did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}$/, 'must be a did:key')
const roles = z.enum(['owner', 'operator', 'viewer', 'agent'])

/** Fields of SandboxLimits by their name in the configuration. */
export const limitKeys = {
  memory_mib: 'memoryMiB',
  wall_ms: 'wallMs',
  cpu_ms: 'cpuMs',
  output_bytes: 'outputBytes',
  host_calls: 'hostCalls',
  cpu_percent: 'cpuPercent',
  net_kibps: 'netKiBps',
  fs_ops: 'fsOps',
  processes: 'processes',
} as const satisfies Record<string, keyof SandboxLimits>

const limits = Object.fromEntries(
  Object.entries(limitKeys).map(([name, field]): [string, ConfigKey] => [
    `policy.task_limits.${name}`,
    { schema: z.int().min(0).max(sandboxLimitsMax[field]), meaning: `most that a task of somebody else may ask for: ${field}`, felt: 'now' },
  ]),
)
const perLevel = Object.fromEntries(
  (['basic', 'verified', 'trusted', 'authority'] as const).flatMap((level): [string, ConfigKey][] => [
    [`policy.floor.${level}`, { schema: floors, meaning: `weakest isolation for tasks of ${level} peers, or refuse`, felt: 'now' }],
    ...(level === 'basic'
      ? []
      : [
          [`policy.capabilities.${level}`, { schema: capabilities, meaning: `capabilities tasks of ${level} peers may ask for`, felt: 'now' }] as [
            string,
            ConfigKey,
          ],
        ]),
  ]),
)

const way = z.array(z.enum(factorTypes)).min(1).max(factorTypes.length)
const factors = z
  .union([way, z.array(way).min(1).max(policyWaysMax)])
  .refine((written) => factorPolicy(written) !== undefined, 'each way needs a webauthn, totp or recovery')
const perRole = Object.fromEntries(
  roles.options.flatMap((role): [string, ConfigKey][] => [
    [
      `auth.require.${role}`,
      { schema: factors, meaning: `types of factors a login in the role ${role} needs: one way, or a list of ways`, fallback: loginPolicyDefault, felt: 'now' },
    ],
    [`auth.step_up.${role}`, { schema: factors, meaning: `the same for acts of high risk of the role ${role}`, fallback: stepUpPolicyDefault, felt: 'now' }],
  ]),
)

/** Every setting there is. Source: protocols/config/v1 section 2. */
export const configKeys: Readonly<Record<string, ConfigKey>> = {
  'node.listen': { schema: addresses, meaning: 'multiaddrs to listen on', felt: 'start' },
  'node.bootstrap': { schema: addresses, meaning: 'multiaddrs of peers to meet first', fallback: [], felt: 'start' },
  'node.mdns': { schema: z.boolean(), meaning: 'find peers on the local network', fallback: false, felt: 'start' },
  'node.relay': { schema: z.boolean(), meaning: 'relay for peers that cannot be reached', fallback: false, felt: 'start' },
  'node.upnp': { schema: z.boolean(), meaning: 'ask the router to let others in', fallback: true, felt: 'start' },
  'node.roles': {
    schema: z
      .array(z.enum(['peer', 'gateway', 'archive', 'validator']))
      .min(1)
      .max(4),
    meaning: 'what this node is for others',
    fallback: ['peer'],
    felt: 'start',
  },
  'node.mailbox': { schema: z.boolean(), meaning: 'hold mail for others while they are off', fallback: false, felt: 'start' },
  'node.api_port': { schema: z.int().min(0).max(65_535), meaning: 'port of the local API, 0 for any free one', fallback: 0, felt: 'start' },
  'policy.task_level_min': { schema: levels, meaning: 'lowest level whose tasks run here', felt: 'now' },
  'policy.message_level_min': { schema: levels, meaning: 'lowest level whose messages are taken; distrust takes all', felt: 'now', perAgent: true },
  'policy.file_level_min': { schema: levels, meaning: 'lowest level whose files are taken', felt: 'now' },
  'policy.require_token': { schema: commands, meaning: 'commands that need a capability token besides the level', fallback: [], felt: 'now' },
  'policy.strangers': {
    schema: z.boolean(),
    meaning: 'tasks of unknown peers too, where task_level_min lets them: in a machine of their own, with nothing',
    fallback: false,
    felt: 'now',
  },
  'policy.command_level_min': { schema: z.record(command, levels), meaning: 'lowest level for what a task may do beyond computing, by command', felt: 'now' },
  'policy.roles': {
    schema: z.record(did, roles),
    meaning: 'what a peer may at most, by its DID',
    felt: 'now',
  },
  'auth.session_hours': { schema: z.int().min(1).max(24), meaning: 'longest life of a login of a person, in hours', fallback: 8, felt: 'now' },
  'auth.idle_minutes': {
    schema: z.int().min(1).max(480),
    meaning: 'a login that is not used for so long ends, in minutes',
    fallback: 30,
    felt: 'now',
  },
  ...perRole,
  'auth.context_min': {
    schema: z.number().min(0).max(1),
    meaning: 'confidence at which the context of a login passes, 0 to 1',
    fallback: contextThresholdDefault,
    felt: 'now',
  },
  'trust.policy': {
    schema: z.enum(['gate', 'flow']),
    meaning: 'who decides a level: the trust rule, or the rule and amounts by flow, whichever gives less',
    fallback: 'gate',
    felt: 'now',
  },
  'trust.reliance': {
    schema: z.record(did, z.int().min(0).max(120)),
    meaning: 'under policy flow: how far an introducer is relied on, by its DID, 0 to 120; others as far as what this node says of them',
    fallback: {},
    felt: 'now',
  },
  'trust.name_servers': {
    schema: z.array(z.string().max(64)).max(8),
    meaning: 'name servers for domain proofs, address:port; those of the machine unless given',
    felt: 'start',
  },
  ...perLevel,
  ...limits,
}

/** @throws ERR_CONFIG_INVALID with the keys that come near */
export function configKey(name: string, where?: string): ConfigKey {
  const key = Object.hasOwn(configKeys, name) ? configKeys[name] : undefined
  if (key !== undefined) return key
  const [head = ''] = name.split('.')
  const near = Object.keys(configKeys).filter((known) => known.endsWith(`.${name.split('.').at(-1) ?? ''}`) || known.startsWith(`${head}.`))
  throw new MeshError('ERR_CONFIG_INVALID', `${where === undefined ? '' : `${where}: `}there is no setting ${JSON.stringify(name.slice(0, 80))}`, {
    hint: near.length === 0 ? 'see `kindmesh config get`' : `perhaps ${near.slice(0, 4).join(', ')}; all of them: \`kindmesh config get\``,
  })
}

/** The value as its setting takes it. @throws ERR_CONFIG_INVALID with what is wrong */
export function configValue(name: string, value: unknown, where: string): unknown {
  const parsed = configKey(name, where).schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new MeshError(
    'ERR_CONFIG_INVALID',
    `${where}: ${name}${(issue?.path ?? []).map((part) => `[${String(part)}]`).join('')}: ${issue?.message ?? 'is wrong'}`,
  )
}

/** What a person typed, as the setting takes it: JSON, a bare word, or a list with commas. @throws ERR_CONFIG_INVALID */
export function configValueOf(name: string, text: string, where: string): unknown {
  const { schema } = configKey(name)
  const readings = [
    text,
    ...jsonOf(text),
    text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== ''),
  ]
  const fitting = readings.find((reading) => schema.safeParse(reading).success)
  return configValue(name, fitting ?? text, where)
}

function jsonOf(text: string): unknown[] {
  try {
    return [JSON.parse(text)]
  } catch {
    return []
  }
}
