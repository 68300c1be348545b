import { MeshError } from '../base/index.ts'

/** The lines of an answer as they come; empty ones only with `blank`. @throws ERR_NODE_DOWN */
export async function* linesOf(
  response: Response,
  signal: AbortSignal | undefined,
  { blank = false }: { readonly blank?: boolean } = {},
): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  try {
    const chunks: AsyncIterable<Uint8Array> | readonly Uint8Array[] = response.body ?? []
    for await (const chunk of chunks) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) if (blank || line !== '') yield line
    }
  } catch (cause) {
    signal?.throwIfAborted()
    throw new MeshError('ERR_NODE_DOWN', 'the node went away', { cause })
  }
  if (rest !== '') yield rest
}
