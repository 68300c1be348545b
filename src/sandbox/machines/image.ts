import { execFile } from 'node:child_process'
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { hex, toMeshError, utf8 } from '../../base/index.ts'
import { sha256 } from '../../crypto/index.ts'
import { cacheFolder, cacheFolderPath, ownFolder } from '../containers/cache.ts'
import { type PinnedPackage, unpackPackages } from '../containers/debian.ts'
import { buildRootfs, findRootfs, nodeInside, type RootfsOptions } from '../containers/rootfs.ts'
import { findProgram, unavailable } from '../programs.ts'
import { guestModules } from './guest-scripts.ts'
import { writeManifest } from './manifest.ts'
import { removeOld, touch } from './old.ts'

/** Debian 12, beside what containers have: the kernel, and Perl for the agent. */
const packages: readonly PinnedPackage[] = [
  {
    path: 'pool/main/l/linux-signed-amd64/linux-image-6.1.0-50-cloud-amd64_6.1.176-1_amd64.deb',
    sha256: 'efe19f605b6f54a8352e68d85a629abb2d30b72a085faef603a9152590baa791',
  },
  {
    path: 'pool/main/p/perl/perl-base_5.36.0-7+deb12u3_amd64.deb',
    sha256: '8ec874926e211807cde71e1b0a2311d2534ab3539dffcb2c8553633f542efc1a',
  },
  {
    path: 'pool/main/libx/libxcrypt/libcrypt1_4.4.33-2_amd64.deb',
    sha256: 'f5f60a5cdfd4e4eaa9438ade5078a57741a7a78d659fcb0c701204f523e8bd29',
  },
]

/** Counts up when the same packages are laid out in another way. */
const layout = 1
/** Room of the file system beyond its files; it is never written to. */
const spareBytes = 24 << 20

/** Images for other versions of Node that are kept. */
const imagesKept = 2

const run = promisify(execFile)

/** A guest without what changes with our own code: kernel, modules and busybox for the initial file system, root file system. */
export interface GuestImage {
  readonly folder: string
  readonly kernel: string
  readonly rootDisk: string
  /** Changes with any of it. */
  readonly key: string
}

const isSupported = (): boolean => process.platform === 'linux' && process.arch === 'x64'

const notSupported = (): string | undefined => (isSupported() ? undefined : `machines need Linux on x64, this is ${process.platform} ${process.arch}`)

const imageKey = (): string => {
  const node = [process.versions, statSync(process.execPath).size]
  return hex(sha256(utf8(JSON.stringify([layout, packages, guestModules, node])))).slice(0, 12)
}

const imageAt = (folder: string, key: string): GuestImage => ({ folder, kernel: join(folder, 'kernel'), rootDisk: join(folder, 'root'), key })

/** The image, when it has been built. @throws ERR_SANDBOX_UNAVAILABLE when somebody else could have changed it */
export function findGuestImage(): GuestImage | undefined {
  if (!isSupported()) return undefined
  const key = imageKey()
  const folder = join(cacheFolderPath(), `guest-${key}`)
  if (!existsSync(folder)) return undefined
  touch(ownFolder(folder))
  return imageAt(folder, key)
}

/** Builds the image out of Debian's packages and this Node, or finds it built. Takes effect all at once. @throws ERR_SANDBOX_UNAVAILABLE saying what is missing */
export async function buildGuestImage({ clock, onProgress = () => undefined }: RootfsOptions): Promise<GuestImage> {
  const lacks = notSupported()
  if (lacks !== undefined) throw unavailable(lacks)
  const found = findGuestImage()
  if (found !== undefined) return found
  const makeFileSystem = findProgram('mke2fs')
  if (makeFileSystem === undefined) throw unavailable('mke2fs is missing', 'apt-get install e2fsprogs')
  const rootfs = findRootfs() ?? (await buildRootfs({ clock, onProgress }))
  const key = imageKey()
  const folder = join(cacheFolder(), `guest-${key}`)
  const unfinished = await mkdtemp(join(cacheFolder(), 'unfinished-'))
  try {
    onProgress(`guest image: kernel and ${packages.length - 1} packages of Debian`)
    await unpackPackages(packages, unfinished, clock)
    const unpacked = join(unfinished, 'root')
    const image = join(unfinished, 'image')
    await mkdir(join(image, 'modules'), { recursive: true, mode: 0o755 })
    await takeKernel(unpacked, image)
    await copyFile(join(rootfs, 'bin', 'busybox'), join(image, 'busybox'))
    const root = join(unfinished, 'tree')
    await cp(rootfs, root, { recursive: true, verbatimSymlinks: true })
    for (const name of ['usr/bin', 'lib', 'usr/lib']) await overlay(join(unpacked, name), join(root, name))
    await copyFile(process.execPath, join(root, nodeInside))
    await run('/bin/chmod', ['0755', join(root, nodeInside)])
    onProgress('guest image: root file system')
    const mebibytes = Math.ceil(((await bytesBelow(root)) * 1.03 + spareBytes) / 2 ** 20)
    const form = ['-q', '-t', 'ext4', '-b', '4096', '-m', '0', '-N', '4096', '-O', '^has_journal', '-E', 'root_owner=0:0']
    await run(makeFileSystem, [...form, '-d', root, join(image, 'root'), `${mebibytes}M`])
    await writeManifest(image)
    try {
      await rename(image, folder)
    } catch (error) {
      // Somebody else was quicker.
      if (!existsSync(folder)) throw error
    }
    await removeOld('guest-', imagesKept)
    onProgress(`guest image: ${folder}`)
    return imageAt(ownFolder(folder), key)
  } catch (error) {
    throw unavailable(`the guest image cannot be built: ${toMeshError(error).message}`)
  } finally {
    await rm(unfinished, { recursive: true, force: true })
  }
}

async function takeKernel(unpacked: string, image: string): Promise<void> {
  const kernel = (await readdir(join(unpacked, 'boot'))).find((name) => name.startsWith('vmlinuz-'))
  const [version] = await readdir(join(unpacked, 'lib', 'modules'))
  if (kernel === undefined || version === undefined) throw unavailable('the package of the kernel holds no kernel')
  await copyFile(join(unpacked, 'boot', kernel), join(image, 'kernel'))
  for (const name of guestModules) {
    const content = await readFile(join(unpacked, 'lib', 'modules', version, 'kernel', 'drivers', `${name}.ko`))
    await writeFile(join(image, 'modules', `${name.replace(/.*\//, '')}.ko`), content)
  }
  await rm(join(unpacked, 'lib', 'modules'), { recursive: true })
}

async function overlay(from: string, to: string): Promise<void> {
  if (existsSync(from)) await cp(from, to, { recursive: true, verbatimSymlinks: true, force: true })
}

/** Files and what the file system needs for each, bytes. */
async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += 4_096 + (await stat(join(entry.parentPath, entry.name))).size
    else bytes += 4_096
  }
  return bytes
}

/** The image machines are made of. @throws ERR_SANDBOX_UNAVAILABLE when it has not been built */
export function guestImage(): GuestImage {
  const lacks = notSupported()
  if (lacks !== undefined) throw unavailable(lacks)
  const image = findGuestImage()
  if (image === undefined) throw unavailable('the guest image is missing', imageFix)
  return image
}

const imageFix = 'run `kindmesh sandbox setup`'
