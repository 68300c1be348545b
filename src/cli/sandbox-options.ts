import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { MeshError, realRandom, utf8 } from '../base/index.ts'
import type { SandboxConfigurationGiven } from '../boxes/index.ts'
import type { PreparedCode } from '../sandbox/index.ts'
import type { Context } from './context.ts'
import { parseCount, parseLimits } from './parse.ts'

/** What `sandbox run` takes. */
export interface SandboxRunGiven {
  readonly level?: string
  readonly strict?: boolean
  readonly backend?: string
  readonly engine?: string | undefined
  readonly cap?: readonly string[]
  readonly limit?: string
  readonly allowDomain?: readonly string[]
  readonly blockDomain?: readonly string[]
  readonly allowPort?: readonly string[]
  readonly allowPrivate?: readonly string[]
  readonly plainHttp?: boolean
  readonly fileRoot?: readonly string[]
  readonly scratch?: boolean
  readonly secretFile?: readonly string[]
  readonly program?: readonly string[]
  readonly memoryDir?: string
  readonly agent?: string
  readonly bundle?: string
  readonly batch?: string
  readonly jobs?: string
}

/** The configuration that options describe; the sandbox checks it whole. @throws ERR_USAGE */
export function configurationOf(given: SandboxRunGiven): SandboxConfigurationGiven {
  const limits = given.limit === undefined ? {} : parseLimits(given.limit)
  const { memoryMiB, wallMs, cpuMs, cpuPercent, outputBytes, hostCalls, netKiBps, fsOps, processes } = limits
  const allowedDomains = [...(given.allowDomain ?? [])]
  const allowedPrivate = [...(given.allowPrivate ?? [])]
  return {
    agentId: given.agent ?? 'local',
    isolationLevel: (given.level ?? 'sandboxed') as SandboxConfigurationGiven['isolationLevel'],
    resourceLimits: { maxMemoryMB: memoryMiB, maxCpuPercent: cpuPercent, maxExecutionTimeMs: wallMs, maxNetworkBandwidth: netKiBps, maxFileSystemOps: fsOps },
    permissions: (given.cap ?? []).flatMap((names) => names.split(',')) as NonNullable<SandboxConfigurationGiven['permissions']>,
    networkPolicy: {
      allowOutbound: allowedDomains.length + allowedPrivate.length > 0,
      allowedDomains,
      blockedDomains: [...(given.blockDomain ?? [])],
      allowedPorts: given.allowPort?.map((port) => parseCount(port, 'a port', 65_535)),
      requireTLS: given.plainHttp !== true,
      allowedPrivate,
    },
    fileSystemPolicy: { roots: (given.fileRoot ?? []).map(parseRoot), scratch: given.scratch === true },
    strict: given.strict === true,
    secrets: Object.keys(secretFilesOf(given)),
    programs: [...(given.program ?? [])],
    maxOutputBytes: outputBytes,
    maxHostCalls: hostCalls,
    maxCpuTimeMs: cpuMs,
    maxProcesses: processes,
  }
}

/** `name=path`, by name. @throws ERR_USAGE */
export const secretFilesOf = ({ secretFile = [] }: SandboxRunGiven): Readonly<Record<string, string>> =>
  Object.fromEntries(secretFile.map((text) => parsePair(text, '--secret-file')))

/** Code of a file, of stdin (`-`), or a program and its arguments. @throws ERR_USAGE, ERR_SANDBOX_CODE, ERR_BUNDLE_INVALID, ERR_BUNDLE_UNPINNED */
export async function readTask(context: Context, file: string | undefined, argv: readonly string[], given: SandboxRunGiven): Promise<PreparedCode> {
  const { codeFileBytesMax, engines, prepareCode } = await import('../sandbox/index.ts')
  const isCommand = process.argv.includes('--') || given.engine === 'command'
  const engine = engines.find((name) => name === (isCommand ? 'command' : given.engine))
  if (given.engine !== undefined && engine === undefined) throw new MeshError('ERR_USAGE', `'${given.engine}' is no engine`, { hint: engines.join(', ') })
  if (file === undefined) throw new MeshError('ERR_USAGE', 'a file of code is missing', { hint: 'name one, - for stdin, or a program after --' })
  if (engine === 'command') return { engine, code: JSON.stringify([file, ...argv]) }
  if (argv.length > 0) throw new MeshError('ERR_USAGE', 'one file at a time', { hint: '--batch <folder> runs many; a program comes after --' })
  const code = prepareCode(file, file === '-' ? await readStdin(codeFileBytesMax) : await readBytes(file, codeFileBytesMax), engine)
  if (given.bundle !== undefined) await checkAgainstBundle(context, given, code)
  return code
}

async function checkAgainstBundle(context: Context, given: SandboxRunGiven, code: PreparedCode): Promise<void> {
  const { bundleBytesMax, checkBundle, contentHash, openBundle } = await import('../bundles/index.ts')
  const { profileBundlePins } = await import('../boxes/index.ts')
  const bundle = openBundle(await readBytes(given.bundle ?? '', bundleBytesMax))
  checkBundle(bundle, { engine: code.engine, codeHash: await contentHash(utf8(code.code)), capabilities: configurationOf(given).permissions ?? [] })
  await profileBundlePins(context.home, realRandom).check(bundle)
}

/** A file's bytes, its size checked first. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE */
export async function readBytes(path: string, most: number): Promise<Uint8Array> {
  try {
    if ((await stat(path)).size > most) throw new MeshError('ERR_WIRE_TOO_LARGE', `${path} is over ${most} bytes`)
    return await readFile(path)
  } catch (cause) {
    throw cause instanceof MeshError ? cause : new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  }
}

async function readStdin(most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Uint8Array>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > most) throw new MeshError('ERR_WIRE_TOO_LARGE', `the code is over ${most} bytes`)
  }
  return Buffer.concat(chunks)
}

function parsePair(text: string, what: string): readonly [string, string] {
  const [, name, value] = /^([^=]+)=(.+)$/s.exec(text) ?? []
  if (name === undefined || value === undefined) throw new MeshError('ERR_USAGE', `'${text}' is no name=path`, { hint: `${what} name=path` })
  return [name, value]
}

/** `name=path:rw`; read only unless it says so. */
function parseRoot(text: string): { readonly name: string; readonly path: string; readonly mode: 'read' | 'write' } {
  const [name, place] = parsePair(text, '--file-root')
  const [, path = place, mode] = /^(.*):(ro|rw)$/s.exec(place) ?? []
  return { name, path: resolve(path), mode: mode === 'rw' ? 'write' : 'read' }
}
