import { type Audit, configChanged } from '../audit/index.ts'
import { type Did, type Logger, MeshError, toMeshError, utf8 } from '../base/index.ts'
import type { Config, Setting, SettingChange } from '../config/index.ts'
import { sha256 } from '../crypto/index.ts'
import type { Policy } from '../policy/index.ts'
import type { TrustSettings } from './trust-judge.ts'
import type { EventHub } from './events.ts'
import { livePolicy, policyOf } from './live-policy.ts'

/** Settings of a running node. */
export interface SettingsDoors extends Pick<Config, 'setting' | 'settings' | 'reload'> {
  /** @throws ERR_CONFIG_INVALID, ERR_CONFIG_LOCKED, and nothing has changed */
  set(change: SettingChange): Promise<Setting>
}

export interface SettingsOptions {
  /** Without it the policy stays as it is and nothing can be set. */
  readonly config?: Config | undefined
  readonly policy: Policy
  /** Adds what no setting can say. */
  complete(policy: Policy): Policy
  readonly did: Did
  readonly audit: Audit
  readonly events: EventHub
  readonly logger: Logger
}

export interface Settings {
  readonly doors: SettingsDoors
  /** In force now, also in a minute. */
  readonly policy: Policy
  /** Who decides a level, and how far introducers are relied on. */
  trustPolicy(): TrustSettings
  /** Reads the settings of an agent of this node. */
  load(agent: string): Promise<void>
  /** For messages to one agent, whose own settings count too. */
  policyFor(agent: string): Policy
  stop(): void
}

/** The policy as the settings make it, and every change of them in the audit log. */
export function createSettings({ config, policy, complete, did, audit, events, logger }: SettingsOptions): Settings {
  const made = new Map<string | undefined, Policy>()
  const loaded = new Set<string>()
  let noted: Promise<void> = Promise.resolve()
  const now = (agent?: string): Policy => {
    const known = made.get(agent) ?? complete(config === undefined ? policy : policyOf(policy, config, agent))
    made.set(agent, known)
    return known
  }
  const stop = config?.onChange((keys, agent) => {
    made.clear()
    const values = config.settings({ agent }).map(({ key, value }) => [key, value])
    noted = audit
      .record(
        configChanged({ did, keys: agent === undefined ? keys : keys.map((key) => `${agent}: ${key}`), configHash: sha256(utf8(JSON.stringify(values))) }),
      )
      .then(() => undefined)
      .catch((error: unknown) => logger.error('a change of settings is not in the audit log', { code: toMeshError(error).code }))
    events.emit({ event: 'config', keys: [...keys], ...(agent === undefined ? {} : { agent }) })
  })
  const open = (): Config => {
    if (config === undefined) throw new MeshError('ERR_USAGE', 'this node was started without settings', { hint: 'start it with `kindmesh up`' })
    return config
  }
  return {
    policy: livePolicy(now),
    trustPolicy: () => ({
      policy: config?.setting('trust.policy').value === 'flow' ? 'flow' : 'gate',
      reliance: new Map(Object.entries((config?.setting('trust.reliance').value ?? {}) as Record<Did, number>) as [Did, number][]),
    }),
    async load(agent) {
      if (config === undefined) return
      // A file that is no good must not open what it was to close.
      await config.loadAgent(agent)
      loaded.add(agent)
      made.delete(agent)
    },
    policyFor: (agent) => now(loaded.has(agent) ? agent : undefined),
    doors: {
      setting: (key, options) => open().setting(key, options),
      settings: (options) => open().settings(options),
      reload: async () => await open().reload(),
      async set(change) {
        const setting = await open().set(change)
        await noted
        return setting
      },
    },
    stop: () => stop?.(),
  }
}
