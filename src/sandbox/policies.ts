import { z } from 'zod'
import { agentCapabilities, type AgentCapability, MeshError } from '../base/index.ts'

/** Entries of any list of a policy. Source: sandbox/v1 section 5. */
export const policyEntriesMax = 256
/** A name of the domain name system without its last dot. Source: RFC 1035 section 3.1. */
const nameCharsMax = 253
const mebibyte = 1 << 20
const dayMs = 86_400_000

/** Where a run may go over the network. Source: the seed's NetworkPolicy; sandbox/v1 section 5.2. */
export interface NetworkPolicy {
  readonly allowOutbound: boolean
  /** Always false: what comes in comes through the mesh. */
  readonly allowInbound: false
  /** Exact names or addresses, or `*.suffix` for every name below the suffix, not itself. */
  readonly allowedDomains: readonly string[]
  /** The same; a name blocks everything below it too, an address also every name that leads to it. Wins over `allowedDomains`. */
  readonly blockedDomains: readonly string[]
  readonly allowedPorts: readonly number[]
  readonly requireTLS: boolean
  /** `host:port` as it stands in a URL: allowed although it is, or leads to, an address of a private network. Exact, never a pattern; TLS is not asked of it. */
  readonly allowedPrivate: readonly string[]
}

/** What a run may remember for the next. Source: the seed's MemoryPolicy; sandbox/v1 section 5.3. */
export interface MemoryPolicy {
  /** Keys and values together. */
  readonly maxBytes: number
  readonly maxKeys: number
  /** The longest and, where a call names none, the usual life of an entry; 0 keeps it until it is deleted. */
  readonly ttlMs: number
  /** Whose memory: no key of another partition can be named. The agent's id where it is empty. */
  readonly partition: string
}

export interface FileRoot {
  /** First part of the paths a guest names: `notes/today.md` is in the root `notes`. */
  readonly name: string
  /** Absolute, of a folder on the host. Never shown to the guest. */
  readonly path: string
  readonly mode: 'read' | 'write'
}

/** What a run may read and write. Source: the seed's FileSystemPolicy; sandbox/v1 section 5.4. */
export interface FileSystemPolicy {
  readonly roots: readonly FileRoot[]
  /** Of one file read or written, and of all that a run writes. */
  readonly maxBytes: number
  /** A root `work` of the run's own, empty at its start and gone at its end. */
  readonly scratch: boolean
}

/** An HTTP service that the operator lets runs call. Source: sandbox/v1 section 5.6. */
export interface ProviderPolicy {
  readonly url: string
  /** Sent with each call; `{secret:NAME}` in a value is filled in on the host and never seen by the guest. */
  readonly headers: Readonly<Record<string, string>>
  /** Models or collections that may be named. */
  readonly allowed: readonly string[]
  /** Of one request and of one answer. */
  readonly maxBytes: number
}

/** All that an operator grants a run: what is not here cannot be reached. Source: sandbox/v1 section 5. */
export interface Grants {
  readonly capabilities: readonly AgentCapability[]
  readonly network: NetworkPolicy
  readonly memory: MemoryPolicy
  readonly files: FileSystemPolicy
  /** Names of secrets that may be read. */
  readonly vault: readonly string[]
  readonly llm?: ProviderPolicy | undefined
  readonly vectordb?: ProviderPolicy | undefined
  /** Programs that may be started inside a container or machine, by the first word of their argv. */
  readonly spawn: readonly string[]
}

const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/
const isName = (text: string): boolean => text.length <= nameCharsMax && text.split('.').every((part) => label.test(part))

