import { dirname } from 'node:path'
import { MeshError } from '../../base/index.ts'
import { appFiles, workerEntry } from '../app-files.ts'
import { wasmFlags } from '../launch.ts'
import { reachableNode } from '../programs.ts'
import { findRootfs, nodeInside } from './rootfs.ts'

/** What every container is made of, and how each back end calls its limits. */
export interface ContainerParts {
  readonly rootfs: string
  /** Holds the worker and what it loads; mounted at /app. */
  readonly app: string
  /** The Node program outside, mounted at `nodeInside`. */
  readonly node: string
  /** What runs inside. */
  readonly command: readonly string[]
}

/** Of /work; what lies there counts as memory where the system has control groups. Source: sandbox/v1 section 3.1. */
export const workFolderBytes = 64 << 20
/** The same of /tmp. Source: sandbox/v1 section 3.1. */
export const temporaryFolderBytes = 64 << 20

export const containerUser = 65_534
export const containerEnvironment: Readonly<Record<string, string>> = { PATH: '/usr/bin:/bin', HOME: '/work', LANG: 'C.UTF-8' }

/** @throws ERR_SANDBOX_UNAVAILABLE when the root file system is not there */
export function containerParts(entry = workerEntry()): ContainerParts {
  const rootfs = findRootfs()
  if (rootfs === undefined) throw new MeshError('ERR_SANDBOX_UNAVAILABLE', 'the root file system of containers is missing', { hint: rootfsFix })
  const app = appFiles(entry)
  return {
    rootfs,
    app: dirname(app.entry.from),
    node: reachableNode(),
    command: [nodeInside, ...wasmFlags, `/app/${app.entry.to}`, `/app/${app.addon.to}`, '--commands'],
  }
}

export const rootfsFix = 'run `kindmesh sandbox setup`'
