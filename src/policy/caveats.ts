import { agentCapabilities, type AgentCapability, fromHex, hex, MeshError } from '../base/index.ts'
import { type IsolationLevel, isolationLevels, type SandboxLimits, sandboxLimitsMax } from '../sandbox/index.ts'
import { bytesOf, type Decoded, listOf, nullable, oneOf, row, textUpTo, uintUpTo } from '../wire/index.ts'

/** Entries of each list of a token. Source: grant/v1 section 2. */
export const caveatEntriesMax = 16
export const caveatNameCharsMax = 64
/** A name of the domain name system, or a pattern `*.suffix`. */
export const caveatHostCharsMax = 255

/** What narrows a token: the closed set. What is missing narrows nothing. Source: grant/v1 section 2. */
export interface Caveats {
  /** A task may ask for these at most. */
  readonly capabilities?: readonly AgentCapability[] | undefined
  /** A task may ask for so much at most. */
  readonly limits?: Readonly<Partial<Record<keyof SandboxLimits, number | undefined>>> | undefined
  /** A task runs at this level or a stronger one. */
  readonly isolation?: IsolationLevel | undefined
  /** Only this code: BLAKE3, hexadecimal. */
  readonly code?: readonly string[] | undefined
  /** Where a task may connect: names, or `*.suffix` for every name below. */
  readonly hosts?: readonly string[] | undefined
  /** Secrets it may read. */
  readonly secrets?: readonly string[] | undefined
  /** Roots it may reach beside its own folder. */
  readonly roots?: readonly string[] | undefined
}

export const limitNames = Object.keys(sandboxLimitsMax) as readonly (keyof SandboxLimits)[]
const count = nullable(uintUpTo(Number.MAX_SAFE_INTEGER))
const names = nullable(listOf(textUpTo(caveatNameCharsMax), caveatEntriesMax))

/** The shape on the wire. */
export const caveatsShape = row({
  capabilities: nullable(listOf(oneOf(agentCapabilities), agentCapabilities.length)),
  limits: nullable(
    row({
      memoryMiB: count,
      wallMs: count,
      cpuMs: count,
      outputBytes: count,
      hostCalls: count,
      cpuPercent: count,
      netKiBps: count,
      fsOps: count,
      processes: count,
    }),
  ),
  isolation: nullable(oneOf(isolationLevels)),
  code: nullable(listOf(bytesOf(32), caveatEntriesMax)),
  hosts: nullable(listOf(textUpTo(caveatHostCharsMax), caveatEntriesMax)),
  secrets: names,
  roots: names,
})

type WireCaveats = Decoded<typeof caveatsShape>

export const toWire = ({ capabilities, limits, isolation, code, hosts, secrets, roots }: Caveats): WireCaveats => ({
  capabilities,
  limits: limits === undefined ? undefined : { ...noLimits, ...limits },
  isolation,
  code: code?.map((hash) => fromHex(hash)),
  hosts,
  secrets,
  roots,
})
const noLimits = Object.fromEntries(limitNames.map((name) => [name, undefined])) as NonNullable<WireCaveats['limits']>

/** Without what is not said. */
export function fromWire({ code, limits, ...rest }: WireCaveats): Caveats {
  return said({ ...rest, code: code?.map(hex), limits: limits === undefined ? undefined : said(limits) })
}

/** The same without members that are undefined. */
const said = <T extends object>(given: T): T => Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as T

