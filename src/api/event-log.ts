import { hex, type Random, utf8 } from '../base/index.ts'
import type { NodeEvent } from '../node/index.ts'

/** Events kept for readers that come back. Source: api/v1 section 6. */
export const eventsKeptMax = 2_048
/** Bytes of events kept. */
export const eventBytesKeptMax = 1 << 20

export interface LoggedEvent {
  /** `<life of the node>-<number>` */
  readonly cursor: string
  readonly event: NodeEvent
  readonly json: string
}

/** What happened last, in order, so that a reader can go on where it was. */
export interface EventLog {
  add(event: NodeEvent): LoggedEvent
  /** Where a reader stands who has seen all. */
  newest(): string
  /** What came after a cursor; undefined when some of it is gone, or the cursor is of another life. */
  since(cursor: string): readonly LoggedEvent[] | undefined
}

export function createEventLog({ random }: { readonly random: Pick<Random, 'bytes'> }): EventLog {
  const life = hex(random.bytes(6))
  const kept: LoggedEvent[] = []
  let bytes = 0
  let count = 0
  const numberOf = (cursor: string): number | undefined => {
    const [of, number] = /^([0-9a-f]{12})-(\d{1,15})$/.exec(cursor)?.slice(1) ?? []
    return of === life ? Number(number) : undefined
  }
  return {
    add(event) {
      const json = JSON.stringify(event)
      const logged = { cursor: `${life}-${++count}`, event, json }
      kept.push(logged)
      bytes += utf8(json).length
      while (kept.length > eventsKeptMax || bytes > eventBytesKeptMax) bytes -= utf8(kept.shift()?.json ?? '').length
      return logged
    },
    newest: () => `${life}-${count}`,
    since(cursor) {
      const number = numberOf(cursor)
      const missed = number === undefined ? -1 : count - number
      if (missed < 0 || missed > kept.length) return undefined
      return kept.slice(kept.length - missed)
    },
  }
}
