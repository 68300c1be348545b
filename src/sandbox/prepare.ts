import { type AgentCapability, fromUtf8, MeshError } from '../base/index.ts'
import { analyseCode, codeBytesMax, permissionsOf } from './code.ts'
import type { CodeUse } from './code-uses.ts'
import { stripTypes } from './strip-types.ts'
import type { Engine } from './types.ts'
import { wasmModuleBytesMax, wasmUses } from './wasm-guest.ts'

export interface PreparedCode {
  readonly engine: Engine
  /** What runs, and what is hashed. */
  readonly code: string
}

/** The most bytes a file of code has. */
export const codeFileBytesMax = wasmModuleBytesMax

/**
 * Code as an author wrote it, made ready for whoever runs it: TypeScript loses its types, with every other character where it was; a module becomes base64.
 * The end of the name says which, unless the engine is given. @throws ERR_SANDBOX_CODE, ERR_WIRE_TOO_LARGE. Source: sandbox/v1 section 6
 */
export function prepareCode(name: string, bytes: Uint8Array, engine: Engine = name.endsWith('.wasm') ? 'wasm' : 'javascript'): PreparedCode {
  const most = engine === 'wasm' ? wasmModuleBytesMax : codeBytesMax
  if (bytes.length > most) throw new MeshError('ERR_WIRE_TOO_LARGE', `code of ${bytes.length} bytes exceeds ${most}`)
  if (engine === 'wasm') return { engine, code: Buffer.from(bytes).toString('base64') }
  const text = readText(bytes)
  return { engine, code: engine === 'javascript' && /\.[cm]?ts$/.test(name) ? withoutTypes(text) : text }
}

/** What a text or module may call, for its author. @throws ERR_SANDBOX_CODE with line and column */
export function analyse({ engine, code }: PreparedCode): { readonly uses: readonly CodeUse[]; readonly permissions: readonly AgentCapability[] } {
  if (engine === 'command') return { uses: [], permissions: [] }
  if (engine === 'wasm') {
    const uses = importsOf(code)
    return { uses, permissions: permissionsOf(uses) }
  }
  const { problem, uses = [] } = { uses: undefined, ...analyseCode(code) }
  if (problem !== undefined) throw new MeshError('ERR_SANDBOX_CODE', `${problem.message} (line ${problem.line}, column ${problem.column})`)
  return { uses, permissions: permissionsOf(uses) }
}

// On one line with the code: lines stay what they are.
const head = 'async function task(input) {'
const tail = '\n}'

/** The body of a function may `return`; a whole file may not. */
function withoutTypes(text: string): string {
  try {
    return stripTypes(head + text + tail).slice(head.length, -tail.length)
  } catch (error) {
    const { message, stack = '' } = error as Error
    const line = /^[^\n]*:(\d+)\n/.exec(stack)?.[1]
    throw new MeshError('ERR_SANDBOX_CODE', `${message.slice(0, 200)}${line === undefined ? '' : ` (line ${line})`}`, { cause: error })
  }
}

function readText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_CODE', 'the code is not UTF-8', { cause })
  }
}

function importsOf(code: string): readonly CodeUse[] {
  try {
    return wasmUses(WebAssembly.Module.imports(new WebAssembly.Module(Buffer.from(code, 'base64'))))
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_CODE', cause instanceof Error ? cause.message.slice(0, 200) : 'no module', { cause })
  }
}
