import { expect, test } from 'vitest'
import { frameBody, groupTypes, keyBody, plainBody, rosterBody } from '../../src/agents/group-bodies.ts'
import { groupPendingMax, groupsOfStrangersMax } from '../../src/agents/group-inward.ts'
import { signRosterEntry } from '../../src/agents/roster-entry.ts'
import { base64, createSeededRandom, type Did, didFromKey, fromBase64, fromHex, keyFromDid } from '../../src/base/index.ts'
import { createGroupSender, decodeGroupFrame } from '../../src/envelope/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { encode } from '../../src/wire/index.ts'
import { createPostOffice } from '../helpers/groups.ts'
import { keyringOf, messagePayload } from '../helpers/raw-peer.ts'

const random = createSeededRandom(9)
const code = (expected: string): unknown => expect.objectContaining({ code: expected })
const mallory = keyringOf(666)

const bytesOf = ({ body }: { readonly body: string }): Uint8Array => fromBase64(body) ?? new Uint8Array()
const from = (author: Did, type: string, bytes: Uint8Array) => ({ from: author, type, encoding: 'bytes' as const, body: base64(bytes) })

/** Three members who have talked, and an entry by hand in anybody's name. */
async function team(seed: number) {
  const office = await createPostOffice({ count: 4, seed })
  const [anna, ben, cleo] = [office.member(0), office.member(1), office.member(2)]
  const { id, head } = await office.run(anna.groups.create('team', [ben.did, cleo.did]))
  await office.settle()
  await office.run(ben.groups.send(id, { body: 'honest' }))
  await office.settle()
  const group = fromHex(id)
  return { office, anna, ben, cleo, id, head, group, groupDid: didFromKey(group) }
}

test('a roster entry of a member who is no admin, of a stranger, forged, or of long ago changes nothing', async () => {
  const { office, anna, ben, id, head, group, groupDid } = await team(61)
  const now = office.clock.now()
  const entry = (keyring: typeof mallory, action: 'add' | 'remove', who: readonly Did[]) =>
    signRosterEntry(groupDid, { action, who, parents: [fromHex(head)] }, { keyring, random, now }).signed.bytes
  const told = (by: Did, ...entries: readonly Uint8Array[]) => office.inject(0, from(by, groupTypes.roster, rosterBody.encode({ version: 1, group, entries })))
  await expect(told(ben.did, entry(ben.keyring, 'add', [mallory.did]))).rejects.toEqual(code('ERR_GROUP_DENIED'))
  await expect(told(mallory.did, entry(mallory, 'add', [mallory.did]))).rejects.toEqual(code('ERR_GROUP_DENIED'))
  const forged = entry(anna.keyring, 'add', [mallory.did]).slice()
  forged[80] = (forged[80] ?? 0) ^ 1
  await expect(told(ben.did, forged)).rejects.toThrow()
  // True entries replayed a thousand times, by anybody: nothing changes.
  const true0 = office.posted.find(({ type }) => type === groupTypes.roster)
  for (let n = 0; n < 1_000; n++) await office.inject(0, from(mallory.did, groupTypes.roster, bytesOf(true0 ?? { body: '' })))
  expect(anna.groups.find(id)).toMatchObject({ head, fork: false, entries: 1 })
  // A stranger cannot make us keep entries that follow what nobody has.
  const orphan = signRosterEntry(groupDid, { action: 'add', who: [mallory.did], parents: [new Uint8Array(32).fill(7)] }, { keyring: mallory, random, now })
  await expect(told(mallory.did, orphan.signed.bytes)).rejects.toEqual(code('ERR_GROUP_DENIED'))
})

test('a removal replayed to one who was added again, and an addition replayed of one who was removed, change nothing', async () => {
  const { office, anna, ben, cleo, id } = await team(62)
  await office.run(anna.groups.remove(id, [cleo.did]))
  await office.settle()
  await office.run(anna.groups.add(id, [cleo.did]))
  await office.settle()
  await office.run(anna.groups.remove(id, [cleo.did]))
  await office.settle()
  const { head } = ben.groups.find(id)
  for (const item of office.posted.filter(({ type }) => type === groupTypes.roster)) await office.inject(1, item)
  expect(ben.groups.find(id)).toMatchObject({ head, members: [anna.did, ben.did], fork: false })
})

