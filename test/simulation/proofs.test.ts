import { expect, test } from 'vitest'
import { dayMs, type Did, hourMs } from '../../src/base/index.ts'
import { signedJsonInput } from '../../src/identity/index.ts'
import { authorityListText, listAudience } from '../../src/node/authority-list.ts'
import type { DomainAnswer, DomainSources } from '../../src/node/domain-proof.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'

const scope = '/task/run'
const scopes = [scope]
const levelOf = (node: TestNode, did: Did): number => node.trust.snapshot(scope).level(did)

/** Domains of one test: what each way says now. */
function domains(): { readonly sources: DomainSources; say(web: DomainAnswer, dns?: DomainAnswer): void } {
  let said: readonly [DomainAnswer, DomainAnswer] = [{ absent: true }, { absent: true }]
  return {
    sources: { 'did.json': async () => said[0], dns: async () => said[1] },
    say: (web, dns = { absent: true }) => (said = [web, dns]),
  }
}

test('join/v1 11.1, 11.4, 11.5: a domain is pinned to the one it names in every way, says BASIC of it, and not of another later', async () => {
  const { sources, say } = domains()
  await using mesh = await createTestMesh({ nodes: 3, seed: 31, domainSources: sources })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  const pin = (options = {}) => mesh.run(codeOf(anna.domains.pin('Example.org', options)))
  say({ absent: true })
  expect(await pin()).toBe('ERR_DOMAIN_UNPROVED')
  say({ dids: [ben.did] }, { dids: [cleo.did] })
  expect(await pin()).toBe('ERR_DOMAIN_UNPROVED')
  say({ dids: [ben.did, cleo.did] })
  expect(await pin()).toBe('ERR_USAGE')
  expect(await pin({ level: 3 })).toBe('ERR_USAGE')
  say({ dids: [ben.did, cleo.did] }, { dids: [ben.did] })
  expect(await mesh.run(anna.domains.pin('example.org'))).toMatchObject({ domain: 'example.org', did: ben.did, level: 1, state: 'good' })
  expect([levelOf(anna, ben.did), levelOf(anna, cleo.did)]).toEqual([1, 0])
  say({ dids: [cleo.did] })
  expect(await pin()).toBe('ERR_DOMAIN_CHANGED')
  expect(await pin({ replace: true })).toBe('ok')
  expect([levelOf(anna, ben.did), levelOf(anna, cleo.did)]).toEqual([0, 1])
  expect((await mesh.run(anna.audit.tail({ limit: 50 }))).filter(({ event }) => event === 'domain_pinned')).toHaveLength(2)
})

test('join/v1 11.6: a proof that stands is renewed, one that breaks is withdrawn and told, one that is silent runs out', async () => {
  const { sources, say } = domains()
  await using mesh = await createTestMesh({ nodes: 2, seed: 32, domainSources: sources })
  const ben = mesh.node(1).did
  const told: unknown[] = []
  mesh.node(0).onEvent((event) => event.event === 'security' && told.push(event.kind))
  say({ dids: [ben] })
  await mesh.run(mesh.node(0).domains.pin('example.org', { level: 2 }))
  /** That many days after the start the domain is asked again. */
  const askedOn = async (day: number): Promise<unknown> => {
    mesh.skew(0, day * dayMs)
    await mesh.run(mesh.node(0).domains.recheck())
    return { state: mesh.node(0).domains.list()[0]?.state, level: levelOf(mesh.node(0), ben) }
  }
  expect(await askedOn(16)).toEqual({ state: 'good', level: 2 })
  mesh.crash(0)
  await mesh.restart(0)
  mesh.node(0).onEvent((event) => event.event === 'security' && told.push(event.kind))
  // Longer than the first statement lived.
  expect(await askedOn(32)).toEqual({ state: 'good', level: 2 })
  say({ failed: 'nobody there' }, { failed: 'DNS: ETIMEOUT' })
  expect(await askedOn(34)).toEqual({ state: 'unreachable', level: 2 })
  expect(await askedOn(63)).toEqual({ state: 'unreachable', level: 0 })
  say({ dids: [ben] })
  expect(await askedOn(65)).toEqual({ state: 'good', level: 2 })
  say({ dids: [mesh.node(0).did] })
  expect(await askedOn(67)).toEqual({ state: 'broken', level: 0 })
  expect(told).toEqual(['domain'])
  expect((await mesh.run(mesh.node(0).audit.tail({ limit: 500 }))).filter(({ event }) => event === 'domain_broken')).toHaveLength(1)
})

