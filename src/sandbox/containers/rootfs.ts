import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, hex, MeshError, toMeshError, utf8 } from '../../base/index.ts'
import { sha256 } from '../../crypto/index.ts'
import { cacheFolder, cacheFolderPath, ownFolder } from './cache.ts'
import { type PinnedPackage, unpackPackages } from './debian.ts'

/** Debian 12: the libraries Node needs, and busybox for everything else. */
const packages: Readonly<Record<string, readonly PinnedPackage[]>> = {
  x64: [
    {
      path: 'pool/main/g/glibc/libc6_2.36-9+deb12u14_amd64.deb',
      sha256: 'ba4f88f73dbc3ae9055f3c20f4523bfdbaf1ad13ff95e258924f77d20b4fbedf',
    },
    {
      path: 'pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb',
      sha256: '5cd3171216d4ab0fc911cfe9c35509bf2dd8f47761c43b7f6a4296701551a24d',
    },
    {
      path: 'pool/main/g/gcc-12/libgcc-s1_12.2.0-14+deb12u1_amd64.deb',
      sha256: '3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7',
    },
    {
      path: 'pool/main/b/busybox/busybox-static_1.35.0-4+deb12u1+b1_amd64.deb',
      sha256: '3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744',
    },
  ],
  arm64: [
    {
      path: 'pool/main/g/glibc/libc6_2.36-9+deb12u14_arm64.deb',
      sha256: '01f4330719fd4f65580e16ea5a0527f372fca750e8f588d26deaf09f2d3b1cf4',
    },
    {
      path: 'pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_arm64.deb',
      sha256: '26e138c677a985775331373828a6c286c551ff397cb735d00e2383cb273d1cb2',
    },
    {
      path: 'pool/main/g/gcc-12/libgcc-s1_12.2.0-14+deb12u1_arm64.deb',
      sha256: '576926b283613db80168ddf76380a3bd877602778cf0d226caa7bfbfa71eacf3',
    },
    {
      path: 'pool/main/b/busybox/busybox-static_1.35.0-4+deb12u1+b1_arm64.deb',
      sha256: '732c9135564fc71337e0e05fb4da4d11e6c28c1834bce3e405e575afef2a52f5',
    },
  ],
}

/** Counts up when the same packages are laid out in another way. */
const layout = 2
/** Where something is mounted when a container starts; the node program is a file. */
const mountPoints = ['app', 'dev', 'proc', 'sys', 'tmp', 'work', 'run']
export const nodeInside = '/usr/bin/node'
/** The user of a container, by number 65534. */
const users = 'root:x:0:0:root:/work:/bin/sh\nnobody:x:65534:65534:nobody:/work:/bin/sh\n'
const groups = 'root:x:0:\nnogroup:x:65534:\n'

export interface RootfsOptions {
  readonly clock: Clock
  /** One line of what is being done. */
  readonly onProgress?: (line: string) => void
}

const rootfsPath = (): string | undefined => {
  const pinned = packages[process.arch]
  if (process.platform !== 'linux' || pinned === undefined) return undefined
  const key = hex(sha256(utf8(JSON.stringify([layout, pinned])))).slice(0, 12)
  return join(cacheFolderPath(), `rootfs-${key}`)
}

/** The root file system of containers, when it has been built. @throws ERR_SANDBOX_UNAVAILABLE when somebody else could have changed it */
export function findRootfs(): string | undefined {
  const path = rootfsPath()
  return path !== undefined && existsSync(path) ? ownFolder(path) : undefined
}

/** Builds the root file system out of Debian's packages, or finds it built. Takes effect all at once. @throws ERR_SANDBOX_UNAVAILABLE saying what is missing */
export async function buildRootfs({ clock, onProgress = () => undefined }: RootfsOptions): Promise<string> {
  const path = rootfsPath()
  const pinned = packages[process.arch]
  if (path === undefined || pinned === undefined) {
    throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `containers need Linux on x64 or arm64, this is ${process.platform} ${process.arch}`)
  }
  const found = findRootfs()
  if (found !== undefined) return found
  const unfinished = mkdtempSync(join(cacheFolder(), 'unfinished-'))
  try {
    onProgress(`root file system: ${pinned.length} packages of Debian`)
    const root = join(unfinished, 'root')
    mkdirSync(root)
    await unpackPackages(pinned, unfinished, clock)
    layOut(root)
    try {
      renameSync(root, path)
    } catch (error) {
      // Somebody else was quicker.
      if (!existsSync(path)) throw error
    }
    onProgress(`root file system: ${path}`)
    return ownFolder(path)
  } catch (error) {
    throw new MeshError('ERR_SANDBOX_UNAVAILABLE', `the root file system cannot be built: ${toMeshError(error).message}`, { cause: error })
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

function layOut(root: string): void {
  for (const name of ['usr/share', 'etc/kernel']) rmSync(join(root, name), { recursive: true, force: true })
  for (const name of [...mountPoints, 'bin', 'usr/bin', 'etc']) mkdirSync(join(root, name), { recursive: true, mode: 0o755 })
  const applets = execFileSync(join(root, 'bin/busybox'), ['--list'], { encoding: 'latin1' }).split('\n').filter(Boolean)
  for (const name of applets) if (!existsSync(join(root, 'bin', name))) symlinkSync('busybox', join(root, 'bin', name))
  symlinkSync('/bin/env', join(root, 'usr/bin/env'))
  for (const [name, text] of Object.entries({ 'etc/passwd': users, 'etc/group': groups, 'etc/hosts': '127.0.0.1 localhost\n', [nodeInside]: '' })) {
    writeFileSync(join(root, name), text)
    chmodSync(join(root, name), 0o644)
  }
  chmodSync(join(root, 'tmp'), 0o1777)
  chmodSync(root, 0o755)
}
