import { readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { base64, type Did, MeshError, type Random } from '../base/index.ts'
import { parseDid } from './did.ts'
import { type IdentityFile, identityFileSchema, wrongOrAltered } from './key-file.ts'
import { chainOf, identityOf, type OwnKeys } from './own-keys.ts'
import { type FileCalls, realFiles, replacePrivateFile } from './private-file.ts'

export const identityFileBytesMax = 64 * 1024

/** The key in force and how often it was replaced. */
interface InForce {
  readonly current: Did
  readonly seq: number
}

/** What a profile says of itself without any key. @throws ERR_PROFILE_MISSING, ERR_STORE_FAILED, ERR_AUTH_FAILED when its chain was altered */
export async function readIdentityFile(path: string): Promise<IdentityFile & InForce> {
  let text: string
  try {
    if ((await stat(path)).size > identityFileBytesMax) throw new MeshError('ERR_STORE_FAILED', `${path} names no identity: too large`)
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') throw new MeshError('ERR_PROFILE_MISSING', `no identity in ${dirname(path)}`, { cause })
    throw cause instanceof MeshError ? cause : new MeshError('ERR_STORE_FAILED', `${path} cannot be read`, { cause })
  }
  let file: IdentityFile
  try {
    const parsed = identityFileSchema.parse(JSON.parse(text))
    file = { ...parsed, did: parseDid(parsed.did) }
  } catch (cause) {
    throw new MeshError('ERR_STORE_FAILED', `${path} is damaged`, { cause, hint: 'restore it from a backup' })
  }
  return { ...file, ...inForce(file) }
}

/** Puts the public part of an identity in the place of what `path` was; a crash leaves the one or the other. */
export async function writeIdentityFile(
  path: string,
  keys: OwnKeys,
  { random, files = realFiles }: { readonly random: Random; readonly files?: FileCalls },
): Promise<void> {
  const { createdAt, chain } = keys
  const file = { schema: 'kindmesh.identity/1', did: identityOf(keys), createdAt, chain: chain.map(base64) }
  await replacePrivateFile(path, `${JSON.stringify(file, undefined, 2)}\n`, random, files)
}

/** An altered chain looks like any other alteration. @throws ERR_AUTH_FAILED */
function inForce(file: IdentityFile): InForce {
  if (file.schema === 'kindmesh.key-file/1') return { current: file.did, seq: 0 }
  try {
    const chain = chainOf(file.chain)
    if (chain.did === file.did && chain.status === 'active' && chain.path.length === file.chain.length) return { current: chain.current, seq: chain.seq }
  } catch (error) {
    if (!(error instanceof MeshError)) throw error
  }
  throw wrongOrAltered()
}
