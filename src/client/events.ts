import { realClock, type SignalOption, toMeshError } from '../base/index.ts'
import { linesOf } from './lines.ts'

/** How long a stream that broke is tried to be opened again. */
const resumeMsMax = 30_000
const pauseMsMin = 100
const pauseMsMax = 3_000

/** An event of the node and where the reader stands after it. */
export type LiveEvent = Readonly<Record<string, unknown>> & { readonly event: string; readonly cursor: string }

/** Reads server-sent events of the node, and goes on at the cursor when the stream breaks. @throws ERR_NODE_DOWN when it stays away */
export async function* resumed(
  open: (cursor: string | undefined) => Promise<Response>,
  { signal, cursor: from }: SignalOption & { readonly cursor?: string | undefined },
): AsyncGenerator<LiveEvent> {
  let cursor = from
  let response = await open(cursor)
  for (;;) {
    try {
      for await (const item of itemsOf(response, signal)) {
        cursor = item.cursor
        if (item.event !== undefined) yield { ...item.event, cursor }
      }
    } catch (error) {
      if (toMeshError(error).code !== 'ERR_NODE_DOWN') throw error
    }
    response = await again(() => open(cursor), signal)
  }
}

async function again(open: () => Promise<Response>, signal: AbortSignal | undefined): Promise<Response> {
  const until = realClock.monotonic() + resumeMsMax
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    await realClock.sleep(pauseMs, { signal })
    try {
      return await open()
    } catch (error) {
      const { code } = toMeshError(error)
      const isPassing = code === 'ERR_NODE_DOWN' || code === 'ERR_OVERLOADED' || code === 'ERR_RATE_LIMITED'
      if (!isPassing || realClock.monotonic() > until) throw error
    }
  }
}

interface Item {
  readonly cursor: string
  /** None where only the cursor is told. */
  readonly event: (Readonly<Record<string, unknown>> & { readonly event: string }) | undefined
}

/** `text/event-stream` as the node writes it: fields in a line each, an empty line at the end. What breaks off before that was not said: its cursor does not count. */
async function* itemsOf(response: Response, signal: AbortSignal | undefined): AsyncGenerator<Item> {
  let cursor: string | undefined
  let event: Item['event']
  for await (const line of linesOf(response, signal, { blank: true })) {
    if (line.startsWith('id: ')) cursor = line.slice(4)
    else if (line.startsWith('data: ')) event = JSON.parse(line.slice(6)) as Exclude<Item['event'], undefined>
    else if (line === '') {
      if (cursor !== undefined) yield { cursor, event }
      cursor = undefined
      event = undefined
    }
  }
}
