import { expect, test } from 'vitest'
import { configKeys } from '../../src/config/keys.ts'
import { routesOf } from '../../src/api/routes.ts'
import type { MeshNode } from '../../src/node/index.ts'
import type { ApiRight } from '../../src/policy/index.ts'

/** A node of which every part can be asked for, and that does nothing. */
const idle: MeshNode = new Proxy(() => undefined, { get: () => idle, apply: () => idle }) as never
const programs = [
  { name: 'own', level: 'native', grants: { capabilities: [], vault: [] } },
  { name: 'keeper', level: 'sandboxed', grants: { capabilities: ['vault:access'], vault: ['key'] } },
  { name: 'bot', level: 'sandboxed', grants: { capabilities: ['memory:read'], vault: [] } },
]
const node = new Proxy(idle, { get: (_, name) => (name === 'agents' ? { programs: { list: () => programs } } : idle) })

/** Whoever holds only these changes nothing that outlives a session of theirs being stolen. */
const everyday: ReadonlySet<ApiRight | 'open'> = new Set([
  'open',
  '/api/read',
  '/api/mesh',
  '/api/message',
  '/api/message/read',
  '/api/file',
  '/api/task',
  '/api/task/read',
  '/api/audit',
  '/api/audit/read',
])

interface Cases {
  /** Bodies that need a person verified just now, and bodies that do not. */
  readonly fresh: readonly unknown[]
  readonly stale: readonly unknown[]
}
const byLevel: Cases = { fresh: [{ level: 'authority' }], stale: [{ level: 'trusted' }, {}] }
const inAnyCase: Cases = { fresh: [{ level: 'authority' }, { level: 'AUTHORITY' }], stale: [{ level: 'trusted' }, {}] }
const program = (given: object): unknown => ({ name: 'a', program: { level: 'sandboxed', grants: {}, ...given } })
const settings = Object.keys(configKeys).map((key) => ({ key }))

