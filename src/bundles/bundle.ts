import { z } from 'zod'
import { agentCapabilities, type AgentCapability, base64, type Did, equal, fromHex, fromUtf8, hex, MeshError } from '../base/index.ts'
import { kindDidFromDid, parseDid, signedJsonInput, verifySignedJson } from '../identity/index.ts'
import { type Engine, engines } from '../sandbox/index.ts'
import { parseJsonText } from '../wire/index.ts'

/** The text of a bundle, bytes. Source: sandbox/v1 section 10. */
export const bundleBytesMax = 32 * 1024
/** Whom the signature of a bundle is for: no other signed JSON data is taken for a bundle. */
export const bundleAudience = 'kindmesh.bundle/1'

const messageShape = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'takes 1 to 64 small letters, digits, dots, dashes and underscores'),
  version: z.string().regex(/^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$/, 'takes 1 to 64 letters, digits, dots, plus and dashes'),
  /** BLAKE3 of the code that runs, 64 hex digits. */
  codeHash: z.string().regex(/^[0-9a-f]{64}$/, 'is no BLAKE3 hash in hex'),
  engine: z.enum(engines),
  /** All the code may ever make use of. */
  permissions: z.array(z.enum(agentCapabilities)).max(agentCapabilities.length),
  publisher: z.string().max(128),
})

const documentShape = z.strictObject({
  schema: z.literal('kindmesh.signed-json/1'),
  did: z.string().max(128),
  audience: z.literal(bundleAudience),
  message: messageShape,
  signature: z.string().max(128),
})

/** What a publisher says about code of his. Everything in it is under the signature. Source: sandbox/v1 section 10. */
export interface Bundle {
  readonly name: string
  readonly version: string
  readonly codeHash: Uint8Array
  readonly engine: Engine
  readonly permissions: readonly AgentCapability[]
  readonly publisher: Did
}

/** Signs a bundle: the text of a document of signed-json/v1 on one line. */
export function signBundle({ codeHash, publisher, ...rest }: Bundle, sign: (input: Uint8Array) => Uint8Array): string {
  const message = parsed(messageShape, { ...rest, permissions: [...rest.permissions], codeHash: hex(codeHash), publisher: kindDidFromDid(publisher) })
  const signature = base64(sign(signedJsonInput(message, bundleAudience)))
  return JSON.stringify({ schema: 'kindmesh.signed-json/1', did: message.publisher, audience: bundleAudience, message, signature })
}

/** Reads a bundle and checks its signature. @throws ERR_BUNDLE_INVALID whatever is wrong with it */
export function openBundle(bytes: Uint8Array): Bundle {
  if (bytes.length > bundleBytesMax) throw invalid(`a bundle of ${bytes.length} bytes exceeds ${bundleBytesMax}`)
  const { did, message, signature } = parsed(documentShape, readJson(bytes))
  const publisher = readDid(message.publisher)
  if (readDid(did) !== publisher) throw invalid('signed by another key than that of its publisher')
  if (!verifySignedJson({ message, signature, publicKey: publisher, audience: bundleAudience })) throw invalid('the signature does not match')
  return { ...message, codeHash: fromHex(message.codeHash), publisher }
}

/** What a bundle is to match: code, how it runs, and what it is given. */
export interface BundleUse {
  /** BLAKE3 of the code. */
  readonly codeHash: Uint8Array
  readonly engine: Engine
  readonly capabilities: readonly AgentCapability[]
}

/** Refuses a bundle used for other code, in another engine or with more than it names. @throws ERR_BUNDLE_INVALID, ERR_SANDBOX_PERMISSION */
export function checkBundle({ codeHash, engine, permissions, name }: Bundle, use: BundleUse): void {
  if (!equal(use.codeHash, codeHash)) throw invalid(`the code is not what bundle ${name} names`)
  if (use.engine !== engine) throw invalid(`bundle ${name} is for the engine ${engine}, not ${use.engine}`)
  const more = use.capabilities.find((capability) => !permissions.includes(capability))
  if (more !== undefined) throw new MeshError('ERR_SANDBOX_PERMISSION', `bundle ${name} does not name ${more}`)
}

const invalid = (message: string, cause?: unknown): MeshError => new MeshError('ERR_BUNDLE_INVALID', message, { cause })

function parsed<T>(shape: z.ZodType<T>, value: unknown): T {
  const read = shape.safeParse(value)
  if (read.success) return read.data
  const [issue] = read.error.issues
  throw invalid(`${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is wrong'}`.trim())
}

function readJson(bytes: Uint8Array): unknown {
  try {
    return parseJsonText(fromUtf8(bytes), bundleBytesMax)
  } catch (cause) {
    throw invalid('no JSON that reads the same everywhere', cause)
  }
}

function readDid(text: string): Did {
  try {
    return parseDid(text)
  } catch (cause) {
    throw invalid('the publisher is no identity', cause)
  }
}
