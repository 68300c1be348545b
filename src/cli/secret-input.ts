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
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(trimLineEnd(Buffer.concat(parts)))
  } catch {
    throw new MeshError('ERR_USAGE', 'the value is not UTF-8')
  }
}

/** A passphrase, from a file: the new one of `vault passphrase`, that of a backup. */
export async function passphraseIn(path: string): Promise<string> {
  const { vaultPassphraseBytesMax } = await import('../node/index.ts')
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  })
  try {
    if ((await file.stat()).size > vaultPassphraseBytesMax + 2) throw new MeshError('ERR_USAGE', `${path} is too large for a passphrase`)
    return new TextDecoder().decode(trimLineEnd(await file.readFile()))
  } finally {
    await file.close()
  }
}
