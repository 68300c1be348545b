import { describe, expect, test } from 'vitest'
import { type Agent, createAgents, type Message, openInbox } from '../../src/agents/index.ts'
import { inboxMessagesMax } from '../../src/agents/inbox.ts'
import { agentsMax, builtInAgents } from '../../src/agents/registry.ts'
import { createMemoryStore, put } from '../../src/store/index.ts'
import { keyringOf } from '../helpers/raw-peer.ts'

const agent = (name: string): Agent => ({ name, receive: async () => name })
const code = (expected: string): Error => expect.objectContaining({ code: expected }) as Error
const message = (body: string): Message => ({ id: 'ab', from: keyringOf(1).did, type: 'text', agent: '', encoding: 'text', body, priority: 5, receivedAt: 7 })

describe('the registry', () => {
  test('finds who was registered, lists them in order, and nobody else', async () => {
    const agents = createAgents()
    for (const name of ['librarian', 'a', '0_x-1', 'z'.repeat(64)]) agents.register(agent(name))
    expect(agents.list()).toEqual(['0_x-1', 'a', 'librarian', 'z'.repeat(64)])
    expect(agents.get('librarian').name).toBe('librarian')
    for (const name of ['', 'A', 'librarian ', 'toString', '__proto__']) expect(() => agents.get(name)).toThrow(code('ERR_AGENT_UNKNOWN'))
  })

  test.each(['', 'Big', '-a', '_a', 'a b', 'a/b', 'ä', '../x', 'z'.repeat(65), 'a\n'])('takes no agent named %j', (name) => {
    expect(() => createAgents().register(agent(name))).toThrow(code('ERR_USAGE'))
  })

  test('a name is taken once, and there is an end to them', () => {
    const agents = createAgents()
    for (let index = 0; index < agentsMax; index++) agents.register(agent(`a${index}`))
    expect(() => agents.register(agent('a0'))).toThrow(code('ERR_USAGE'))
    expect(() => agents.register(agent('more'))).toThrow(code('ERR_OVERLOADED'))
    expect(agents.list()).toHaveLength(agentsMax)
  })

  test('echo gives back what it was asked', async () => {
    const echo = builtInAgents['echo']
    expect(await echo?.receive({ ...message('{}'), data: { a: [1] } }, { signal: new AbortController().signal })).toEqual({ a: [1] })
  })
})

describe('the inbox', () => {
  test('lists the last messages, oldest first, after a restart too', async () => {
    const store = createMemoryStore()
    const inbox = await openInbox(store.sub('inbox'))
    for (let index = 0; index < 12; index++) await store.durable(inbox.keep(message(String(index))).ops)
    const bodies = async (from: typeof inbox, limit: number): Promise<readonly string[]> => (await from.list({ limit })).map(({ body }) => body)
    expect(await bodies(inbox, 3)).toEqual(['9', '10', '11'])
    expect(await bodies(inbox, 0)).toEqual([])
    const again = await openInbox(store.sub('inbox'))
    await store.durable(again.keep(message('12')).ops)
    expect(await bodies(again, 100)).toEqual(Array.from({ length: 13 }, (_, index) => String(index)))
    expect((await again.list({ limit: 1 }))[0]).toEqual(message('12'))
  })

  test('a message whose write failed is not there, and the next takes nobody else’s place', async () => {
    const store = createMemoryStore()
    const inbox = await openInbox(store.sub('inbox'))
    await store.durable(inbox.keep(message('kept')).ops)
    inbox.keep(message('lost')).release()
    await store.durable(inbox.keep(message('next')).ops)
    expect((await inbox.list({ limit: 9 })).map(({ body }) => body)).toEqual(['kept', 'next'])
  })

  test('refuses what is over its limit, with a time to come back, and drops nothing; what failed to be written does not count', async () => {
    const store = createMemoryStore()
    const filled = inboxMessagesMax - 10
    await store.batch(Array.from({ length: filled }, (_, index) => put(String(index).padStart(16, '0'), new Uint8Array())))
    const inbox = await openInbox(store)
    for (let index = 0; index < 100; index++) inbox.keep(message('')).release()
    for (let index = 0; index < 10; index++) inbox.keep(message(''))
    expect(() => inbox.keep(message(''))).toThrow(expect.objectContaining({ code: 'ERR_OVERLOADED', details: { retryAfterMs: 60_000 } }) as Error)
  })
})
