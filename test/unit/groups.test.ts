import { expect, test } from 'vitest'
import { fromBase64, fromHex, hex, MeshError } from '../../src/base/index.ts'
import { decodeGroupFrame, openGroupFrame, receivingChain } from '../../src/envelope/index.ts'
import { groupChainLifeMs, groupChainMessagesMax } from '../../src/agents/groups.ts'
import { frameBody, groupTypes, keyBody } from '../../src/agents/group-bodies.ts'
import { createPostOffice, type PostOffice } from '../helpers/groups.ts'

const dids = (office: PostOffice, ...indexes: readonly number[]) => indexes.map((index) => office.member(index).did)

async function team(office: PostOffice, ...others: readonly number[]): Promise<string> {
  const { id } = await office.run(office.member(0).groups.create('team', dids(office, ...others)))
  await office.settle()
  return id
}
const say = (office: PostOffice, from: number, group: string, body: string) => office.run(office.member(from).groups.send(group, { body }))

test('members read what members say, each once; nobody else does', async () => {
  const office = await createPostOffice({ count: 4, seed: 1 })
  const id = await team(office, 1, 2)
  await say(office, 0, id, 'from anna')
  await say(office, 1, 'team', 'from ben')
  await office.settle()
  await say(office, 0, id.slice(0, 8), 'again')
  await office.settle()
  expect(office.member(0).bodies).toEqual(['from ben'])
  expect(office.member(1).bodies).toEqual(['from anna', 'again'])
  expect(office.member(2).bodies.toSorted()).toEqual(['again', 'from anna', 'from ben'])
  expect(office.member(3).groups.list()).toEqual([])
  expect(office.refusals).toEqual([])
  const got = office.member(2).got[0]
  expect(got).toMatchObject({ group: id, type: 'text', encoding: 'text' })
  for (const index of [0, 1, 2]) expect(office.member(index).groups.find('team')).toMatchObject({ id, name: 'team', status: 'member', fork: false, entries: 1 })
})

test('whoever is removed reads nothing that comes after, even with every byte and his whole state; whoever joins nothing that was before', async () => {
  const office = await createPostOffice({ count: 4, seed: 2 })
  const id = await team(office, 1, 2)
  await say(office, 0, id, 'before')
  await office.settle()
  await office.run(office.member(0).groups.remove(id, dids(office, 2)))
  await office.run(office.member(0).groups.add(id, dids(office, 3)))
  await office.settle()
  const seen = office.posted.length
  await say(office, 0, id, 'after')
  await say(office, 1, id, 'after too')
  await office.settle()
  expect(office.member(2).bodies).toEqual(['before'])
  expect(office.member(2).groups.find(id).status).toBe('removed')
  expect(office.member(3).bodies.toSorted()).toEqual(['after', 'after too'])
  expect(office.member(1).bodies).toEqual(['before', 'after'])

  const outside = (index: number, items: PostOffice['posted']) => {
    const bodies = items.filter(({ type }) => type === groupTypes.frame).map(({ body }) => frameBody.decode(fromBase64(body) ?? new Uint8Array()).frame)
    const keys = office.posted
      .filter(({ type, to }) => type === groupTypes.key && to === office.member(index).did)
      .map(({ body, from }) => ({ from, ...keyBody.decode(fromBase64(body) ?? new Uint8Array()) }))
    const opens = (bytes: Uint8Array, { from, epoch, key }: (typeof keys)[number], tag: Uint8Array | undefined): boolean => {
      const frame = decodeGroupFrame(bytes)
      try {
        openGroupFrame(receivingChain({ ...key, suite: 1 }), { ...frame, tag: tag ?? frame.tag }, { group: fromHex(id), epoch, sender: from })
        return true
      } catch {
        return false
      }
    }
    // With every key it was ever handed, under the frame's own tag and that of the key.
    return bodies.filter((bytes) => keys.some((key) => opens(bytes, key, undefined) || opens(bytes, key, key.key.tag)))
  }
  // The removed one is handed every frame said after; the joiner every frame said before.
  expect(outside(2, office.posted.slice(seen))).toEqual([])
  expect(outside(3, office.posted.slice(0, seen))).toEqual([])
  expect(outside(2, office.posted.slice(0, seen))).not.toEqual([])
  await expect(say(office, 2, id, 'still here')).rejects.toMatchObject({ code: 'ERR_GROUP_DENIED' })
})

test('members that are off get keys and messages when they come back; one that lost power sends on a fresh key', async () => {
  const office = await createPostOffice({ count: 3, seed: 3 })
  const id = await team(office, 1, 2)
  office.crash(2)
  await say(office, 0, id, 'one')
  await office.settle()
  office.crash(0)
  await office.restart(0)
  await say(office, 0, id, 'two')
  await office.settle()
  await office.restart(2)
  await office.settle()
  expect(office.member(1).bodies).toEqual(['one', 'two'])
  expect(office.member(2).bodies).toEqual(['one', 'two'])
  const frames = office.posted
    .filter(({ type }) => type === groupTypes.frame)
    .map(({ body }) => decodeGroupFrame(frameBody.decode(fromBase64(body) ?? new Uint8Array()).frame))
  const used = new Set(frames.map(({ tag, n }) => `${hex(tag)}/${n}`))
  expect(used.size).toBe(2)
  expect(new Set(frames.map(({ n }) => n))).toEqual(new Set([0]))
})

