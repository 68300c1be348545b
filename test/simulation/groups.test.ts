import { expect, test } from 'vitest'
import { createSeededRandom, MeshError, randomInt } from '../../src/base/index.ts'
import { createPostOffice, type PostOffice } from '../helpers/groups.ts'

const all = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
const didOf = (office: PostOffice, index: number) => office.member(index).did
const view = (office: PostOffice, index: number, id: string) => office.member(index).groups.find(id)

test('a removal on one side of a partition and an addition on the other: the fork is shown to all, one roster counts for all, an admin merges', async () => {
  for (let seed = 41; seed < 46; seed++) {
    const office = await createPostOffice({ count: 12, seed })
    const run = office.run
    const { id } = await run(
      office.member(0).groups.create(
        'team',
        all(10)
          .slice(1)
          .map((index) => didOf(office, index)),
      ),
    )
    await run(office.member(0).groups.admin(id, [didOf(office, 1)]))
    await office.settle()
    office.partition([0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 11])
    await run(office.member(0).groups.remove(id, [didOf(office, 9)]))
    await run(office.member(1).groups.add(id, [didOf(office, 11)]))
    await run(office.member(0).groups.send(id, { body: 'without nine' }))
    await run(office.member(1).groups.send(id, { body: 'with eleven' }))
    await office.settle()
    expect(office.member(2).bodies).toEqual(['without nine'])
    expect(office.member(11).bodies).toEqual(['with eleven'])
    expect(view(office, 2, id).fork).toBe(false)
    office.heal()
    await office.settle()
    const shown = view(office, 0, id)
    expect(shown).toMatchObject({ fork: true, heads: [{}, {}] })
    for (const index of all(9)) expect(view(office, index, id)).toMatchObject({ fork: true, head: shown.head, members: shown.members })

    const merged = await run(office.member(0).groups.merge(id))
    await office.settle()
    // The removal stands whichever side counted; an addition only the other side knew is said to be lost.
    expect(merged.members).not.toContain(didOf(office, 9))
    expect(merged.lost).toEqual(merged.members.includes(didOf(office, 11)) ? [] : [didOf(office, 11)])
    for (const index of all(9)) expect(view(office, index, id)).toMatchObject({ fork: false, head: merged.head })
    const nine = office.member(9).bodies.length
    await run(office.member(3).groups.send(id, { body: 'merged' }))
    await office.settle()
    for (const index of [0, 1, 2, 4, 5, 6, 7, 8]) expect(office.member(index).bodies.at(-1)).toBe('merged')
    expect(office.member(9).bodies).toHaveLength(nine)
    await expect(run(office.member(0).groups.merge(id))).rejects.toMatchObject({ code: 'ERR_USAGE' })
  }
})

test('twelve nodes, twelve seeds of changes, partitions, power cuts and talk: what is left agrees, and nobody reads twice or from outside', async () => {
  for (let seed = 100; seed < 112; seed++) {
    const count = 12
    const office = await createPostOffice({ count, seed })
    const chance = createSeededRandom(seed)
    const { id } = await office.run(
      office.member(0).groups.create(
        'team',
        all(6)
          .slice(1)
          .map((index) => didOf(office, index)),
      ),
    )
    await office.run(office.member(0).groups.admin(id, [didOf(office, 1)]))
    await office.settle()
    /** Members as the sender saw them, by message. */
    const audience = new Map<string, ReadonlySet<string>>()
    let crashed: number | undefined
    for (let step = 0; step < 60; step++) {
      const actor = randomInt(chance, count)
      const other = didOf(office, randomInt(chance, count))
      const draw = chance.fraction()
      const { groups } = office.member(actor)
      if (actor === crashed) continue
      try {
        if (draw < 0.45) {
          const body = `${seed} ${step}`
          const sent = await office.run(groups.send(id, { body }))
          audience.set(body, new Set(sent.recipients.map(({ did }) => did)))
        } else if (draw < 0.55) await office.run(groups.add(id, [other]))
        else if (draw < 0.62 && other !== didOf(office, 0)) await office.run(groups.remove(id, [other]))
        else if (draw < 0.68) {
          office.partition(
            all(count).filter((index) => index % 2 === 0),
            all(count).filter((index) => index % 2 === 1),
          )
        } else if (draw < 0.76) office.heal()
        else if (draw < 0.82 && crashed === undefined) office.crash((crashed = actor))
        else if (draw < 0.9 && crashed !== undefined) {
          await office.restart(crashed)
          crashed = undefined
        } else await office.settle()
      } catch (error) {
        expect(error).toBeInstanceOf(MeshError)
        expect(['ERR_GROUP_DENIED', 'ERR_GROUP_INVALID', 'ERR_NOT_FOUND']).toContain((error as MeshError).code)
      }
    }
    if (crashed !== undefined) await office.restart(crashed)
    office.heal()
    await office.settle()
    const creator = view(office, 0, id)
    if (creator.fork) await office.run(office.member(0).groups.merge(id))
    await office.settle()
    const final = view(office, 0, id)
    expect(final.fork, `seed ${seed}`).toBe(false)
    const members = all(count).filter((index) => final.members.includes(didOf(office, index)))
    for (const index of members) expect(view(office, index, id).head, `seed ${seed} member ${index}`).toBe(final.head)
    for (const index of members) await office.run(office.member(index).groups.send(id, { body: `last of ${index}` }))
    await office.settle()
    for (const { did, bodies } of office.members) {
      expect(new Set(bodies).size, `seed ${seed}`).toBe(bodies.length)
      for (const body of bodies) expect(audience.get(body)?.has(did) ?? final.members.includes(did), `seed ${seed}: ${body}`).toBe(true)
    }
    for (const index of members) {
      const last = office.member(index).bodies.filter((body) => body.startsWith('last of'))
      expect(last.toSorted(), `seed ${seed} member ${index}`).toEqual(
        members
          .filter((from) => from !== index)
          .map((from) => `last of ${from}`)
          .toSorted(),
      )
    }
  }
})
