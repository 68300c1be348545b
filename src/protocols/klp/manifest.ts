import { type Decoded, listOf, oneOf, row, textLike, uintUpTo } from '../../wire/index.ts'

/** Capabilities one manifest names, wants of one hello and answers of one terms. Source: klp/v1 section 7. */
export const capabilitiesMax = 64
/** Roles one manifest names. Source: klp/v1 section 7. */
export const rolesMax = 8
/** Longest time a manifest may ask to be relied on. Source: klp/v1 section 7. */
export const manifestTtlMsMax = 86_400_000

/** What a node is for others, set by its operator. Others may come; a reader passes over those it does not know. */
export const roles = ['peer', 'gateway', 'archive', 'validator'] as const
export type Role = (typeof roles)[number]

/** How a peer says it is: there, there with little to spare, or there with nobody watching. */
export const presences = ['online', 'busy', 'away'] as const
export type Presence = (typeof presences)[number]

const namePattern = /^[a-z0-9][a-z0-9._:/-]{0,63}$/

export const isCapabilityName = (text: string): boolean => namePattern.test(text)

/** `message`, `agent:echo`: nothing that a terminal would obey. */
export const capabilityName = textLike(namePattern, 'a name of a capability')
export const capabilityOrNone = textLike(/^(?:[a-z0-9][a-z0-9._:/-]{0,63})?$/, 'a name of a capability, or nothing')

/** What a peer says of itself in hello. Source: klp/v1 section 7. */
export const manifestShape = row({
  capabilities: listOf(capabilityName, capabilitiesMax),
  roles: listOf(capabilityName, rolesMax),
  /** How long after its arrival it may be relied on. */
  ttlMs: uintUpTo(manifestTtlMsMax),
  presence: oneOf(presences),
})

export type Manifest = Decoded<typeof manifestShape>
