import { expect, test } from 'vitest'
import { dayMs, type Did } from '../../src/base/index.ts'
import { type Attestation, ownWords, type Revocation } from '../../src/trust/index.ts'
import { now, root, says } from '../helpers/trust-graphs.ts'

const words = (attestations: readonly Attestation[], revocations: readonly Revocation[] = []) =>
  ownWords({ root, attestations, revocations, now }).map(({ id, scopes, countsFor }) => [id, scopes.join(' '), countsFor])

test('only what the root itself says and what stands is listed, in the scopes in which nothing newer was said', () => {
  const given = [
    says('root', 'anna', 3, { id: 'old', seq: 1, scopes: ['/task', '/message'] }),
    says('root', 'anna', 1, { id: 'new', seq: 2, scopes: ['/task'] }),
    says('root', 'ben', -1, { id: 'ban' }),
    says('root', 'carl', 2, { id: 'over', expiresAt: now }),
    says('ben', 'anna', 3),
    says('root', 'root', 3),
  ]
  expect(words(given)).toEqual([
    ['old', '/message', 3],
    ['new', '/task', 1],
    ['ban', '/task', -1],
  ])
})

test('a revoked word is none: a soft revocation leaves its place taken, a hard one does not', () => {
  const given = [says('root', 'anna', 3, { id: 'old', seq: 1 }), says('root', 'anna', 1, { id: 'new', seq: 2, issuedAt: now, firstSeenAt: now })]
  const revoked = (kind: 'soft' | 'hard', issuer: Did = root): Revocation => ({ issuer, attestationId: 'new', kind, at: now })
  expect(words(given, [revoked('soft')])).toEqual([])
  expect(words(given, [revoked('hard')])).toEqual([['old', '/task', 3]])
  expect(words(given, [revoked('soft', 'did:key:z6Mkother' as Did)])).toEqual([['new', '/task', 1]])
})

test('a word that is old counts for less, and says until when', () => {
  const given = [
    says('root', 'anna', 3, { issuedAt: now - 200 * dayMs }),
    says('root', 'ben', 1, { issuedAt: now - 200 * dayMs }),
    says('root', 'carl', -1, { issuedAt: now - 200 * dayMs }),
  ]
  const [anna, ben, carl] = ownWords({ root, attestations: given, now })
  expect([anna?.countsFor, anna?.until]).toEqual([2, now + 165 * dayMs])
  expect(ben?.countsFor).toBe(0)
  expect([carl?.countsFor, carl?.until]).toEqual([-1, now + 300 * dayMs])
})