test('keys and messages in any order: what comes before its key waits for it, and the key is asked for', async () => {
  for (let seed = 10; seed < 16; seed++) {
    const office = await createPostOffice({ count: 4, seed, isOrdered: false })
    const id = await team(office, 1, 2, 3)
    for (let n = 0; n < 6; n++) await say(office, n % 2, id, `${n % 2} ${n}`)
    await office.settle()
    for (const index of [2, 3]) expect(new Set(office.member(index).bodies)).toEqual(new Set(['0 0', '1 1', '0 2', '1 3', '0 4', '1 5']))
    for (const index of [0, 1, 2, 3]) expect(new Set(office.member(index).bodies).size).toBe(office.member(index).bodies.length)
  }
})

test('whoever leaves is written to no more at once, and the most senior admin removes it', async () => {
  const office = await createPostOffice({ count: 3, seed: 5 })
  const id = await team(office, 1, 2)
  office.crash(0)
  await office.run(office.member(2).groups.leave(id))
  await office.settle()
  await say(office, 1, id, 'without two')
  await office.restart(0)
  await office.settle()
  expect(office.member(2).bodies).toEqual([])
  expect(office.member(0).bodies).toEqual(['without two'])
  expect(office.member(1).groups.find(id).members).toEqual(dids(office, 0, 1))
  expect(office.member(2).groups.find(id).status).toBe('removed')
  await office.run(office.member(2).groups.leave(id))
  expect(office.member(2).groups.list()).toEqual([])
  await expect(office.run(office.member(0).groups.leave(id))).rejects.toMatchObject({ code: 'ERR_USAGE' })
  await office.run(office.member(0).groups.admin(id, dids(office, 1)))
  await office.settle()
  await office.run(office.member(0).groups.leave(id))
  await office.settle()
  expect(office.member(1).groups.find(id)).toMatchObject({ members: dids(office, 1), admins: dids(office, 1) })
})

test('a write that fails loses nothing: the message comes again and is taken once', async () => {
  const office = await createPostOffice({ count: 2, seed: 6 })
  const id = await team(office, 1)
  await say(office, 0, id, 'one')
  await office.settle()
  const { store } = office.member(1)
  const { durable } = store
  let failures = 2
  store.durable = async (ops) => {
    if (failures-- > 0) throw new MeshError('ERR_STORE_FAILED', 'the disk says no')
    await durable(ops)
  }
  await say(office, 0, id, 'two')
  await say(office, 0, id, 'three')
  await office.settle()
  expect(office.member(1).bodies).toEqual(['one', 'two', 'three'])
})

test('a key that never came is asked for: what was said before it is lost, what is said from then on is read', async () => {
  const office = await createPostOffice({ count: 3, seed: 7 })
  const id = await team(office, 1, 2)
  office.lose(({ type, to }) => type === groupTypes.key && to === office.member(2).did)
  await say(office, 0, id, 'one')
  office.lose(() => false)
  await office.settle()
  await say(office, 0, id, 'two')
  await office.settle()
  expect(office.member(1).bodies).toEqual(['one', 'two'])
  expect(office.member(2).bodies).toEqual(['two'])
})

test('a member changes its key after a thousand messages and after a day', async () => {
  const office = await createPostOffice({ count: 2, seed: 8 })
  const id = await team(office, 1)
  const keys = (): number => office.posted.filter(({ type }) => type === groupTypes.key).length
  for (let n = 0; n < groupChainMessagesMax; n++) await say(office, 0, id, String(n))
  expect(keys()).toBe(1)
  await say(office, 0, id, 'one more')
  expect(keys()).toBe(2)
  await office.clock.advance(groupChainLifeMs)
  await say(office, 0, id, 'next day')
  expect(keys()).toBe(3)
})

test('a member that changed its own key is the same member, admin and sender', async () => {
  const office = await createPostOffice({ count: 4, seed: 9 })
  const id = await team(office, 1, 2)
  await say(office, 0, id, 'before')
  await office.settle()
  await office.rotate(0)
  await say(office, 0, id, 'after')
  await office.run(office.member(0).groups.add(id, dids(office, 3)))
  await office.settle()
  await say(office, 3, id, 'from the new one')
  await office.settle()
  expect(office.member(1).bodies).toEqual(['before', 'after', 'from the new one'])
  expect(office.member(0).bodies).toEqual(['from the new one'])
  for (const index of [0, 1, 2, 3]) expect(office.member(index).groups.find(id)).toMatchObject({ members: dids(office, 0, 1, 2, 3), fork: false })
  expect(office.refusals).toEqual([])
})

test('a group that somebody tells of without us in it is not shown, and one of two groups of a name is asked for by its id', async () => {
  const office = await createPostOffice({ count: 3, seed: 10 })
  const id = await team(office, 1)
  const told = office.posted.find(({ type }) => type === groupTypes.roster)
  if (told === undefined) throw new Error('nothing was told')
  await office.inject(2, told)
  expect(office.member(2).groups.list()).toEqual([])
  await office.run(office.member(1).groups.create('team', dids(office, 0)))
  await office.settle()
  expect(() => office.member(0).groups.find('team')).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  expect(office.member(0).groups.find(id.slice(0, 6)).id).toBe(id)
  expect(() => office.member(0).groups.find('other')).toThrow(expect.objectContaining({ code: 'ERR_NOT_FOUND' }))
})
