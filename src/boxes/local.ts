import { readFile, stat } from 'node:fs/promises'
import { type BridgeServices, createMemories } from '../bridge/index.ts'
import { createCodeCache } from '../bundles/index.ts'
import { type Clock, type Logger, MeshError, profilePaths, type Random, trimLineEnd } from '../base/index.ts'
import { openSandboxes, type Sandboxes } from '../sandbox/index.ts'
import { createMemoryStore, createLevelStore } from '../store/index.ts'
import { createSandboxResources } from './resources.ts'
import type { SandboxParts } from './sandbox.ts'

/** One secret of a file. */
export const secretFileBytesMax = 64 << 10

export interface LocalSandboxOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Runs at once. */
  readonly poolSize: number
  /** Only back ends of these names. */
  readonly backends?: readonly string[] | undefined
  /** Folder of what agents remember; forgotten at the end unless given. */
  readonly memoryFolder?: string | undefined
  /** Secrets by name: the file each is in. */
  readonly secretFiles?: Readonly<Record<string, string>> | undefined
  /** Folder of a profile, for code kept by hash. */
  readonly home?: string | undefined
}

export interface LocalSandboxes extends SandboxParts, AsyncDisposable {
  readonly sandboxes: Sandboxes
}

/** All that sandboxes need, without a node, a profile or the mesh: what reaches into the mesh is refused. */
export async function openLocalSandboxes(options: LocalSandboxOptions): Promise<LocalSandboxes> {
  const { clock, random, logger, poolSize, backends, memoryFolder, secretFiles = {}, home } = options
  const store = memoryFolder === undefined ? createMemoryStore() : await createLevelStore(memoryFolder)
  const sandboxes = openSandboxes({ clock, logger, poolSize, ...(backends === undefined ? {} : { backends }) })
  const services: BridgeServices = {
    memories: createMemories({ store, clock }),
    secrets: { get: async (name) => (Object.hasOwn(secretFiles, name) ? await readSecret(secretFiles[name] ?? '') : undefined) },
  }
  return {
    sandboxes,
    services,
    resources: createSandboxResources(),
    clock,
    random,
    logger,
    cache: home === undefined ? undefined : createCodeCache({ folder: profilePaths(home).code, clock, random }),
    async [Symbol.asyncDispose]() {
      await sandboxes.stop()
      await store.close()
    },
  }
}

async function readSecret(path: string): Promise<string> {
  try {
    if ((await stat(path)).size > secretFileBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${path} is over ${secretFileBytesMax} bytes`)
    return Buffer.from(trimLineEnd(await readFile(path))).toString()
  } catch (cause) {
    throw cause instanceof MeshError ? cause : new MeshError('ERR_USAGE', `the secret file ${path} cannot be read`, { cause })
  }
}
