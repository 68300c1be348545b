import { MeshError } from '../base/index.ts'
import { configKey, configKeys } from './keys.ts'
import { isLockedBy, type Layer, type LayerName, layerNames } from './layers.ts'

/** What somebody said about a setting without being heard. */
export interface Unheard {
  readonly layer: LayerName
  readonly source: string
  readonly value: unknown
  readonly why: 'overridden' | 'locked'
}

/** The value of a setting in force, and why it is this one. */
export interface Setting {
  readonly key: string
  readonly meaning: string
  readonly felt: 'now' | 'start'
  /** Undefined when nobody says anything and the part that reads it decides. */
  readonly value: unknown
  readonly from: LayerName | 'default'
  readonly source: string
  /** The layer that lets no later one change it. */
  readonly lockedBy: LayerName | undefined
  readonly unheard: readonly Unheard[]
}

const rank = ({ name }: Layer): number => layerNames.indexOf(name)

/** The setting as the layers together have it, in whatever order they are given. Source: protocols/config/v1 section 1. */
export function settingOf(key: string, layers: readonly Layer[]): Setting {
  const { meaning, felt, fallback } = configKey(key)
  const ordered = layers.toSorted((a, b) => rank(a) - rank(b))
  const lock = ordered.findIndex(({ locked }) => locked.some((name) => isLockedBy(name, key)))
  const saying = ordered.flatMap((layer, at) => (layer.values.has(key) ? [{ layer, isHeard: lock === -1 || at <= lock }] : []))
  const winner = saying.findLast(({ isHeard }) => isHeard)?.layer
  return {
    ...{ key, meaning, felt },
    value: winner === undefined ? fallback : winner.values.get(key),
    from: winner?.name ?? 'default',
    source: winner?.source ?? 'built in',
    lockedBy: ordered[lock]?.name,
    unheard: saying
      .filter(({ layer }) => layer !== winner)
      .map(({ layer, isHeard }) => ({ layer: layer.name, source: layer.source, value: layer.values.get(key), why: isHeard ? 'overridden' : 'locked' })),
  }
}

/** Every setting, in order of name. */
export const settingsOf = (layers: readonly Layer[]): readonly Setting[] =>
  Object.keys(configKeys)
    .toSorted()
    .map((key) => settingOf(key, layers))

/** Refuses what a layer would say in vain. @throws ERR_CONFIG_LOCKED naming the layer and its file */
export function checkUnlocked(key: string, by: LayerName, layers: readonly Layer[]): void {
  const lock = layers.find((layer) => layerNames.indexOf(layer.name) < layerNames.indexOf(by) && layer.locked.some((name) => isLockedBy(name, key)))
  if (lock === undefined) return
  throw new MeshError('ERR_CONFIG_LOCKED', `${key} is locked by the ${lock.name} layer (${lock.source})`, {
    hint: `change it there, or ask who keeps ${lock.source}`,
  })
}
