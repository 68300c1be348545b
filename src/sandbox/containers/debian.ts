import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { basename, join } from 'node:path'
import { type Clock, hex } from '../../base/index.ts'
import { sha256 } from '../../crypto/index.ts'
import { findProgram, unavailable } from '../programs.ts'

/** A Debian package as it must be, byte for byte. */
export interface PinnedPackage {
  /** In the archive: `pool/main/…_amd64.deb`. */
  readonly path: string
  /** Hex. */
  readonly sha256: string
}

/** Where apt has not got it: the archive of today, and the one that keeps what was replaced since. What they give is only taken when it has the pinned hash. */
const archives = ['https://deb.debian.org/debian', 'https://snapshot.debian.org/archive/debian/20261101T000000Z']
const downloadTimeoutMs = 60_000
/** No pinned package is larger. */
export const packageBytesMax = 128 << 20

const run = promisify(execFile)

/** Downloads packages, refuses every one whose hash is another, and unpacks them below `folder`. @throws ERR_SANDBOX_UNAVAILABLE saying what is missing */
export async function unpackPackages(packages: readonly PinnedPackage[], folder: string, clock: Clock): Promise<void> {
  const dpkg = findProgram('dpkg-deb')
  if (dpkg === undefined) throw unavailable('dpkg-deb is missing', 'install the package dpkg')
  const files = await Promise.all(packages.map((wanted) => download(wanted, folder, clock)))
  // One after the other: packages share folders.
  for (const file of files) await run(dpkg, ['-x', file, join(folder, 'root')])
}

async function download(wanted: PinnedPackage, folder: string, clock: Clock): Promise<string> {
  const file = join(folder, basename(wanted.path))
  const ways = [() => byApt(wanted, folder), ...archives.map((archive) => () => get(`${archive}/${wanted.path}`, clock))]
  const reasons: string[] = []
  for (const way of ways) {
    try {
      const bytes = await way()
      assertPinned(wanted, bytes)
      await writeFile(file, bytes, { mode: 0o600 })
      return file
    } catch (error) {
      reasons.push(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error))
    }
  }
  throw unavailable(`${basename(wanted.path)}: ${reasons.join('; ')}`)
}

/** From the archive that the machine itself is set up with: its mirrors, proxies and certificates are known to work. */
async function byApt({ path, sha256: pinned }: PinnedPackage, folder: string): Promise<Uint8Array> {
  const [apt, aptCache] = [findProgram('apt-get'), findProgram('apt-cache')]
  if (apt === undefined || aptCache === undefined) throw unavailable('apt-get is missing')
  const [name = '', , architecture = ''] = basename(path, '.deb').split('_')
  // A file's name leaves out the epoch of its version; the index names the version of these very bytes.
  const { stdout } = await run(aptCache, ['show', `${name}:${architecture}`])
  const version = stdout
    .split('\n\n')
    .find((entry) => entry.includes(`SHA256: ${pinned}`))
    ?.match(/^Version: (\S+)$/m)?.[1]
  if (version === undefined) throw unavailable('apt does not list it: run apt-get update')
  const own = await mkdtemp(join(folder, 'apt-'))
  // Its own user cannot write to a folder of ours.
  const asUs = process.getuid?.() === 0 ? ['-o', 'APT::Sandbox::User=root'] : []
  await run(apt, ['-qq', ...asUs, 'download', `${name}:${architecture}=${version}`], { cwd: own, timeout: downloadTimeoutMs })
  const [found] = await readdir(own)
  if (found === undefined) throw unavailable('apt-get gave nothing')
  if ((await stat(join(own, found))).size > packageBytesMax) throw unavailable(`${found} is over ${packageBytesMax} bytes`)
  return await readFile(join(own, found))
}

/** @throws ERR_SANDBOX_UNAVAILABLE when these are other bytes */
export function assertPinned({ path, sha256: pinned }: PinnedPackage, bytes: Uint8Array): void {
  const found = hex(sha256(bytes))
  if (found !== pinned) throw unavailable(`${basename(path)} has SHA-256 ${found}, pinned is ${pinned}`)
}

async function get(url: string, clock: Clock): Promise<Uint8Array> {
  const answer = await fetch(url, { signal: clock.timeout(downloadTimeoutMs, `download of ${url}`) })
  if (!answer.ok || answer.body === null) throw unavailable(`${url} answered ${answer.status}`)
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > packageBytesMax) throw unavailable(`${url} is over ${packageBytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
