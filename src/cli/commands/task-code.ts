import { readFile, stat } from 'node:fs/promises'
import { stripTypeScriptTypes } from 'node:module'
import { extname } from 'node:path'
import { MeshError } from '../../base/index.ts'

const codeBytesMax = 256 * 1024
/** A module travels in base64. */
const wasmBytesMax = (codeBytesMax / 4) * 3
export const engineNames = ['javascript', 'wasm', 'command'] as const

export interface TaskCodeGiven {
  readonly engine: (typeof engineNames)[number]
  readonly code: string
}

/** A task's code from a file: TypeScript loses its types, a `.wasm` module becomes text. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE, ERR_SANDBOX_CODE */
export async function readCode(file: string, engine?: string): Promise<TaskCodeGiven> {
  const extension = extname(file).toLowerCase()
  const isWasm = engine === 'wasm' || (engine === undefined && extension === '.wasm')
  const bytes = await readBytes(file, isWasm ? wasmBytesMax : codeBytesMax)
  if (isWasm) return { engine: 'wasm', code: bytes.toString('base64') }
  const text = bytes.toString('utf8')
  return { engine: 'javascript', code: extension === '.ts' || extension === '.mts' ? withoutTypes(text, file) : text }
}

async function readBytes(file: string, bytesMax: number): Promise<Buffer> {
  try {
    const { size } = await stat(file)
    if (size > bytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${file} is over ${bytesMax} bytes`)
    return await readFile(file)
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('ERR_USAGE', `${file} cannot be read`, { cause })
  }
}

/** Types are blanked out where they stand, so that lines and columns stay. The code is a function's body: alone it could not return. */
function withoutTypes(text: string, file: string): string {
  const [head, tail] = ['async function task(input: any) {', '\n}']
  const { emitWarning } = process
  // Node calls the function experimental each time; there is nothing its user could do about that.
  process.emitWarning = () => undefined
  try {
    return stripTypeScriptTypes(head + text + tail).slice(head.length, -tail.length)
  } catch (cause) {
    throw new MeshError('ERR_SANDBOX_CODE', `${file}: ${cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : ''}`, { cause })
  } finally {
    process.emitWarning = emitWarning
  }
}
