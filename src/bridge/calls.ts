import { z } from 'zod'
import type { HostCallName } from '../sandbox/index.ts'
import { fetchInit, fetchUrl } from './fetch.ts'

/** Data for an agent or a task elsewhere, as JSON text. Source: sandbox/v1 section 5.8. */
export const askCharsMax = 1 << 20
/** Arguments of a program. */
const programArgumentsMax = 256

const path = z.string().max(4_096)
const encoding = z.enum(['utf8', 'base64']).default('utf8')
/** Anything JSON: it was parsed from text. */
const json = z.unknown()
const record = z.record(z.string(), json)
const text = (charsMax: number) => z.string().max(charsMax)

/** Options may be left out, or be null as JSON writes what is undefined. */
const options = <S extends z.ZodType>(shape: S) => shape.nullish().transform((given) => given ?? shape.parse({}))

/** Arguments of each call. Source: sandbox/v1 section 5. */
export const callArguments = {
  fetch: z.tuple([fetchUrl, options(fetchInit)]),
  'memory.get': z.tuple([text(1_024)]),
  'memory.list': z.tuple([text(1_024).nullish(), options(z.strictObject({ after: text(1_024).optional() }))]),
  'memory.set': z.tuple([text(1_024), json, options(z.strictObject({ ttlMs: z.int().min(1).optional() }))]),
  'memory.delete': z.tuple([text(1_024)]),
  'vault.get': z.tuple([text(64)]),
  readFile: z.tuple([path, options(z.strictObject({ encoding, offset: z.int().min(0).optional(), length: z.int().min(0).optional() }))]),
  list: z.tuple([path.nullish()]),
  writeFile: z.tuple([path, z.string(), options(z.strictObject({ encoding, append: z.boolean().default(false), exclusive: z.boolean().default(false) }))]),
  spawn: z.tuple([text(256), z.array(text(65_536)).max(programArgumentsMax).nullish(), options(z.strictObject({ stdin: text(1 << 20).optional() }))]),
  'mesh.ask': z.tuple([text(512), json, options(z.strictObject({ agent: text(128).optional(), timeoutMs: z.int().min(1).max(3_600_000).optional() }))]),
  delegate: z.tuple([record]),
  llm: z.tuple([record]),
  vectordb: z.tuple([record]),
  'crypto.sign': z.tuple([text(1 << 20)]),
  'crypto.publicKey': z.tuple([]),
} as const satisfies Record<HostCallName, z.ZodType>

export type CallArguments<N extends HostCallName> = z.output<(typeof callArguments)[N]>
