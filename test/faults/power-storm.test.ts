import { expect, test } from 'vitest'
import { createSeededRandom, randomInt } from '../../src/base/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { createFaultyDisk } from '../helpers/mesh-faults.ts'
import { codeOf } from '../helpers/raw-peer.ts'

const storms = process.env['KINDMESH_TEST_LONG'] === undefined ? 10 : 50
const blowsPerStorm = 100
/** At each blow two of three lose their power. */
const cutsPerStorm = 2 * blowsPerStorm
const [receiver, sender, holder] = [0, 1, 2] as const

interface Record {
  readonly promised: Set<string>
  /** What agents were asked, each time. */
  readonly asked: string[]
}

async function bodiesOf(node: TestNode): Promise<readonly string[]> {
  return (await node.inbox.list({ limit: 1_000 })).map(({ body }) => body)
}

/** The power of one of three is cut again and again, at a write or between two, while two of them write to each other. */
async function storm(seed: number): Promise<number> {
  const random = createSeededRandom(seed)
  const disks = [createFaultyDisk(), createFaultyDisk(), createFaultyDisk()]
  const noDisk = createFaultyDisk()
  await using mesh: TestMesh = await createTestMesh({ nodes: 3, seed, holders: [holder], latencyMs: [1, 40], store: (index) => (disks[index] ?? noDisk).store })
  const { promised, asked }: Record = { promised: new Set(), asked: [] }
  const giveAgent = (): void => mesh.node(receiver).agents.register({ name: 'count', receive: async ({ body }) => asked.push(body) })
  giveAgent()
  await mesh.run(mesh.node(receiver).mailboxes.add(mesh.node(holder).did))
  await mesh.clock.advance(5_000)
  let struck = 0
  for (let cut = 0; cut < blowsPerStorm; cut++) {
    const spared = [receiver, sender, holder, holder][randomInt(random, 4)] ?? holder
    const victims = [receiver, sender, holder].filter((index) => index !== spared)
    for (const victim of victims) {
      disks[victim]?.arm(1 + randomInt(random, 4), randomInt(random, 2) === 0 ? 'cut-before' : 'cut-after', () => mesh.crash(victim))
    }
    const sending = Array.from({ length: 3 }, async (_, index) => {
      const [from, to] = index === 2 ? [receiver, sender] : [sender, receiver]
      const body = `${from} to ${to}, cut ${cut}, ${index}`
      await mesh.clock.sleep(randomInt(random, 60))
      if (disks[from]?.struck === true && victims.includes(from)) return
      const code = await codeOf(mesh.node(from).send(mesh.node(to).did, { body }, { timeoutMs: 4_000 }))
      if (code === 'ok') promised.add(`${to} has ${body}`)
      else expect(code).toMatch(/^ERR_(?:STORE_CLOSED|STORE_FAILED|STOPPED)$/)
    })
    const asking = codeOf(mesh.node(sender).ask(mesh.node(receiver).did, `cut ${cut}`, { agent: 'count', timeoutMs: 2_000 }))
    for (const victim of victims) {
      await mesh.clock.advance(randomInt(random, 120))
      if (disks[victim]?.struck === true) struck++
      else mesh.crash(victim)
    }
    for (const victim of victims) {
      await mesh.clock.advance(randomInt(random, 2_000))
      disks[victim]?.repair()
      await mesh.restart(victim)
      if (victim === receiver) giveAgent()
    }
    await mesh.run(codeOf(mesh.node(sender).dial(mesh.node(receiver).addresses()[0] ?? '')))
    await mesh.run(Promise.all([...sending, asking]))
  }
  const isQuiet = (): boolean => mesh.nodes.every((node) => node.outbox().filter(({ status }) => status === 'queued' || status === 'deposited').length === 0)
  for (const index of [sender, holder]) await mesh.run(codeOf(mesh.node(index).dial(mesh.node(receiver).addresses()[0] ?? '')))
  await mesh.until(isQuiet, 8 * 3_600_000)
  const kept: string[] = []
  for (const [index, node] of mesh.nodes.entries()) {
    kept.push(...(await bodiesOf(node)).map((body) => `${index} has ${body}`))
    expect(await node.audit.verify(), `seed ${seed}`).toMatchObject({ ok: true })
  }
  const arrived = new Set(kept)
  expect(arrived.size, `seed ${seed}`).toBe(kept.length)
  expect(
    [...promised].filter((entry) => !arrived.has(entry)),
    `seed ${seed}`,
  ).toEqual([])
  expect(new Set(asked).size, `seed ${seed}`).toBe(asked.length)
  expect(promised.size).toBeGreaterThan(blowsPerStorm)
  return struck
}

test('two thousand power cuts at random writes and moments: what was promised arrives, nothing happens twice, every store opens again', async () => {
  let struck = 0
  for (let seed = 1; seed <= storms; seed++) struck += await storm(seed)
  // Many of the cuts fell on a write, not between two.
  expect(struck).toBeGreaterThan((storms * cutsPerStorm) / 4)
}, 600_000)