interface ListGiven {
  readonly version?: number
  readonly threshold?: number
  readonly keys: readonly number[]
  readonly signers: readonly number[]
  readonly entries: readonly { readonly did: Did; readonly level: string; readonly scopes: readonly string[]; readonly depth?: number }[]
  readonly expires?: number
}

/** A list kept and signed by nodes of the mesh, by their numbers. */
function listOf(mesh: TestMesh, { version = 1, threshold = 2, keys, signers, entries, expires = mesh.clock.now() + 30 * dayMs }: ListGiven): string {
  const list = { name: 'guild', version, issued: mesh.clock.now(), expires, threshold, keys: keys.map((index) => mesh.node(index).did), entries }
  const signatures = signers.map((index) => {
    const { did, sign } = mesh.keyring(index)
    return { did, signature: Buffer.from(sign(signedJsonInput(list, listAudience))).toString('base64') }
  })
  return authorityListText(list, signatures)
}

test('join/v1 12.1: a list that too few of its keepers signed, that was altered or has ended does not count', async () => {
  await using mesh = await createTestMesh({ nodes: 4, seed: 33 })
  const anna = mesh.node(0)
  const entries = [{ did: mesh.node(3).did, level: 'verified', scopes }]
  const add = (text: string) => mesh.run(codeOf(anna.authorities.add(text)))
  expect(await add(listOf(mesh, { keys: [1, 2], signers: [1], entries }))).toBe('ERR_LIST_INVALID')
  expect(await add(listOf(mesh, { keys: [1, 2], signers: [1, 1], entries }))).toBe('ERR_LIST_INVALID')
  expect(await add(listOf(mesh, { keys: [1, 2], signers: [1, 3], entries }))).toBe('ERR_LIST_INVALID')
  expect(await add(listOf(mesh, { keys: [1, 2], signers: [1, 2], entries }).replace('"verified"', '"authority"'))).toBe('ERR_LIST_INVALID')
  expect(await add(listOf(mesh, { keys: [1, 2], signers: [1, 2], entries, expires: mesh.clock.now() }))).toBe('ERR_LIST_INVALID')
  expect(await add(listOf(mesh, { keys: [1, 1], signers: [1], threshold: 1, entries }))).toBe('ERR_LIST_INVALID')
  const short = listOf(mesh, { keys: [1, 2], signers: [1, 2], entries, expires: mesh.clock.now() + hourMs })
  await mesh.clock.advance(2 * hourMs)
  expect(await add(short)).toBe('ERR_LIST_INVALID')
  expect(anna.authorities.list()).toEqual([])
  expect(levelOf(anna, mesh.node(3).did)).toBe(0)
})

test('join/v1 12.3, 12.4: a list makes VERIFIED and never TRUSTED, within its scope, and ends with its time; nothing of it is this node’s own word', async () => {
  await using mesh = await createTestMesh({ nodes: 4, seed: 34 })
  const entries = [{ did: mesh.node(3).did, level: 'trusted', scopes: ['/'], depth: 1 }]
  const followed = await mesh.run(mesh.node(0).authorities.add(listOf(mesh, { keys: [1, 2], signers: [1, 2], entries }), { level: 3 }))
  expect(followed).toMatchObject({ name: 'guild', version: 1, entries: 1, level: 3 })
  const did = mesh.node(3).did
  const { level, because } = await mesh.run(mesh.node(0).trust.explain(did))
  expect({ level, path: because[0]?.path }).toEqual({ level: 2, path: [mesh.node(0).did, 'list:guild', did] })
  expect(mesh.node(0).trust.snapshot('/file/send').level(did)).toBe(0)
  expect(mesh.node(0).trust.show()).toEqual([])
  mesh.crash(0)
  await mesh.restart(0)
  expect(levelOf(mesh.node(0), did)).toBe(2)
  mesh.skew(0, 31 * dayMs)
  expect(levelOf(mesh.node(0), did)).toBe(0)
  await mesh.run(mesh.node(0).authorities.remove('guild'))
  expect(mesh.node(0).authorities.list()).toEqual([])
})

