import { equal, fromUtf8, hex, MeshError, utf8 } from '../base/index.ts'
import { contentHash } from '../crypto/index.ts'
import { type Grants, grantsSchema, type IsolationLevel, isolationLevels, parsePolicy, type SandboxLimits, sandboxLimitsDefault } from '../sandbox/index.ts'
import { del, put, type Store, type StoreOp } from '../store/index.ts'
import { bool, bytesOf, codec, instant, literal, oneOf, row, textUpTo } from '../wire/index.ts'

/** The text of one agent program. Source: sandbox/v1 section 9. */
export const programCodeBytesMax = 256 << 10
/** Its limits and grants as JSON. */
const settingsCharsMax = 128 << 10

export const programLanguages = ['javascript', 'typescript'] as const

/** An agent as its operator gave it. */
export interface ProgramSpec {
  readonly level: IsolationLevel
  readonly strict: boolean
  readonly language: (typeof programLanguages)[number]
  readonly code: string
  readonly limits: SandboxLimits
  readonly grants: Grants
}

/** The same, with what goes without saying left out. */
export interface ProgramDraft extends Partial<Pick<ProgramSpec, 'level' | 'strict' | 'language'>> {
  readonly code: string
  readonly limits?: { readonly [Name in keyof SandboxLimits]?: number | undefined } | undefined
  /** As sandbox/v1 section 5 has them. */
  readonly grants?: unknown
}

/** @throws ERR_SANDBOX_CONFIG naming the field of the grants that is wrong */
export function specOf({ level = 'sandboxed', strict = false, language = 'javascript', code, limits = {}, grants = {} }: ProgramDraft): ProgramSpec {
  const given = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
  return { level, strict, language, code, limits: { ...programLimitsDefault, ...given }, grants: parsePolicy(grantsSchema, grants) }
}

/** An agent as it is kept. */
export interface ProgramRecord extends Omit<ProgramSpec, 'code'> {
  /** BLAKE3 of the code. */
  readonly codeHash: Uint8Array
  /** Whether it is started with the node. */
  readonly isOn: boolean
  readonly addedAt: number
  readonly updatedAt: number
}

const recordCodec = codec(
  'agent program',
  row({
    version: literal(1),
    level: oneOf(isolationLevels),
    strict: bool,
    language: oneOf(programLanguages),
    codeHash: bytesOf(32),
    isOn: bool,
    addedAt: instant,
    updatedAt: instant,
    limits: textUpTo(4 << 10),
    grants: textUpTo(settingsCharsMax),
  }),
  4 * settingsCharsMax,
)

/** Limits of a message when the operator names none: time enough to ask somebody else. */
export const programLimitsDefault: SandboxLimits = { ...sandboxLimitsDefault, wallMs: 30_000 }

/** Agent programs on disk: what they may do, and their code by its hash. */
export interface ProgramRecords {
  /** All that can be read, and the names of those that cannot, with why. */
  list(): Promise<readonly { readonly name: string; readonly record: ProgramRecord | MeshError }[]>
  /** @throws ERR_AGENT_CODE when the bytes are not those the hash names */
  code(name: string, hash: Uint8Array): Promise<string>
  /** The writes that keep a program, with new code in place of that of another hash, under their full keys. */
  keep(name: string, record: ProgramRecord, code?: { readonly text: string; readonly before?: Uint8Array | undefined }): readonly StoreOp[]
  forget(name: string, hash: Uint8Array): readonly StoreOp[]
}

export const hashCode = (code: string): Promise<Uint8Array> => contentHash(utf8(code))

export function openProgramRecords(store: Store): ProgramRecords {
  const records = store.sub('record')
  // By name as well: two agents of one code do not depend on each other.
  const codes = store.sub('code')
  const codeKey = (name: string, hash: Uint8Array): string => `${name}/${hex(hash)}`

  return {
    async list() {
      const found: { readonly name: string; readonly record: ProgramRecord | MeshError }[] = []
      for await (const [name, bytes] of records.range({})) found.push({ name, record: read(name, bytes) })
      return found
    },
    async code(name, hash) {
      const bytes = await codes.get(codeKey(name, hash))
      if (bytes === undefined || !equal(await contentHash(bytes), hash)) {
        throw new MeshError('ERR_AGENT_CODE', bytes === undefined ? 'the code of the agent is gone' : 'the code of the agent is not what its hash names')
      }
      return fromUtf8(bytes)
    },
    keep(name, { limits, grants, ...record }, code) {
      const value = recordCodec.encode({ version: 1, ...record, limits: JSON.stringify(limits), grants: JSON.stringify(grants) })
      return [
        ...records.qualify([put(name, value)]),
        ...(code?.before === undefined ? [] : codes.qualify([del(codeKey(name, code.before))])),
        ...(code === undefined ? [] : codes.qualify([put(codeKey(name, record.codeHash), utf8(code.text))])),
      ]
    },
    forget: (name, hash) => [...records.qualify([del(name)]), ...codes.qualify([del(codeKey(name, hash))])],
  }
}

function read(name: string, bytes: Uint8Array): ProgramRecord | MeshError {
  try {
    const { version: _, limits, grants, ...record } = recordCodec.decode(bytes)
    return {
      ...record,
      limits: { ...programLimitsDefault, ...(JSON.parse(limits) as Partial<SandboxLimits>) },
      grants: parsePolicy(grantsSchema, JSON.parse(grants)),
    }
  } catch (cause) {
    return new MeshError('ERR_AGENT_CODE', `the record of agent ${name} cannot be read`, { cause })
  }
}
