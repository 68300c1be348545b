import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { MeshError } from '../base/index.ts'
import { cliSurface, type Principal, requireRight } from './principals.ts'

/** Paths of the node's machine that a request names: who may, and which never. Source: api/v1 section 2. */
export interface LocalPaths {
  /** The path to use in the place of the one named: links in it are followed already. @throws ERR_POLICY_DENIED without `/api/file`, and for what lies in the folder of the profile */
  checked(principal: Principal, path: string): Promise<string>
  /** The same for a folder that is handed on with all below it: the profile must not lie in it either. */
  checkedTree(principal: Principal, path: string): Promise<string>
}

/** The keys, the vault and the token of the command line lie in `home`: only who holds that token, and so reads the folder anyway, names paths in it. */
export function createLocalPaths(home: string): LocalPaths {
  async function checked(principal: Principal, path: string): Promise<string> {
    requireRight(principal, '/api/file')
    if (isCommandLine(principal)) return path
    const real = await realOf(path)
    if (await isIn(real, home)) throw refused()
    return real
  }
  return {
    checked,
    async checkedTree(principal, path) {
      const real = await checked(principal, path)
      if (!isCommandLine(principal) && (await isIn(await realOf(home), real))) throw refused()
      return real
    },
  }
}

const isCommandLine = (principal: Principal): boolean => principal.kind === 'token' && principal.surface === cliSurface

const refused = (): MeshError =>
  new MeshError('ERR_POLICY_DENIED', 'the folder of the profile is not for files of tasks, peers and agents', { hint: 'name a path somewhere else' })

/** Without links and dots; of what is not there yet, the folders that are. */
async function realOf(path: string): Promise<string> {
  const found = await realpath(path).catch(() => undefined)
  if (found !== undefined) return found
  const whole = resolve(path)
  const parent = dirname(whole)
  return parent === whole ? whole : join(await realOf(parent), basename(whole))
}

/** By what the disk says the folders are: a name may be written in several ways, and a folder mounted twice. */
async function isIn(path: string, folder: string): Promise<boolean> {
  const own = await stat(folder, { bigint: true }).catch(() => undefined)
  if (own === undefined) return false
  for (let at = path; ; at = dirname(at)) {
    const found = await stat(at, { bigint: true }).catch(() => undefined)
    if (found !== undefined && found.dev === own.dev && found.ino === own.ino) return true
    if (dirname(at) === at) return false
  }
}
