import { describe, expect, test } from 'vitest'
import { searchAudit } from '../../src/api/audit-search.ts'
import type { AuditEntry } from '../../src/audit/index.ts'

const names = ['peer_connected', 'peer_refused', 'task_refused', 'node_started']
const entries = Array.from({ length: 5_000 }, (_, seq): AuditEntry => ({
  seq,
  time: seq,
  event: names[seq % names.length] ?? '',
  actor: seq === 17 ? 'did:key:zOnce' : 'did:key:zOwn',
  subject: seq % 2 === 0 ? undefined : 'did:key:zPeer',
  data: {},
  prevHash: new Uint8Array(32),
}))
const log = (all: readonly AuditEntry[]) => ({
  tail: async ({ limit, before = all.length }: { readonly limit: number; readonly before?: number | undefined }) =>
    all.slice(Math.max(0, before - limit), before),
})

describe('a search of the audit log', () => {
  test('pages back to the first entry, none left out and none twice', async () => {
    const seen: number[] = []
    let before: number | undefined
    do {
      const page = await searchAudit(log(entries), { limit: 700, before })
      seen.unshift(...page.entries.map(({ seq }) => seq))
      before = page.before
    } while (before !== undefined)
    expect(seen).toEqual(entries.map(({ seq }) => seq))
  })

  test('finds events by name, by several names and by how they begin', async () => {
    const found = async (event: string) => (await searchAudit(log(entries), { limit: 4, event })).entries.map((entry) => entry.event)
    expect(await found('task_refused')).toEqual(Array(4).fill('task_refused'))
    expect(new Set(await found('task_refused,node_started'))).toEqual(new Set(['task_refused', 'node_started']))
    expect(new Set(await found('peer_'))).toEqual(new Set(['peer_connected', 'peer_refused']))
    expect(await found('peer')).toEqual([])
  })

  test('finds the one entry of a party however far back, and says that nothing is left', async () => {
    expect(await searchAudit(log(entries), { limit: 10, party: 'zOnce' })).toEqual({ entries: [entries[17]], before: undefined })
  })

  test('of what is nowhere ends after a bounded look and says where to go on', async () => {
    const endless = {
      tail: async ({ limit, before = 1_000_000 }: { readonly limit: number; readonly before?: number | undefined }) =>
        entries.slice(0, limit).map((entry, index) => ({ ...entry, seq: before - limit + index })),
    }
    expect(await searchAudit(endless, { limit: 10, event: 'nothing' })).toEqual({ entries: [], before: 980_000 })
  })
})