/** The host as URLs write it (`Ä.example` in Punycode, `127.1` in four numbers), or undefined. */
function canonicalHost(text: string): string | undefined {
  if (!/^[^\s/?#@\\:]+$|^\[[0-9a-f:.]+\]$/i.test(text) || !URL.canParse(`http://${text}`)) return undefined
  const { hostname } = new URL(`http://${text}`)
  const plain = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
  return plain.startsWith('[') || isName(plain) ? plain : undefined
}

function canonicalDomain(text: string): string | undefined {
  const isPattern = text.startsWith('*.')
  const host = canonicalHost(isPattern ? text.slice(2) : text)
  // A pattern over addresses means nothing.
  if (host === undefined || (isPattern && (host.startsWith('[') || /^[\d.]+$/.test(host)))) return undefined
  return isPattern ? `*.${host}` : host
}

function canonicalHostPort(text: string): string | undefined {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(text) ?? []
  const name = canonicalHost(host ?? '')
  return name === undefined || Number(port) < 1 || Number(port) > 65_535 ? undefined : `${name}:${Number(port)}`
}

const canonical = (read: (text: string) => string | undefined, what: string) =>
  z.string().transform((text, context) => {
    const value = read(text)
    if (value !== undefined) return value
    context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is not ${what}` })
    return z.NEVER
  })
const listOf = <T extends z.ZodType>(entry: T) => z.array(entry).max(policyEntriesMax)
const bytes = z
  .int()
  .min(0)
  .max(2 ** 40)
const entryName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'takes 1 to 64 letters, digits, dots, dashes and underscores')

export const networkPolicySchema = z
  .strictObject({
    allowOutbound: z.boolean().default(false),
    allowInbound: z.literal(false, 'must be false: what comes in comes through the mesh').default(false),
    allowedDomains: listOf(canonical(canonicalDomain, 'a name, an address or *.suffix')).default([]),
    blockedDomains: listOf(canonical(canonicalDomain, 'a name, an address or *.suffix')).default([]),
    allowedPorts: listOf(z.int().min(1).max(65_535)).optional(),
    requireTLS: z.boolean().default(true),
    allowedPrivate: listOf(canonical(canonicalHostPort, 'host:port')).default([]),
  })
  .transform(({ allowedPorts, ...rest }): NetworkPolicy => ({ ...rest, allowedPorts: allowedPorts ?? (rest.requireTLS ? [443] : [80, 443]) }))

export const memoryPolicySchema = z
  .strictObject({
    maxBytes: bytes.default(mebibyte),
    maxKeys: z.int().min(0).max(1_000_000).default(1_000),
    ttlMs: z
      .int()
      .min(0)
      .max(3_650 * dayMs)
      .default(0),
    partition: z.union([z.literal(''), entryName]).default(''),
  })
  .transform((policy): MemoryPolicy => policy)

export const fileSystemPolicySchema = z
  .strictObject({
    roots: listOf(
      z.strictObject({
        name: entryName.refine((name) => name !== 'work', '"work" names the scratch root'),
        path: z.string().regex(/^\/[^\0]*$/, 'must be an absolute path'),
        mode: z.enum(['read', 'write']).default('read'),
      }),
    )
      .refine((roots) => new Set(roots.map(({ name }) => name)).size === roots.length, 'two roots have one name')
      .default([]),
    maxBytes: bytes.default(16 * mebibyte),
    scratch: z.boolean().default(false),
  })
  .transform((policy): FileSystemPolicy => policy)

const providerSchema = z
  .strictObject({
    url: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }),
    headers: z.record(z.string().regex(/^[a-z0-9-]{1,64}$/i, 'is no header name'), z.string().regex(/^[\x20-\x7e]{0,4096}$/, 'is no header value')).default({}),
    allowed: listOf(z.string().min(1).max(200)).min(1),
    maxBytes: bytes.default(4 * mebibyte),
  })
  .transform((policy): ProviderPolicy => policy)

export const grantsSchema = z
  .strictObject({
    capabilities: listOf(z.enum(agentCapabilities)).default([]),
    network: networkPolicySchema.prefault({}),
    memory: memoryPolicySchema.prefault({}),
    files: fileSystemPolicySchema.prefault({}),
    vault: listOf(entryName).default([]),
    llm: providerSchema.optional(),
    vectordb: providerSchema.optional(),
    spawn: listOf(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$|^\/[^\0]{0,255}$/, 'is no program')).default([]),
  })
  .transform((grants): Grants => grants)

/** Reads grants or a single policy as an operator wrote them. @throws ERR_SANDBOX_CONFIG naming the field */
export function parsePolicy<T>(schema: z.ZodType<T>, value: unknown): T {
  const read = schema.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  const path = (issue?.path ?? []).join('.')
  const unknown = issue?.code === 'unrecognized_keys' ? `unknown: ${issue.keys.join(', ')}` : issue?.message
  throw new MeshError('ERR_SANDBOX_CONFIG', `${path === '' ? '' : `${path}: `}${unknown}`, { details: { path } })
}

/** What is granted where nobody granted anything. */
export const noGrants: Grants = grantsSchema.parse({})
