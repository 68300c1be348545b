import { expect, test } from 'vitest'
import { createEventLog, eventBytesKeptMax, eventsKeptMax } from '../../src/api/event-log.ts'
import { createEventStreams, eventBytesWaitingMax } from '../../src/api/event-stream.ts'
import { createLeases, heartbeatMs } from '../../src/api/leases.ts'
import { cliPrincipal, type Principal } from '../../src/api/principals.ts'
import { apiRates, createRateLimits, rateCallersMax, requestsAtOnceMax, requestsAtOncePerCallerMax } from '../../src/api/rate-limits.ts'
import { createSeededRandom, createVirtualClock } from '../../src/base/index.ts'
import type { NodeEvent } from '../../src/node/index.ts'

const program = (id: string): Principal => ({ kind: 'token', surface: 'mcp', id, rights: ['/api/read'] })
const limited = (code: string): unknown => expect.objectContaining({ code })

test('a caller has its burst, then its rate, and says when to come back; another caller is not touched', async () => {
  const clock = createVirtualClock()
  const limits = createRateLimits({ clock })
  const { burst, perSecond } = apiRates.principal
  const take = (who: Principal, times: number): number => {
    let taken = 0
    for (; taken < times; taken++) {
      try {
        limits.enter(who)()
      } catch {
        break
      }
    }
    return taken
  }
  expect(take(program('a'), burst + 10)).toBe(burst)
  expect(() => limits.enter(program('a'))).toThrow(expect.objectContaining({ code: 'ERR_RATE_LIMITED', details: { retryAfterMs: 1_000 / perSecond } }))
  expect(take(program('b'), 5)).toBe(5)
  await clock.advance(1_000)
  expect(take(program('a'), burst)).toBe(perSecond)
  const nobody: Principal = { kind: 'anonymous', rights: [] }
  expect(take(nobody, 1_000)).toBe(apiRates.anonymous.burst)
})

test('requests under way are counted for each caller and for all, and leave once', () => {
  const limits = createRateLimits({ clock: createVirtualClock() })
  const leave = Array.from({ length: requestsAtOncePerCallerMax }, () => limits.enter(program('a')))
  expect(() => limits.enter(program('a'))).toThrow(limited('ERR_OVERLOADED'))
  leave[0]?.()
  leave[0]?.()
  limits.enter(program('a'))
  expect(() => limits.enter(program('a'))).toThrow(limited('ERR_OVERLOADED'))
  for (let index = 0; index < requestsAtOnceMax - requestsAtOncePerCallerMax; index++) limits.enter(program(`other ${index}`))
  expect(() => limits.enter(cliPrincipal)).toThrow(limited('ERR_OVERLOADED'))
})

test('only so many callers are kept, and one that was quiet makes room', async () => {
  const clock = createVirtualClock()
  const limits = createRateLimits({ clock })
  for (let index = 0; index < rateCallersMax; index++) limits.enter(program(String(index)))()
  expect(() => limits.enter(program('one more'))).toThrow(limited('ERR_OVERLOADED'))
  await clock.advance(1_000)
  limits.enter(program('one more'))()
})

const delivered = (id: string): NodeEvent => ({ event: 'delivered', id, to: 'did:key:z' as never })

test('a cursor leads to what came after it, to nothing when all was seen, and to a gap when it is gone or of another life', () => {
  const log = createEventLog({ random: createSeededRandom(1) })
  const start = log.newest()
  const first = log.add(delivered('a'))
  log.add(delivered('b'))
  expect(log.since(start)?.map(({ json }) => json)).toEqual([delivered('a'), delivered('b')].map((event) => JSON.stringify(event)))
  expect(log.since(first.cursor)).toHaveLength(1)
  expect(log.since(log.newest())).toEqual([])
  const other = createEventLog({ random: createSeededRandom(2) })
  other.add(delivered('x'))
  for (const wrong of ['', 'nonsense', `${first.cursor}9`, other.newest(), first.cursor.replace(/\d+$/, '99999')]) expect(log.since(wrong)).toBeUndefined()
  for (let index = 0; index < eventsKeptMax - 1; index++) log.add(delivered(String(index)))
  expect(log.since(first.cursor)).toHaveLength(eventsKeptMax)
  log.add(delivered('last'))
  expect(log.since(first.cursor)).toBeUndefined()
})

test('events are kept up to so many bytes', () => {
  const log = createEventLog({ random: createSeededRandom(1) })
  const start = log.newest()
  for (let index = 0; index < 20; index++) log.add(delivered('x'.repeat(eventBytesKeptMax / 10)))
  expect(log.since(start)).toBeUndefined()
  expect(log.since(log.newest().replace(/\d+$/, '12'))).toHaveLength(8)
})

function streamsOf() {
  const clock = createVirtualClock()
  let tell: (event: NodeEvent) => void = () => undefined
  const node = {
    onEvent(listener: typeof tell) {
      tell = listener
      return () => undefined
    },
  }
  const streams = createEventStreams({ node, leases: createLeases({ clock }), random: createSeededRandom(1) })
  return { clock, streams, tell: (event: NodeEvent) => tell(event) }
}
const textOf = (stream: { read(): unknown }): string => {
  const read = stream.read()
  return read instanceof Uint8Array ? Buffer.from(read).toString() : ''
}

test('a reader hears what its rights allow, goes on at its cursor, and is let go when it does not read or its credential ends', async () => {
  const { clock, streams, tell } = streamsOf()
  const principal = program('a')
  let isGood = true
  const stream = streams.open({ principal, isStillGood: () => isGood })
  tell(delivered('a'))
  tell({ event: 'security', agentId: 'x', kind: 'y', detail: 'z' })
  const text = textOf(stream)
  expect(text).toContain('event: delivered\n')
  expect(text).not.toContain('security')
  const [, cursor] = [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id)
  tell(delivered('b'))
  const again = streams.open({ principal, cursor, isStillGood: () => true })
  expect(textOf(again)).toMatch(/"id":"b"/)
  expect(textOf(streams.open({ principal, cursor: 'ffffffffffff-3', isStillGood: () => true }))).toContain('event: gap')

  await clock.advance(heartbeatMs)
  expect(textOf(again)).toContain(': \n\n')
  isGood = false
  stream.read()
  await clock.advance(heartbeatMs)
  stream.read()
  expect(stream.readableEnded || stream.readableLength === 0).toBe(true)
  tell(delivered('c'))
  expect(textOf(stream)).not.toContain('"c"')

  for (let index = 0; index < 40; index++) tell(delivered('x'.repeat(eventBytesWaitingMax / 20)))
  expect(again.destroyed).toBe(true)
  streams.stop()
})
