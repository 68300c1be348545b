import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { dayMs, realClock } from '../../src/base/index.ts'
import { createNode, type MeshNode } from '../../src/index.ts'

let folder: string
const nodes: MeshNode[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-trust-'))
})
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
  await rm(folder, { recursive: true, force: true })
})

async function start(name: string, bootstrap: readonly string[] = []): Promise<MeshNode> {
  const node = await createNode({ dataDir: join(folder, name), listen: ['/ip4/127.0.0.1/tcp/0'], bootstrap })
  nodes.push(node)
  return node
}
const scopes = ['/task/run']
const until = async (holds: () => Promise<boolean>): Promise<void> => {
  while (!(await holds())) await realClock.sleep(50)
}
const lifetimeMs = 30 * dayMs

test('by the word of an introducer who is offline, carried by the subject; and no longer once it is known to be withdrawn', async () => {
  const meeting = await start('meeting')
  const [anna, ben] = await Promise.all([start('anna', meeting.addresses()), start('ben', meeting.addresses())])
  await ben.dial(anna.ticket())
  const { id } = await anna.trust.attest({ subject: ben.did, level: 2, scopes, lifetimeMs })
  // ben hears of the statement about himself and keeps it.
  await until(async () => ben.trust.show().some((statement) => statement.id === id))
  await anna.stop()

  const cleo = await start('cleo', meeting.addresses())
  await cleo.trust.attest({ subject: anna.did, level: 4, scopes, lifetimeMs })
  await cleo.dial(ben.ticket())
  await until(async () => (await cleo.trust.explain(ben.did)).level === 2)
  expect(await cleo.trust.explain(ben.did)).toMatchObject({
    levelName: 'verified',
    because: [{ path: [cleo.did, anna.did, ben.did], attestations: [expect.any(String), id] }],
  })
  // An AUTHORITY that says VERIFIED carries half of what the policy flow asks for; decisions and explanations follow the setting at once.
  const set = async (key: string, value: unknown): Promise<unknown> => await cleo.settings.set({ key: `trust.${key}`, value, layer: 'session' })
  await set('policy', 'flow')
  expect(await cleo.trust.explain(ben.did)).toMatchObject({ level: 1, sentence: expect.stringContaining('60 of 120 for VERIFIED arrive') as unknown })
  expect(cleo.trust.snapshot('/task/run').level(ben.did)).toBe(1)
  await set('reliance', { [anna.did]: 30 })
  expect(cleo.trust.snapshot('/task/run').level(ben.did)).toBe(0)
  await set('policy', 'gate')
  expect(cleo.trust.snapshot('/task/run').level(ben.did)).toBe(2)

  const again = await start('anna', meeting.addresses())
  await again.dial(cleo.ticket())
  await again.trust.revoke(id)
  await until(async () => (await cleo.trust.explain(ben.did)).level === 0)
  expect((await cleo.trust.explain(ben.did)).ignored).toEqual([{ id, issuer: anna.did, reason: 'revoked' }])
})

test('what an introducer said about somebody is found when both are gone, with those who were close to his key', async () => {
  const meeting = await start('meeting')
  const [anna, ben] = await Promise.all([start('anna', meeting.addresses()), start('ben', meeting.addresses())])
  await ben.dial(meeting.ticket())
  await anna.dial(meeting.ticket())
  await anna.trust.attest({ subject: ben.did, level: 2, scopes, lifetimeMs })
  await until(async () => meeting.trust.meeting().held === 1)
  await Promise.all([anna.stop(), ben.stop()])
  const cleo = await start('cleo', meeting.addresses())
  await cleo.dial(meeting.ticket())
  await cleo.trust.attest({ subject: anna.did, level: 4, scopes, lifetimeMs })
  await until(async () => (await cleo.trust.explain(ben.did)).level === 2)
  expect(meeting.trust.meeting().refused).toEqual({ invalid: 0, full: 0, busy: 0 })
})

test('strangers about strangers are not kept: a peer shows evidence of its own friends in vain', async () => {
  const cleo = await start('cleo')
  const [mallory, puppet] = await Promise.all([start('mallory', cleo.addresses()), start('puppet', cleo.addresses())])
  await puppet.dial(mallory.ticket())
  await puppet.trust.attest({ subject: mallory.did, level: 4, scopes, lifetimeMs })
  await until(async () => mallory.trust.show().length > 0)
  await mallory.dial(cleo.ticket())
  await mallory.send(cleo.did, { body: 'trust me' })
  expect(await cleo.trust.explain(mallory.did)).toMatchObject({ level: 0, because: [] })
  expect(cleo.trust.show()).toEqual([])
})

test('one who was off while a word was withdrawn hears of it from somebody who was there, when its author is away: gossip is over, the two compare what they hold', async () => {
  const dora = await start('dora')
  const [anna, cleo] = await Promise.all([start('anna', dora.addresses()), start('cleo', dora.addresses())])
  const ben = await start('ben', anna.addresses())
  const { id } = await anna.trust.attest({ subject: ben.did, level: 2, scopes, lifetimeMs })
  await Promise.all([cleo, dora].map((node) => node.trust.attest({ subject: anna.did, level: 4, scopes, lifetimeMs })))
  await Promise.all([cleo, dora].map((node) => node.dial(anna.ticket())))
  const levelAt = (node: MeshNode): number => node.trust.snapshot('/task/run').level(ben.did)
  await until(async () => [cleo, dora].every((node) => levelAt(node) === 2))
  await cleo.stop()

  await anna.trust.revoke(id)
  await until(async () => (await dora.trust.explain(ben.did)).ignored.some(({ reason }) => reason === 'revoked'))
  // What gossip still remembers ends with the process.
  await Promise.all([anna, ben, dora].map((node) => node.stop()))

  const witness = await start('dora')
  const again = await start('cleo', witness.addresses())
  expect(levelAt(again)).toBe(2)
  // Nobody is asked about ben here: what comes, comes because the two are connected.
  await until(async () => levelAt(again) === 0)
})
