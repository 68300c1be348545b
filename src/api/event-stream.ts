import { Readable } from 'node:stream'
import { MeshError, type Random, secondMs } from '../base/index.ts'
import type { MeshNode, NodeEvent } from '../node/index.ts'
import type { ApiRight } from '../policy/index.ts'
import { createEventLog, type LoggedEvent } from './event-log.ts'
import type { Leases } from './leases.ts'
import { mayDo, type Principal } from './principals.ts'

/** Event streams open at a time. */
export const eventStreamsMax = 64
/** Bytes of events that wait for a slow reader before its stream is ended; it comes back with its cursor. */
export const eventBytesWaitingMax = 256 * 1_024

/** What it takes to hear of an event, where it is not `/api/read`. */
const rights: Partial<Record<NodeEvent['event'], ApiRight>> = { security: '/api/audit/read' }

export interface EventStreams {
  /** Events from now on, or since `cursor`. The stream ends when `isStillGood` says so. @throws ERR_OVERLOADED */
  open(reader: { readonly principal: Principal; readonly cursor?: string | undefined; isStillGood(): boolean }): Readable
  stop(): void
}

/** The events of a node as server-sent events. Source: api/v1 section 6. */
export function createEventStreams({
  node,
  leases,
  random,
}: {
  readonly node: Pick<MeshNode, 'onEvent'>
  readonly leases: Pick<Leases, 'hold'>
  readonly random: Pick<Random, 'bytes'>
}): EventStreams {
  const log = createEventLog({ random })
  const readers = new Set<(logged: LoggedEvent) => void>()
  const remove = node.onEvent((event) => {
    const logged = log.add(event)
    for (const tell of readers) tell(logged)
  })

  return {
    open({ principal, cursor, isStillGood }) {
      if (readers.size >= eventStreamsMax) throw new MeshError('ERR_OVERLOADED', `${eventStreamsMax} event streams are open`)
      const stream = new Readable({ read: () => undefined, highWaterMark: eventBytesWaitingMax })
      const push = (text: string): void => {
        // A reader that does not keep up is let go rather than kept in memory.
        if (stream.readableLength + text.length > eventBytesWaitingMax) stream.destroy()
        else stream.push(text)
      }
      const mayHear = ({ event }: LoggedEvent): boolean => mayDo(principal, rights[event.event] ?? '/api/read')
      const end = (): void => {
        readers.delete(tell)
        stream.push(null)
      }
      const tell = (logged: LoggedEvent): void => {
        if (!isStillGood()) end()
        else if (mayHear(logged)) push(textOf(logged))
      }
      push(`retry: ${secondMs}\nid: ${log.newest()}\n\n`)
      const missed = cursor === undefined ? [] : log.since(cursor)
      if (missed === undefined) push(`id: ${log.newest()}\nevent: gap\ndata: {"event":"gap"}\n\n`)
      else for (const logged of missed.filter(mayHear)) push(textOf(logged))
      readers.add(tell)
      const giveBack = leases.hold({ isStillGood, end, beat: () => push(': \n\n') })
      stream.once('close', () => {
        readers.delete(tell)
        giveBack()
      })
      return stream
    },
    stop: remove,
  }
}

const textOf = ({ cursor, event, json }: LoggedEvent): string => `id: ${cursor}\nevent: ${event.event}\ndata: ${json}\n\n`
