import { MeshError } from '../../base/index.ts'
import type { PreparedCode } from '../../sandbox/index.ts'
import { readBytes } from '../sandbox-options.ts'

export const engineNames = ['javascript', 'wasm', 'command'] as const

/** What a request carries; a module travels in base64. */
const codeBytesMax = 256 * 1024

/** A task's code from a file: TypeScript loses its types, a `.wasm` module becomes text. @throws ERR_USAGE, ERR_WIRE_TOO_LARGE, ERR_SANDBOX_CODE */
export async function readCode(file: string, engine?: string): Promise<PreparedCode> {
  const { prepareCode } = await import('../../sandbox/index.ts')
  const prepared = prepareCode(
    file,
    await readBytes(file, codeBytesMax),
    engineNames.find((name) => name === engine),
  )
  if (prepared.code.length > codeBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${file} is over ${codeBytesMax} bytes as it travels`)
  return prepared
}
