/** One event of a stream of server-sent events. */
export interface SentEvent {
  readonly id?: string
  readonly event: string
  readonly data: string
}

/** Reads `text/event-stream` (HTML Standard 9.2), as far as our node writes it: lines end in \n. */
export async function* sentEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<SentEvent> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ''
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const blocks = (rest + decoder.decode(part.value, { stream: true })).split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const event = parseBlock(block)
        if (event !== undefined) yield event
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}

/** Undefined for a comment, which only keeps the stream open. */
export function parseBlock(block: string): SentEvent | undefined {
  const fields = new Map<string, string>()
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).replace(/^ /, '')
    fields.set(name, name === 'data' && fields.has(name) ? `${fields.get(name) ?? ''}\n${value}` : value)
  }
  const [id, data] = [fields.get('id'), fields.get('data')]
  if (data === undefined) return undefined
  return { ...(id === undefined ? {} : { id }), event: fields.get('event') ?? 'message', data }
}
