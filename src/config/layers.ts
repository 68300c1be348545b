import { MeshError } from '../base/index.ts'
import { configKeys, configValue, configValueOf } from './keys.ts'

/** Who may say something, the farthest from the act first. A later one wins over an earlier one, unless the earlier one locks. Source: protocols/config/v1 section 1. */
export const layerNames = ['system', 'organization', 'user', 'agent', 'session', 'env', 'flag'] as const
export type LayerName = (typeof layerNames)[number]

/** What one layer says. */
export interface Layer {
  readonly name: LayerName
  /** Where it says so: a path, or in words. */
  readonly source: string
  readonly values: ReadonlyMap<string, unknown>
  /** Settings, or whole groups of them such as `policy`, that no later layer changes. */
  readonly locked: readonly string[]
}

export const emptyLayer = (name: LayerName, source: string): Layer => ({ name, source, values: new Map(), locked: [] })

/** Only these may lock: the others are the ones to be bound. */
const mayLock: ReadonlySet<LayerName> = new Set(['system', 'organization', 'user'])

/** Whether a lock on `lock` holds `key`: itself, or a group it is in. */
export const isLockedBy = (lock: string, key: string): boolean => key === lock || key.startsWith(`${lock}.`)

/** Reads nested tables, such as those of TOML, as a layer. @throws ERR_CONFIG_INVALID naming the field */
export function layerOf(name: LayerName, source: string, tables: Readonly<Record<string, unknown>>): Layer {
  const { locked = [], ...rest } = tables
  const values = new Map<string, unknown>()
  flatten(rest, '', (key, value) => {
    values.set(key, configValue(key, value, source))
    if (name === 'agent' && configKeys[key]?.perAgent !== true) throw new MeshError('ERR_CONFIG_INVALID', `${source}: ${key} is not set for one agent`)
  })
  return { name, source, values, locked: locksOf(name, source, locked) }
}

function locksOf(name: LayerName, source: string, locked: unknown): readonly string[] {
  if (!Array.isArray(locked) || !locked.every((lock) => typeof lock === 'string') || locked.length > 256) {
    throw new MeshError('ERR_CONFIG_INVALID', `${source}: locked must be a list of names of settings`)
  }
  if (locked.length > 0 && !mayLock.has(name)) {
    throw new MeshError('ERR_CONFIG_INVALID', `${source}: the ${name} layer cannot lock`, { hint: `only ${[...mayLock].join(', ')} can` })
  }
  const names = Object.keys(configKeys)
  const unknown = locked.find((lock) => !names.some((key) => isLockedBy(lock, key)))
  if (unknown !== undefined) {
    throw new MeshError('ERR_CONFIG_INVALID', `${source}: locked names ${JSON.stringify(unknown)}, which is no setting and no group of them`)
  }
  return locked
}

function flatten(table: Readonly<Record<string, unknown>>, prefix: string, take: (key: string, value: unknown) => void): void {
  for (const [name, value] of Object.entries(table)) {
    const key = prefix + name
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isTable && !Object.hasOwn(configKeys, key)) flatten(value as Readonly<Record<string, unknown>>, `${key}.`, take)
    else take(key, value)
  }
}

/** The name of a setting in the environment: `KINDMESH_POLICY_TASK_LEVEL_MIN`. */
export const envNameOf = (key: string): string => `KINDMESH_${key.replaceAll('.', '_').toUpperCase()}`

/** What the environment says. @throws ERR_CONFIG_INVALID naming the variable */
export function envLayer(env: Readonly<Record<string, string | undefined>>): Layer {
  const values = new Map<string, unknown>()
  for (const key of Object.keys(configKeys)) {
    const text = env[envNameOf(key)]
    if (text !== undefined && text !== '') values.set(key, configValueOf(key, text, envNameOf(key)))
  }
  return { name: 'env', source: 'the environment', values, locked: [] }
}
