import { open } from 'node:fs/promises'
import { MeshError, trimLineEnd } from '../base/index.ts'

/** A secret is read from stdin: arguments are seen by every program of the machine. */
export async function fromStdin(): Promise<string> {
  const { secretBytesMax } = await import('../node/index.ts')
  if (process.stdin.isTTY) {
    throw new MeshError('ERR_USAGE', 'the value comes on stdin', { hint: 'write it to the command: `kindmesh vault set NAME < file`' })
  }
  const parts: Buffer[] = []
  let length = 0
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    length += part.length
    if (length > secretBytesMax + 2) throw new MeshError('ERR_WIRE_TOO_LARGE', `a secret takes at most ${secretBytesMax} bytes`)
    parts.push(part)
  }
  return textOf(trimLineEnd(Buffer.concat(parts)), 'the value')
}

/** The text that is these bytes and no others, a byte order mark kept: what travels as text is the same bytes again. @throws ERR_USAGE */
export function textOf(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new MeshError('ERR_USAGE', `${what} is not UTF-8`, { hint: 'save it as UTF-8 text; nothing was changed' })
  }
}

/** A new passphrase, or that of a backup, from a file. @throws ERR_USAGE, also when it is not UTF-8 */
export const passphraseIn = async (path: string): Promise<string> => textOf(await passphraseBytes(path), path)

/** A passphrase as a file holds it: without the line end, else untouched. @throws ERR_USAGE */
export async function passphraseBytes(path: string): Promise<Uint8Array> {
  const { vaultPassphraseBytesMax } = await import('../node/index.ts')
  const unreadable = (cause: unknown): never => {
    throw new MeshError('ERR_USAGE', `the passphrase file ${path} cannot be read`, { cause })
  }
  const file = await open(path, 'r').catch(unreadable)
  try {
    if ((await file.stat()).size > vaultPassphraseBytesMax + 2) throw new MeshError('ERR_USAGE', `${path} is too large for a passphrase`)
    return trimLineEnd(await file.readFile().catch(unreadable))
  } finally {
    await file.close()
  }
}
