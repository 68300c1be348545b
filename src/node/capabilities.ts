import { hourMs, MeshError, utf8 } from '../base/index.ts'
import { sha256 } from '../crypto/index.ts'
import { capabilitiesMax, isCapabilityName, type Manifest, type Presence, roles as roleNames, type Role } from '../protocols/klp/index.ts'

/** How long a manifest of ours may be relied on; on a link it is said anew sooner. */
export const manifestTtlMs = 2 * hourMs

/** What this node does for others, as its manifest says it. */
export interface Capabilities {
  /** All of them, at most `capabilitiesMax`: those of the node first, then an `agent:<name>` for each who lives here. */
  list(): readonly string[]
  manifest(): Manifest
  /** Offers one more; returns the remover. @throws ERR_USAGE */
  offer(name: string): () => void
  setPresence(presence: Presence): void
  /** Tells whoever listens that something else is offered now. */
  changed(): void
  /** Calls `listener` after each change; returns the remover. */
  onChange(listener: () => void): () => void
}

export interface CapabilitiesOptions {
  readonly offers: readonly string[]
  readonly roles?: readonly Role[] | undefined
  /** Names of the agents that live here. */
  agents(): readonly string[]
}

export function createCapabilities({ offers, roles = ['peer'], agents }: CapabilitiesOptions): Capabilities {
  const offered = new Set<string>()
  const listeners = new Set<() => void>()
  let presence: Presence = 'online'
  const unknown = roles.find((role) => !roleNames.includes(role))
  if (unknown !== undefined) throw new MeshError('ERR_USAGE', `'${unknown}' is no role`, { hint: `roles: ${roleNames.join(', ')}` })
  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  function offer(name: string): () => void {
    checkCapability(name)
    offered.add(name)
    changed()
    return () => {
      if (offered.delete(name)) changed()
    }
  }
  for (const name of offers) offer(name)
  const list = (): readonly string[] =>
    [
      ...offered,
      ...agents()
        .map((name) => `agent:${name}`)
        .filter(isCapabilityName),
    ].slice(0, capabilitiesMax)
  return {
    list,
    manifest: () => ({ capabilities: list(), roles: [...new Set(roles)], ttlMs: manifestTtlMs, presence }),
    offer,
    setPresence(next) {
      if (next === presence) return
      presence = next
      changed()
    },
    changed,
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

/** @throws ERR_USAGE */
export function checkCapability(name: string): void {
  if (isCapabilityName(name)) return
  throw new MeshError('ERR_USAGE', 'not a name of a capability', { hint: 'small letters, digits and . _ : / - such as `message` or `agent:echo`, at most 64' })
}

/** Where the DHT keeps who provides a capability. Source: net/v1 section 9. */
export const capabilityKey = (name: string): Uint8Array => sha256(utf8(`kindmesh/capability/1\0${name}`))
