import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSeededRandom } from '../../src/base/index.ts'
import { type Client, createClient, type ReceiveLine } from '../../src/client/index.ts'
import type { UpNode } from './cli.ts'

/** The API of a node that runs in a process of its own. */
export async function clientOf(node: Pick<UpNode, 'home'>): Promise<Client> {
  const { url, token } = JSON.parse(await readFile(join(node.home, 'api.json'), 'utf8')) as { readonly url: string; readonly token: string }
  return createClient({ url, token })
}

/** A file whose every mebibyte differs from the others; gives its SHA-256. */
export async function writeBody(path: string, bytes: number, seed: number): Promise<string> {
  const hash = createHash('sha256')
  const block = Buffer.from(createSeededRandom(seed).bytes(1 << 20))
  await using file = await open(path, 'w')
  for (let at = 0; at < bytes; at += block.length) {
    block.writeUInt32BE(at, 0)
    const piece = block.subarray(0, Math.min(block.length, bytes - at))
    hash.update(piece)
    await file.write(piece)
  }
  return hash.digest('hex')
}

export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) hash.update(piece)
  return hash.digest('hex')
}

export type FileLine = Extract<ReceiveLine, { readonly type: 'file' }>

/** Lets a node take files, as `kindmesh receive` does, until the signal aborts or the node goes; resolves once it does. */
export async function receiveInto(
  client: Client,
  dir: string,
  signal: AbortSignal,
): Promise<{ readonly files: readonly FileLine[]; readonly ended: Promise<void> }> {
  await mkdir(dir, { recursive: true })
  const lines = client.receiveFiles({ dir }, { signal })
  await lines.next()
  const files: FileLine[] = []
  const ended = (async () => {
    try {
      for await (const line of lines) if (line.type === 'file') files.push(line)
    } catch {
      // The node was killed, or we left.
    }
  })()
  return { files, ended }
}

/** Asks again and again until the answer is defined. */
export async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await new Promise((resolve) => setImmediate(resolve))
  }
}