test('join/v1 12.2: the next version needs the keepers of the one before, and an older one does not come back', async () => {
  await using mesh = await createTestMesh({ nodes: 4, seed: 35 })
  const [anna, did] = [mesh.node(0), mesh.node(3).did]
  const add = (given: Partial<ListGiven>) => mesh.run(codeOf(anna.authorities.add(listOf(mesh, { keys: [1, 2], signers: [1, 2], entries: [], ...given }))))
  const first = listOf(mesh, { keys: [1, 2], signers: [1, 2], entries: [{ did, level: 'verified', scopes }] })
  await mesh.run(anna.authorities.add(first))
  expect(levelOf(anna, did)).toBe(2)
  // Keys of somebody else's, signed by these.
  expect(await add({ version: 2, keys: [0, 3], signers: [0, 3] })).toBe('ERR_LIST_INVALID')
  expect(await add({ version: 3, keys: [2, 3], signers: [1, 2, 3] })).toBe('ok')
  expect(levelOf(anna, did)).toBe(0)
  expect(await mesh.run(codeOf(anna.authorities.add(first)))).toBe('ERR_LIST_INVALID')
  // Signed by all it needs, and older than what is held.
  expect(await add({ version: 2, keys: [2, 3], signers: [2, 3] })).toBe('ERR_LIST_INVALID')
  expect(anna.authorities.list()).toMatchObject([{ version: 3 }])
})

test('join/v1 12.1: a keeper signs what names it, by the key it has now, and that counts for its identity', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 36 })
  const unsigned = listOf(mesh, { keys: [0, 1], signers: [], entries: [] })
  await mesh.run(mesh.rotate(1))
  await mesh.clock.advance(hourMs)
  expect(() => mesh.node(2).authorities.sign(unsigned)).toThrow(expect.objectContaining({ code: 'ERR_LIST_INVALID' }))
  const later = unsigned.replace(/"issued": \d+/, `"issued": ${mesh.clock.now()}`)
  const signed = mesh.node(0).authorities.sign(mesh.node(1).authorities.sign(later))
  expect(mesh.node(0).authorities.inspect(signed)).toMatchObject({ isGood: true, signers: expect.arrayContaining([mesh.node(0).did, mesh.node(1).did]) })
})

test('join/v1 13: who introduces two vouches for each, neither may introduce others in turn, and both are told', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 37 })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  for (const node of [ben, cleo]) await mesh.run(node.trust.attest({ subject: anna.did, level: 3, scopes, lifetimeMs: dayMs }))
  const met: unknown[] = []
  ben.onEvent((event) => event.event === 'introduced' && met.push([event.did, event.by]))
  const introduced = await mesh.run(anna.introduce([ben.did, cleo.did], { note: 'both bake' }))
  expect(introduced).toEqual([ben, cleo].map(({ did }) => ({ did, statement: expect.any(String), told: 'acknowledged' })))
  expect(met).toEqual([[cleo.did, anna.did]])
  const own = anna.trust.show().filter(({ issuer }) => issuer === anna.did)
  expect(own.map(({ depth, level }) => `${level} ${depth}`)).toEqual(['1 0', '1 0'])
  await mesh.until(async () => (await mesh.run(ben.trust.explain(cleo.did))).level === 1, hourMs)
  const { messages } = { messages: await mesh.run(cleo.inbox.list({ limit: 10 })) }
  expect(messages).toMatchObject([{ type: 'introduction', from: anna.did, body: expect.stringContaining('both bake') }])
})

test('join/v1 13.1: a better word of one’s own stays, and nobody is introduced whom one speaks against', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 38 })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  await mesh.run(anna.trust.attest({ subject: ben.did, level: 3, scopes: ['/task'], depth: 1, lifetimeMs: dayMs }))
  expect(await mesh.run(anna.introduce([ben.did, cleo.did]))).toMatchObject([{ did: ben.did, statement: undefined }, { did: cleo.did }])
  expect(levelOf(anna, ben.did)).toBe(3)
  await mesh.run(anna.trust.attest({ subject: cleo.did, level: -1, scopes, lifetimeMs: dayMs }))
  expect(await mesh.run(codeOf(anna.introduce([ben.did, cleo.did])))).toBe('ERR_USAGE')
  expect(await mesh.run(codeOf(anna.introduce([ben.did, anna.did])))).toBe('ERR_USAGE')
})

test('join/v1 13.2: of a stranger’s introduction nothing is learnt; what is none is refused', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 39 })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  const met: unknown[] = []
  ben.onEvent((event) => event.event === 'introduced' && met.push(event))
  await mesh.run(anna.introduce([ben.did, cleo.did]))
  expect(met).toEqual([])
  const send = (body: unknown) => mesh.run(codeOf(anna.send(ben.did, { type: 'introduction', encoding: 'json', body: JSON.stringify(body) })))
  expect(await send({ ticket: 'nonsense', level: 1, scopes })).toBe('ERR_JSON_INVALID')
  expect(await send({ ticket: cleo.ticket(), level: 4, scopes })).toBe('ERR_JSON_INVALID')
})