test('a frame of another sender, of a stranger, of a removed member, replayed, or jumping 100,000 ahead is refused', async () => {
  const { office, anna, ben, cleo, id, group, groupDid } = await team(63)
  const frame = office.posted.find(({ type, to }) => type === groupTypes.frame && to === anna.did)
  if (frame === undefined) throw new Error('nothing was said')
  // Taken already, and now by somebody else, and by a stranger.
  for (let n = 0; n < 1_000; n++) {
    await expect(office.inject(0, frame)).rejects.toEqual(code('ERR_GROUP_KEY'))
    if (n !== 500) continue
    office.crash(0)
    await office.restart(0)
  }
  expect(anna.got.filter(({ body }) => body === 'honest')).toHaveLength(1)
  await expect(office.inject(0, { ...frame, from: mallory.did })).rejects.toEqual(code('ERR_GROUP_DENIED'))
  const before = anna.got.length
  await office.inject(0, { ...frame, from: cleo.did })
  expect(anna.got).toHaveLength(before)
  const inner = decodeGroupFrame(frameBody.decode(bytesOf(frame)).frame)
  const jump = encode([1, inner.suite, 3, inner.epoch, inner.tag, 100_000, inner.sealed])
  await expect(office.inject(0, from(ben.did, groupTypes.frame, frameBody.encode({ version: 1, group, frame: jump })))).rejects.toEqual(code('ERR_GROUP_KEY'))

  // A member seals what another signed, what is said elsewhere, and what nobody signed.
  const sender = createGroupSender({ context: { group, epoch: fromHex(ben.groups.find(id).head), sender: ben.did }, random })
  const handover = keyBody.encode({ version: 1, group, epoch: fromHex(ben.groups.find(id).head), key: sender.handover() })
  await office.inject(0, from(ben.did, groupTypes.key, handover))
  const said = (keyring: typeof mallory, to: Did) => {
    const issuedAt = office.clock.now()
    const fields = { to, type: 'text', payload: messagePayload({ body: 'false' }), issuedAt, expiresAt: issuedAt + 60_000 }
    return signStatement('message', fields, { keyring, random }).bytes
  }
  const sealed = (content: Uint8Array) =>
    office.inject(0, from(ben.did, groupTypes.frame, frameBody.encode({ version: 1, group, frame: sender.seal(content) })))
  await expect(sealed(said(cleo.keyring, groupDid))).rejects.toEqual(code('ERR_STATEMENT_SENDER'))
  await expect(sealed(said(ben.keyring, anna.did))).rejects.toEqual(code('ERR_STATEMENT_AUDIENCE'))
  await expect(sealed(new Uint8Array(100))).rejects.toThrow()
  // Nothing of that moved the chain: what is right still opens.
  await sealed(said(ben.keyring, groupDid))
  expect(anna.got.at(-1)?.body).toBe('false')

  await office.run(office.member(0).groups.remove(id, [ben.did]))
  await office.settle()
  await expect(sealed(said(ben.keyring, groupDid))).rejects.toEqual(code('ERR_GROUP_DENIED'))
  await expect(office.inject(0, from(ben.did, groupTypes.want, plainBody.encode({ version: 1, group })))).rejects.toEqual(code('ERR_GROUP_DENIED'))
})

test('frames without keys, groups of strangers and wants are bounded', async () => {
  const { office, ben, group, id } = await team(64)
  const epoch = fromHex(ben.groups.find(id).head)
  const lost = createGroupSender({ context: { group, epoch, sender: ben.did }, random })
  const frame = () => from(ben.did, groupTypes.frame, frameBody.encode({ version: 1, group, frame: lost.seal(new Uint8Array(8)) }))
  for (let n = 0; n < groupPendingMax; n++) await office.inject(0, frame())
  await expect(office.inject(0, frame())).rejects.toEqual(code('ERR_OVERLOADED'))
  const asked = office.posted.filter(({ type, to }) => type === groupTypes.want && to === ben.did).length
  expect(asked).toBeLessThanOrEqual(6)
  const want = from(ben.did, groupTypes.want, plainBody.encode({ version: 1, group }))
  for (let n = 0; n < 6; n++) await office.inject(0, want)
  await expect(office.inject(0, want)).rejects.toEqual(code('ERR_OVERLOADED'))

  const now = office.clock.now()
  const invite = () => {
    const entry = signRosterEntry(
      undefined,
      { action: 'create', name: 'x', who: [mallory.did, office.member(3).did], parents: [] },
      { keyring: mallory, random, now },
    )
    const body = rosterBody.encode({ version: 1, group: keyFromDid(entry.signed.statement.to), entries: [entry.signed.bytes] })
    return office.inject(3, from(mallory.did, groupTypes.roster, body))
  }
  for (let n = 0; n < groupsOfStrangersMax; n++) await invite()
  await expect(invite()).rejects.toEqual(code('ERR_OVERLOADED'))
})

test('bodies that are malformed or oversized are refused before anything is done', async () => {
  const { office, ben, group } = await team(65)
  for (const type of Object.values(groupTypes)) {
    for (const bytes of [new Uint8Array(), encode([1]), encode([2, group]), encode([1, group, 'x', 'y', 'z']), new Uint8Array(70_000)]) {
      await expect(office.inject(0, from(ben.did, type, bytes))).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_WIRE_/),
      })
    }
    await expect(office.inject(0, { from: ben.did, type, encoding: 'bytes', body: 'no base64!' })).rejects.toEqual(code('ERR_WIRE_MALFORMED'))
  }
})
