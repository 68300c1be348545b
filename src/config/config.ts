import { MeshError, type Random } from '../base/index.ts'
import { readLayer, writeSetting } from './file.ts'
import { configKey, configKeys, configValue } from './keys.ts'
import { emptyLayer, type Layer } from './layers.ts'
import { checkUnlocked, type Setting, settingOf, settingsOf } from './resolve.ts'

/** Where each layer that lasts has its file. */
export interface ConfigFiles {
  readonly system: string
  readonly organization: string
  readonly user: string
  agent(name: string): string
}

/** Layers somebody may write into while the node runs. */
export type OpenLayer = 'user' | 'agent' | 'session'

/** For which agent: its layer counts too. */
export interface ForAgent {
  readonly agent?: string | undefined
}

export interface SettingChange extends ForAgent {
  readonly layer: OpenLayer
  readonly key: string
  /** Undefined takes it out. */
  readonly value: unknown
}

/** The settings in force, and how to change them. */
export interface Config {
  setting(key: string, options?: ForAgent): Setting
  /** Every setting, in order of name. */
  settings(options?: ForAgent): readonly Setting[]
  /** @throws ERR_CONFIG_INVALID, ERR_CONFIG_LOCKED, and nothing has changed */
  set(change: SettingChange): Promise<Setting>
  /** Reads all files anew; what is wrong with one leaves everything as it was. Resolves with the settings that changed. @throws ERR_CONFIG_INVALID */
  reload(): Promise<readonly string[]>
  /** Reads the layer of an agent; its settings count from then on. @throws ERR_CONFIG_INVALID, ERR_USAGE */
  loadAgent(name: string): Promise<void>
  /** Calls `listener` with the settings that changed; returns the remover. An agent's own changes come with its name. */
  onChange(listener: (keys: readonly string[], agent: string | undefined) => void): () => void
}

export interface ConfigOptions {
  readonly files: ConfigFiles
  /** What the command that started the node says: environment and flags. */
  readonly runtime?: readonly Layer[]
  readonly random: Random
}

const agentName = /^[a-z0-9][a-z0-9_.-]{0,63}$/

/**
 * Opens the layers.
 * @throws ERR_CONFIG_INVALID with file and field; ERR_CONFIG_LOCKED when a flag or the environment contradicts a lock
 */
export async function openConfig({ files, runtime = [], random }: ConfigOptions): Promise<Config> {
  const agents = new Map<string, Layer>()
  const listeners = new Set<(keys: readonly string[], agent: string | undefined) => void>()
  let session = emptyLayer('session', 'this run of the node')
  let lasting = await readLasting()
  let writing: Promise<unknown> = Promise.resolve()

  for (const { name, values } of runtime) for (const key of values.keys()) checkUnlocked(key, name, lasting)

  async function readLasting(): Promise<readonly Layer[]> {
    return await Promise.all([readLayer('system', files.system), readLayer('organization', files.organization), readLayer('user', files.user)])
  }
  const readAgent = async (name: string): Promise<Layer> => {
    if (!agentName.test(name)) throw new MeshError('ERR_USAGE', `${JSON.stringify(name.slice(0, 80))} is no name of an agent`)
    return await readLayer('agent', files.agent(name))
  }
  const layersFor = ({ agent }: ForAgent): readonly Layer[] => {
    const own = agent === undefined ? undefined : agents.get(agent)
    return [...lasting, ...(own === undefined ? [] : [own]), session, ...runtime]
  }
  const valuesNow = (agent?: string): ReadonlyMap<string, string> =>
    new Map(settingsOf(layersFor({ agent })).map(({ key, value }) => [key, JSON.stringify(value)]))
  function tell(before: ReadonlyMap<string, string>, agent?: string): readonly string[] {
    const after = valuesNow(agent)
    const keys = Object.keys(configKeys).filter((key) => before.get(key) !== after.get(key))
    if (keys.length > 0) for (const listener of listeners) listener(keys, agent)
    return keys
  }
  /** One change at a time. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = writing.then(act)
    writing = turn.catch(() => undefined)
    return turn
  }
  async function change({ layer, key, value, agent }: SettingChange): Promise<void> {
    if (layer === 'session') {
      const values = new Map(session.values)
      if (value === undefined) values.delete(key)
      else values.set(key, value)
      session = { ...session, values }
      return
    }
    if (layer === 'user') {
      await writeSetting(files.user, { key, value, random })
      lasting = await readLasting()
      return
    }
    if (agent === undefined) throw new MeshError('ERR_USAGE', 'whose setting? name the agent', { hint: 'give --agent <name>' })
    await readAgent(agent)
    await writeSetting(files.agent(agent), { key, value, random })
    agents.set(agent, await readAgent(agent))
  }

  return {
    setting: (key, options = {}) => settingOf(key, layersFor(options)),
    settings: (options = {}) => settingsOf(layersFor(options)),
    set: (wanted) =>
      inTurn(async () => {
        const { key, layer, agent } = wanted
        configKey(key)
        const value = wanted.value === undefined ? undefined : configValue(key, wanted.value, `the ${layer} layer`)
        if (layer === 'agent' && configKey(key).perAgent !== true) {
          throw new MeshError('ERR_CONFIG_INVALID', `${key} is not set for one agent`, {
            hint: `for one agent: ${Object.keys(configKeys)
              .filter((name) => configKeys[name]?.perAgent === true)
              .join(', ')}`,
          })
        }
        if (value !== undefined) checkUnlocked(key, layer, layersFor({ agent }))
        const before = valuesNow(agent)
        await change({ ...wanted, value })
        tell(before, agent)
        return settingOf(key, layersFor({ agent }))
      }),
    reload: () =>
      inTurn(async () => {
        const before = valuesNow()
        const read = await readLasting()
        const owned = await Promise.all([...agents.keys()].map(async (name) => [name, await readAgent(name)] as const))
        lasting = read
        for (const [name, layer] of owned) agents.set(name, layer)
        return tell(before)
      }),
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    loadAgent: (name) => inTurn(async () => void agents.set(name, await readAgent(name))),
  }
}
