import { expect, test } from 'vitest'
import { groupBodyBytesMax } from '../../src/agents/group-inward.ts'
import { createTestMesh, type TestMesh } from '../../src/testing/index.ts'

const bodies = async (mesh: TestMesh, index: number): Promise<readonly string[]> =>
  (await mesh.node(index).inbox.list({ limit: 1_000 })).map(({ body }) => body)

test('ten whole nodes with loss and reordering, one that loses power: all members read all, each once, through the mail', async () => {
  for (let seed = 51; seed < 53; seed++) {
    await using mesh = await createTestMesh({ nodes: 10, seed, loss: 0.03, duplicate: 0.05, reorder: 0.2, latencyMs: [5, 60] })
    const members = mesh.nodes.slice(1, 8).map(({ did }) => did)
    const { id } = await mesh.run(mesh.node(0).groups.create('team', members))
    const said: string[] = []
    for (let round = 0; round < 4; round++) {
      if (round === 1) mesh.crash(3)
      for (const from of [0, 1, 5]) {
        const body = `${from} in ${round}`
        await mesh.run(mesh.node(from).groups.send(id, { body }))
        said.push(body)
      }
      if (round === 2) {
        await mesh.restart(3)
        await mesh.run(mesh.node(3).dial(mesh.node(0).addresses()[0] ?? ''))
      }
    }
    const heard = (index: number) => said.filter((body) => !body.startsWith(`${index} `)).toSorted()
    await mesh.until(async () => {
      for (let index = 0; index < 8; index++) if ((await bodies(mesh, index)).length < heard(index).length) return false
      return true
    }, 3_600_000)
    for (let index = 0; index < 8; index++) expect((await bodies(mesh, index)).toSorted(), `seed ${seed} node ${index}`).toEqual(heard(index))
    for (const index of [8, 9]) expect(await bodies(mesh, index)).toEqual([])
    // Removed by the creator: reads nothing more.
    await mesh.run(mesh.node(0).groups.remove(id, [mesh.node(7).did]))
    await mesh.until(() => mesh.node(1).groups.find(id).members.length === 7, 600_000)
    const before = (await bodies(mesh, 7)).length
    await mesh.run(mesh.node(1).groups.send(id, { body: 'without seven' }))
    await mesh.until(async () => (await bodies(mesh, 5)).includes('without seven'), 600_000)
    expect(await bodies(mesh, 7)).toHaveLength(before)
  }
})

test('the largest message that a group takes fits the mail, a byte more is refused', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 57 })
  const { id } = await mesh.run(mesh.node(0).groups.create('team', [mesh.node(1).did, mesh.node(2).did]))
  const sent = await mesh.run(mesh.node(0).groups.send(id, { body: 'x'.repeat(groupBodyBytesMax) }))
  expect(sent.recipients.map(({ status }) => status)).toEqual(['acknowledged', 'acknowledged'])
  expect((await bodies(mesh, 2)).map(({ length }) => length)).toEqual([groupBodyBytesMax])
  await expect(mesh.run(mesh.node(0).groups.send(id, { body: 'x'.repeat(groupBodyBytesMax + 1) }))).rejects.toMatchObject({ code: 'ERR_WIRE_TOO_LARGE' })
})

test('a member that is off reads what was said in its mailboxes, keys and roster included, though the senders are gone by then', async () => {
  await using mesh = await createTestMesh({ nodes: 6, seed: 58, holders: [1, 2] })
  for (const index of [1, 2]) await mesh.run(mesh.node(5).mailboxes.add(mesh.node(index).did))
  await mesh.clock.advance(5_000)
  mesh.crash(5)
  // It does not even know that there is such a group.
  const { id } = await mesh.run(mesh.node(3).groups.create('team', [mesh.node(4).did, mesh.node(5).did]))
  for (const sender of [3, 4, 3]) {
    const sent = await mesh.run(mesh.node(sender).groups.send(id, { body: `from ${sender}` }))
    expect(sent.recipients.find(({ did }) => did === mesh.node(5).did)?.status).toBe('deposited')
  }
  for (const index of [1, 3, 4]) mesh.crash(index)
  const back = await mesh.restart(5)
  await mesh.run(back.dial(mesh.node(0).addresses()[0] ?? ''))
  await mesh.until(async () => (await back.inbox.list({ limit: 10 })).length === 3, 3_600_000)
  const said = await back.inbox.list({ limit: 10, group: id })
  const from = (index: number): string => `from ${index} ${mesh.node(index).did}`
  expect(said.map(({ body, from: did }) => `${body} ${did}`).toSorted()).toEqual([from(3), from(3), from(4)])
  expect(back.groups.find('team')).toMatchObject({ id, status: 'member' })
})