/** Each call that changes something of weight: always after a step-up, for some bodies, or not, and why. */
const table: Readonly<Record<string, 'always' | Cases | { readonly never: string }>> = {
  '/v1/agents': {
    fresh: [
      program({ level: 'native' }),
      program({ grants: { capabilities: ['memory:read', 'vault:access'] } }),
      program({ grants: { capabilities: ['system:api'] } }),
      program({ grants: { vault: ['key'] } }),
    ],
    stale: [{ name: 'echo' }, program({}), program({ grants: { capabilities: ['memory:read'], vault: [] } })],
  },
  '/v1/agents/update': { fresh: [{ name: 'own' }, { name: 'keeper' }], stale: [{ name: 'bot' }, { name: 'nobody' }] },
  '/v1/agents/start': { never: 'was added with one' },
  '/v1/agents/stop': { never: 'takes away' },
  '/v1/agents/rotate': { never: 'the key stays here' },
  '/v1/agents/remove': { never: 'takes away' },
  '/v1/config': {
    fresh: settings.filter(({ key }) => !key.startsWith('node.')),
    stale: settings.filter(({ key }) => key.startsWith('node.')),
  },
  '/v1/config/reload': { never: 'reads what lies on the disk' },
  '/v1/auth/step-up/begin': { never: 'is the step-up' },
  '/v1/auth/step-up/finish': { never: 'is the step-up' },
  '/v1/auth/step-up/authenticate': { never: 'is the step-up' },
  '/v1/auth/logout': { never: 'takes away' },
  '/v1/auth/totp/begin': 'always',
  '/v1/auth/totp/finish': { never: 'goes on with what was begun after one' },
  '/v1/auth/totp/remove': 'always',
  '/v1/auth/recovery-codes': 'always',
  '/v1/auth/credentials/remove': 'always',
  '/v1/auth/credentials/enable': 'always',
  '/v1/sessions/revoke': { never: 'takes away' },
  '/v1/users/role': 'always',
  '/v1/users/remove': 'always',
  '/v1/user-invites': 'always',
  '/v1/user-invites/revoke': { never: 'takes away' },
  '/v1/tokens': 'always',
  '/v1/tokens/revoke': { never: 'takes away' },
  '/v1/grants': { fresh: ['/vault/access', '/system/api', '/sandbox/native'].map((command) => ({ command })), stale: [{ command: '/task/run' }] },
  '/v1/grants/approve/begin': { never: 'the passkey signs it' },
  '/v1/grants/approve/finish': { never: 'the passkey signed it' },
  '/v1/grants/revoke': { never: 'takes away' },
  '/v1/grants/forget': { never: 'of what ended' },
  '/v1/grants/import': { never: 'given to this node by somebody else' },
  '/v1/identities': { never: 'a new key, which stays here' },
  '/v1/sign': { never: 'JSON for a named audience: no grant and no statement is one' },
  '/v1/identity/rotate': 'always',
  '/v1/identity/recovery': 'always',
  '/v1/identity/recover': 'always',
  '/v1/attestations': byLevel,
  '/v1/revocations': { never: 'takes away' },
  '/v1/invites': byLevel,
  '/v1/invites/revoke': { never: 'takes away' },
  '/v1/join': { fresh: [{ confirmed: true }], stale: [{ confirmed: false }] },
  '/v1/compare': { never: 'nothing is signed' },
  '/v1/compare/accept': byLevel,
  '/v1/pending/approve': byLevel,
  '/v1/pending/reject': { never: 'takes away' },
  '/v1/names': { never: 'what this node calls somebody' },
  '/v1/names/remove': { never: 'takes away' },
  '/v1/pins/approve': { never: 'whose code may ask to run; the trust in them decides' },
  '/v1/pins/remove': { never: 'takes away' },
  '/v1/domains': inAnyCase,
  '/v1/domains/check': { never: 'nothing is kept' },
  '/v1/domains/recheck': { never: 'asks again about what is pinned' },
  '/v1/domains/remove': { never: 'takes away' },
  '/v1/authorities': inAnyCase,
  '/v1/authorities/inspect': { never: 'nothing is kept' },
  '/v1/authorities/sign': 'always',
  '/v1/authorities/remove': { never: 'takes away' },
  '/v1/introductions': inAnyCase,
  '/v1/vault/secrets': { never: 'kept, not shown' },
  '/v1/vault/secrets/read': 'always',
  '/v1/vault/secrets/remove': { never: 'takes away' },
  '/v1/vault/passphrase': 'always',
  '/v1/vault/slots': 'always',
  '/v1/vault/slots/remove': 'always',
  '/v1/vault/export': 'always',
  '/v1/vault/import': 'always',
  '/v1/vault/seal': { never: 'takes away' },
  '/v1/vault/unseal': { never: 'shows what opens it' },
}

const weighty = routesOf(node, { version: '', startedAt: 0, home: '', origin: () => '' }).filter(
  ({ method, right }) => method === 'POST' && !everyday.has(right),
)

test('every call that changes something of weight says whether it needs a person verified just now', () => {
  expect(weighty.map(({ url }) => url).toSorted()).toEqual(Object.keys(table).toSorted())
})

test.each(weighty.map(({ url, stepUp }) => ({ url, stepUp })))('$url asks for a step-up exactly where the table says so', ({ url, stepUp }) => {
  const row = table[url]
  if (row === 'always') return expect(stepUp).toBe(true)
  if (row === undefined || 'never' in row) return expect([row !== undefined, stepUp]).toEqual([true, undefined])
  const asks = (body: unknown): unknown => (typeof stepUp === 'function' ? stepUp({ body }) : stepUp)
  expect(row.fresh.filter((body) => asks(body) !== true)).toEqual([])
  expect(row.stale.filter((body) => asks(body) !== false)).toEqual([])
})
