import { createReadStream } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hex } from '../../base/index.ts'
import { createSha256 } from '../../crypto/index.ts'
import { unavailable } from '../programs.ts'

const manifestName = 'manifest.json'

/** Notes what lies in a folder, each file by its hash. */
export async function writeManifest(folder: string): Promise<void> {
  await writeFile(join(folder, manifestName), JSON.stringify(await hashes(folder)))
}

/** @throws ERR_SANDBOX_UNAVAILABLE when a file is not what was written, is missing or was added */
export async function checkManifest(folder: string): Promise<void> {
  const noted = await readFile(join(folder, manifestName), 'utf8').catch(() => '')
  if (noted === JSON.stringify(await hashes(folder))) return
  throw unavailable(`${folder} is not what was put there`, `remove ${folder} and run \`kindmesh sandbox setup\``)
}

async function hashes(folder: string): Promise<readonly (readonly [name: string, sha256: string])[]> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name !== manifestName)
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
  const found: [string, string][] = []
  for (const file of files) {
    const running = createSha256()
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) running.update(chunk as Uint8Array)
    found.push([file.slice(folder.length + 1), hex(running.digest())])
  }
  return found
}