const hostForm = /^(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$|^\[[0-9a-f:.]+\]$/
const nameForm = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/
const isSet = (values: readonly string[] = []): boolean => new Set(values).size === values.length

/** Why these are no caveats of a token; undefined when they are. Source: grant/v1 section 2. */
export function caveatsProblem({ capabilities, code, hosts, secrets, roots }: Caveats): string | undefined {
  if (![capabilities, code, hosts, secrets, roots].every(isSet)) return 'something is named twice'
  const host = hosts?.find((text) => !hostForm.test(text))
  if (host !== undefined) return `'${host.slice(0, 64)}' is no name of a host in small letters, and no *.suffix`
  const name = [...(secrets ?? []), ...(roots ?? [])].find((text) => !nameForm.test(text))
  return name === undefined ? undefined : `'${name.slice(0, 64)}' is no name of a secret or root`
}

/** Whether a name or pattern of `outer` means all that `inner` means. */
export const hostCovers = (outer: string, inner: string): boolean =>
  outer === inner || (outer.startsWith('*.') && inner.replace(/^\*\./, '').endsWith(outer.slice(1)))

/** What two lists of names and patterns both allow. */
export function commonHosts(one: readonly string[], other: readonly string[]): readonly string[] {
  const both = one.flatMap((a) => other.flatMap((b) => (hostCovers(a, b) ? [b] : hostCovers(b, a) ? [a] : [])))
  return [...new Set(both)]
}

const within = (child: readonly string[], parent: readonly string[]): boolean => child.every((name) => parent.includes(name))
/** When a child's caveat allows nothing that its parent's does not. */
const narrowing: { readonly [K in keyof Caveats]-?: (child: NonNullable<Caveats[K]>, parent: NonNullable<Caveats[K]>) => boolean } = {
  capabilities: within,
  limits: (child, parent) => limitNames.every((name) => parent[name] === undefined || (child[name] !== undefined && child[name] <= parent[name])),
  isolation: (child, parent) => isolationLevels.indexOf(child) >= isolationLevels.indexOf(parent),
  code: within,
  hosts: (child, parent) => child.every((inner) => parent.some((outer) => hostCovers(outer, inner))),
  secrets: within,
  roots: within,
}
export const caveatNames = Object.keys(narrowing) as readonly (keyof Caveats)[]

/** The first caveat in which a child would allow more than its parent; undefined when it only narrows. Source: grant/v1 section 3. */
export function widened(child: Caveats, parent: Caveats): keyof Caveats | undefined {
  return caveatNames.find((name) => {
    const [own, theirs] = [child[name], parent[name]]
    if (theirs === undefined) return false
    return own === undefined || !(narrowing[name] as (child: unknown, parent: unknown) => boolean)(own, theirs)
  })
}

/** What a child gets that says only in what it is narrower. @throws ERR_GRANT_INVALID */
export function narrowed(parent: Caveats, given: Caveats): Caveats {
  const limits = parent.limits === undefined && given.limits === undefined ? undefined : { ...parent.limits, ...given.limits }
  const child: Caveats = said({ ...parent, ...said(given), limits })
  const over = widened(child, parent)
  if (over !== undefined) throw new MeshError('ERR_GRANT_INVALID', `the token it is made from does not allow that much: ${over}`)
  return child
}

/** What somebody wants to do under a token. */
export interface Use {
  readonly capabilities: readonly AgentCapability[]
  readonly limits: SandboxLimits
  /** BLAKE3 of the code, hexadecimal, or `any` where it is only asked what might be. A token for one code does not serve where it is missing. */
  readonly codeHash?: string | undefined
}

/** Why a token does not serve this use; undefined when it does. The isolation level is raised instead. Source: grant/v1 section 2. */
export function outside(caveats: Caveats, { capabilities, limits, codeHash }: Use): string | undefined {
  const lacking = capabilities.find((capability) => caveats.capabilities?.includes(capability) === false)
  if (lacking !== undefined) return `the token does not go as far as ${lacking}`
  const over = limitNames.find((name) => limits[name] > (caveats.limits?.[name] ?? Infinity))
  if (over !== undefined) return `the token allows ${over} up to ${String(caveats.limits?.[over])}, not ${limits[over]}`
  const isOther = caveats.code !== undefined && codeHash !== 'any' && (codeHash === undefined || !caveats.code.includes(codeHash))
  return isOther ? 'the token is for other code' : undefined
}
