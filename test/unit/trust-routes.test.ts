import { expect, test } from 'vitest'
import { cliPrincipal } from '../../src/api/principals.ts'
import { trustRoutes } from '../../src/api/trust-routes.ts'
import type { Did } from '../../src/base/index.ts'
import type { MeshNode } from '../../src/node/index.ts'
import type { Attestation } from '../../src/trust/index.ts'
import { did, now, root, says } from '../helpers/trust-graphs.ts'

const hexId = (start: string): string => start.padEnd(64, '0')

/** The trust routes of a node that knows these statements, of which its own all count. */
async function ask(url: string, input: { readonly query?: unknown; readonly body?: unknown }, all: readonly Attestation[]): Promise<unknown> {
  const node = {
    did: root,
    trust: {
      show: () => all,
      roots: () => all.filter(({ issuer }) => issuer === root),
      nameOf: (who: Did) => (who === did('ben') ? 'Ben' : undefined),
      warrants: () => [{ id: hexId('f'), issuer: did('eve'), statements: [{ signed: { ref: 'a' } }, { signed: { ref: 'b' } }], firstSeenAt: now }],
      simulate: ({ revoke }: { readonly revoke: readonly string[] }) => revoke.map((id) => ({ subject: did(id), before: 1, after: 0 })),
    },
  } as unknown as MeshNode
  const route = trustRoutes(node, (text) => did(text)).find((one) => one.url === url && (input.body === undefined) === (one.method === 'GET'))
  if (route === undefined) throw new Error(`no ${url}`)
  const [query, body] = [route.query?.parse(input.query ?? {}), route.body?.parse(input.body ?? {})]
  return route.reply.parse(await route.handle({ query, body, params: {}, signal: new AbortController().signal, principal: cliPrincipal }))
}

const all = [
  says('root', 'ben', 3, { id: hexId('abcdef1'), scopes: ['/task'] }),
  says('root', 'ben', 1, { id: hexId('abcdef2'), scopes: ['/message'] }),
  says('ben', 'zoe', 2, { id: hexId('123456'), scopes: ['/'] }),
]
const shown = async (query: unknown): Promise<unknown> =>
  ((await ask('/v1/attestations', { query }, all)) as { readonly attestations: readonly { readonly id: string }[] }).attestations.map(({ id }) =>
    id.slice(0, 7),
  )

test('statements are found by issuer, subject, scope, the beginning of an id, or the peer they are about', async () => {
  expect(await shown({})).toEqual(['abcdef1', 'abcdef2', '1234560'])
  expect(await shown({ issuer: 'ben' })).toEqual(['1234560'])
  expect(await shown({ subject: 'ben', scope: '/task/run' })).toEqual(['abcdef1'])
  expect(await shown({ mine: 'true' })).toEqual(['abcdef1', 'abcdef2'])
  expect(await shown({ match: '123456' })).toEqual(['1234560'])
  expect(await shown({ match: 'ben' })).toEqual(['abcdef1', 'abcdef2'])
})

test('a beginning that fits two ids is refused, and so is one of somebody else where only own ones are meant', async () => {
  await expect(shown({ match: 'abcdef' })).rejects.toMatchObject({ code: 'ERR_USAGE', message: "'abcdef' fits 2 statements" })
  await expect(shown({ mine: 'true', match: hexId('123456') })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
  await expect(shown({ match: 'nobody' })).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' })
})

test('warrants are listed with the statements, unless the question is about something else', async () => {
  expect(await ask('/v1/attestations', {}, all)).toMatchObject({
    warrants: [{ id: hexId('f'), issuer: did('eve'), statements: ['a', 'b'], firstSeenAt: now }],
    names: { [root]: 'you', [did('ben')]: 'Ben' },
  })
  expect(await ask('/v1/attestations', { query: { issuer: 'ben' } }, all)).toMatchObject({ warrants: [] })
  expect(await ask('/v1/attestations', { query: { issuer: 'eve' } }, all)).toMatchObject({ attestations: [], warrants: [{ issuer: did('eve') }] })
})

test('a simulation takes ids, beginnings of ids and peers, each statement once', async () => {
  expect(await ask('/v1/trust/simulate', { body: { revoke: ['ben', 'abcdef1', '123456'] } }, all)).toMatchObject({
    revoked: [hexId('abcdef1'), hexId('abcdef2'), hexId('123456')],
  })
})
