import { expect, test } from 'vitest'
import { MeshError } from '../../src/base/index.ts'
import { createCapabilities } from '../../src/node/capabilities.ts'
import { negotiate, type Negotiation } from '../../src/node/negotiate.ts'
import type { Policy } from '../../src/policy/index.ts'
import type { Role, Want } from '../../src/protocols/klp/index.ts'

const limits = {
  memoryMiB: 64,
  wallMs: 10_000,
  cpuMs: 5_000,
  outputBytes: 1_000,
  hostCalls: 10,
  cpuPercent: 100,
  netKiBps: 10,
  fsOps: 10,
  processes: 10,
} as Policy['taskLimitsMax']
const policy: Policy = { taskLevelMin: 2, isolationFloor: {}, taskLimitsMax: limits, messageLevelMin: 0 }
const want = (name: string, need: Want['need'] = 'preferred'): Want => ({ name, need })

const answersTo = (wants: readonly Want[], more: Partial<Negotiation> = {}) =>
  negotiate({ wants, offers: ['message', 'ask', 'task', 'agent:echo'], policy, taskLevel: 2, messageLevel: 0, limitsUsual: limits, ...more })

test.each<readonly [what: string, wants: Want, more: Partial<Negotiation>, expected: Readonly<Record<string, unknown>>]>([
  ['what is offered', want('message', 'required'), {}, { answer: 'granted', reason: '', alternative: '', limits: [] }],
  ['an agent that lives here', want('agent:echo'), {}, { answer: 'granted' }],
  ['tasks of a peer trusted enough', want('task'), {}, { answer: 'granted' }],
  ['what nobody offers', want('teleport', 'required'), {}, { answer: 'denied', reason: 'not offered here', alternative: 'ask' }],
  ['another agent', want('agent:librarian'), {}, { answer: 'denied', alternative: 'agent:echo' }],
  ['anything of a node that offers nothing', want('ask'), { offers: [] }, { answer: 'denied', alternative: '' }],
  ['what is named like a property of objects', want('constructor'), {}, { answer: 'denied' }],
  [
    'tasks of a peer trusted too little',
    want('task'),
    { taskLevel: 1 },
    { answer: 'partial', reason: 'run from verified on; you are basic here', alternative: 'ask' },
  ],
  [
    'tasks under smaller limits',
    want('task', 'optional'),
    { policy: { ...policy, taskLimitsMax: { ...limits, wallMs: 500, memoryMiB: 32 } } },
    {
      answer: 'partial',
      limits: [
        { name: 'memoryMiB', most: 32 },
        { name: 'wallMs', most: 500 },
      ],
    },
  ],
  ['tasks under larger limits', want('task'), { policy: { ...policy, taskLimitsMax: { ...limits, wallMs: 60_000 } } }, { answer: 'granted' }],
  [
    'messages of the distrusted',
    want('message', 'required'),
    { messageLevel: -1 },
    { answer: 'partial', reason: 'taken from unknown on; you are distrust here' },
  ],
  ['an agent, by the distrusted', want('agent:echo'), { messageLevel: -1 }, { answer: 'partial' }],
])('%s', (_what, wanted, more, expected) => {
  const answers = answersTo([wanted], more)
  expect(answers).toHaveLength(1)
  expect(answers[0]).toMatchObject({ name: wanted.name, ...expected })
})

test('each want is answered once, in order, however often it is named', () => {
  expect(answersTo([want('task'), want('message'), want('task', 'required')]).map(({ name }) => name)).toEqual(['task', 'message'])
})

test('a manifest names what the node offers first, then agents, and never more than 64', () => {
  const capabilities = createCapabilities({ offers: ['message', 'ask'], agents: () => Array.from({ length: 100 }, (_, index) => `a${index}`) })
  expect(capabilities.list()).toHaveLength(64)
  expect(capabilities.list().slice(0, 3)).toEqual(['message', 'ask', 'agent:a0'])
  expect(capabilities.manifest()).toMatchObject({ roles: ['peer'], presence: 'online' })
})

test('offering, taking back and presence are told once each; what is no name or role is refused', () => {
  const capabilities = createCapabilities({ offers: ['message'], roles: ['gateway', 'gateway', 'archive'], agents: () => [] })
  let changes = 0
  const remove = capabilities.onChange(() => changes++)
  const takeBack = capabilities.offer('mailbox')
  expect([changes, capabilities.list()]).toEqual([1, ['message', 'mailbox']])
  takeBack()
  takeBack()
  expect([changes, capabilities.list()]).toEqual([2, ['message']])
  capabilities.setPresence('busy')
  capabilities.setPresence('busy')
  expect([changes, capabilities.manifest().presence, capabilities.manifest().roles]).toEqual([3, 'busy', ['gateway', 'archive']])
  remove()
  capabilities.changed()
  expect(changes).toBe(3)
  for (const bad of ['', 'Task', 'a b', '\u001b[31mred', 'x'.repeat(65)]) expect(() => capabilities.offer(bad)).toThrow(MeshError)
  expect(() => createCapabilities({ offers: [], roles: ['king' as Role], agents: () => [] })).toThrow(MeshError)
})
