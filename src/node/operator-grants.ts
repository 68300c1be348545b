import { open } from 'node:fs/promises'
import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import { type AgentCapability, type Did, didFromKey, MeshError, parseDidKey } from '../base/index.ts'
import type { Policy } from '../policy/index.ts'
import { type Grants, grantsSchema, parsePolicy } from '../sandbox/index.ts'
import { type Level, TrustLevel } from '../trust/index.ts'

/** Source: sandbox/v1 section 5.1. */
export const grantsFileBytesMax = 256 << 10

/** What the operator of a node grants the tasks of others, by how far their asker is trusted. */
export interface OperatorGrants {
  readonly tasks: Readonly<Partial<Record<Level, Grants>>>
  /** Whose tasks may run without isolation; see task/v1 section 3. */
  readonly native: readonly Did[]
}

const levels = { VERIFIED: TrustLevel.VERIFIED, TRUSTED: TrustLevel.TRUSTED, AUTHORITY: TrustLevel.AUTHORITY } as const

const fileSchema = z
  .strictObject({
    native: z
      .array(
        z.string().transform((text, context) => {
          try {
            return didFromKey(parseDidKey(text))
          } catch {
            context.addIssue({ code: 'custom', message: `${JSON.stringify(text.slice(0, 80))} is no did:key` })
            return z.NEVER
          }
        }),
      )
      .max(64)
      .default([]),
    tasks: z.strictObject({ VERIFIED: grantsSchema.optional(), TRUSTED: grantsSchema.optional(), AUTHORITY: grantsSchema.optional() }).default({}),
  })
  .transform(({ native, tasks }): OperatorGrants => {
    const given = Object.entries(levels).flatMap(([name, level]) => {
      const grants = tasks[name as keyof typeof levels]
      return grants === undefined ? [] : [[level, grants] as const]
    })
    return { native, tasks: Object.fromEntries(given) }
  })

export const noOperatorGrants: OperatorGrants = { tasks: {}, native: [] }

/** Reads `sandbox.toml`; nothing is granted where there is none. @throws ERR_SANDBOX_CONFIG with line and column, or the field */
export async function readOperatorGrants(path: string): Promise<OperatorGrants> {
  const text = await readText(path)
  if (text === undefined) return noOperatorGrants
  try {
    return parseGrants(text)
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
    throw new MeshError(error.code, `${path}: ${error.message}`, { ...(error.details === undefined ? {} : { details: error.details }), cause: error })
  }
}

function parseGrants(text: string): OperatorGrants {
  let value: unknown
  try {
    value = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    const [first = 'not TOML'] = error.message.split('\n')
    throw new MeshError('ERR_SANDBOX_CONFIG', `line ${error.line}, column ${error.column}: ${first}`, { details: { line: error.line, column: error.column } })
  }
  return parsePolicy(fileSchema, value)
}

async function readText(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new MeshError('ERR_SANDBOX_CONFIG', `${path} cannot be read`, { cause: error })
  })
  if (file === undefined) return undefined
  try {
    const { size, mode } = await file.stat()
    if (size > grantsFileBytesMax) throw new MeshError('ERR_SANDBOX_CONFIG', `${path} is over ${grantsFileBytesMax} bytes`)
    // Whoever can write it grants himself what he likes.
    if ((mode & 0o022) !== 0) throw new MeshError('ERR_SANDBOX_CONFIG', `${path} can be written by others`, { hint: 'run `chmod go-w` on it' })
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/** The policy with what the operator grants: it decides before a task is taken, the bridge when a call is made. */
export function policyWith(policy: Policy, { tasks, native }: OperatorGrants): Policy {
  const taskCapabilities: Partial<Record<Level, readonly AgentCapability[]>> = { ...policy.taskCapabilities }
  for (const level of Object.values(levels)) {
    const more = tasks[level]?.capabilities ?? []
    if (more.length > 0) taskCapabilities[level] = [...new Set([...(taskCapabilities[level] ?? []), ...more])]
  }
  const origin = 'sandbox.toml'
  const sources = {
    ...policy.sources,
    ...(Object.keys(tasks).length === 0 ? {} : { 'policy.capabilities': origin }),
    ...(native.length === 0 ? {} : { 'policy.native': origin }),
  }
  return { ...policy, sources, taskCapabilities, ...(native.length === 0 ? {} : { nativeGrants: [...(policy.nativeGrants ?? []), ...native] }) }
}
