import { describe, expect, test } from 'vitest'
import type { Sandboxes } from '../../src/sandbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { createFaultyDisk, type FaultyDisk } from '../helpers/mesh-faults.ts'
import { codeOf, signMessage, request } from '../helpers/raw-peer.ts'

const hows = ['fail', 'fail-late', 'cut-before', 'cut-after'] as const
type How = (typeof hows)[number]
const usage = { cpuMs: 0, wallMs: 0, memoryBytes: 0, outputBytes: 0, hostCalls: 0, netBytes: 0, fsOps: 0 }
const scopes = ['/task/run']
const lifetimeMs = 86_400_000

/** Runs nothing, answers 42, and notes each task. */
const countingSandboxes = (ran: string[]): Sandboxes => {
  const backend = {
    level: 'sandboxed',
    name: 'counting',
    async *run({ input }: { readonly input: string }) {
      ran.push(input)
      yield { type: 'done', result: '42', usage, security: [] } as const
    },
    stop: async () => undefined,
  } as const
  return { available: () => [], probe: async () => [], ready: async () => backend, get: () => backend, stop: async () => undefined }
}

interface Stage {
  readonly mesh: TestMesh
  readonly disk: FaultyDisk
  readonly ran: string[]
  /** Arms the fault for node 0. */
  arm(write: number, how: How): void
  /** Brings node 0 back after the fault: restarts it if its power was cut. */
  recover(how: How): Promise<TestNode>
}

async function createStage(seed: number): Promise<Stage> {
  const disk = createFaultyDisk()
  const ran: string[] = []
  const store = (index: number) => (index === 0 ? disk.store : createMemoryStore())
  const mesh = await createTestMesh({ nodes: 2, seed, store, sandboxes: countingSandboxes(ran) })
  await mesh.clock.advance(5_000)
  return {
    mesh,
    disk,
    ran,
    arm: (write, how) => disk.arm(write, how, () => mesh.simulator.crash(mesh.node(0).did)),
    async recover(how) {
      disk.repair()
      if (how.startsWith('fail')) return mesh.node(0)
      // A cut that the act did not reach is made now.
      if (!disk.struck) mesh.crash(0)
      await mesh.clock.advance(5_000)
      const node = await mesh.restart(0)
      await mesh.run(mesh.node(1).dial(node.addresses()[0] ?? ''))
      return node
    },
  }
}

const bodies = async (node: TestNode): Promise<readonly string[]> => (await node.inbox.list({ limit: 100 })).map(({ body }) => body)
async function entriesOf(node: TestNode, event: string): Promise<number> {
  let count = 0
  for await (const entry of node.audit.entries()) if (entry.event === event) count++
  return count
}

describe.each(hows)('the receiver, %s', (how) => {
  test('keeps what it acknowledged, and takes the same frame once however often it comes', async () => {
    let strikes = 0
    for (let write = 1; write <= 4; write++) {
      const stage = await createStage(write)
      await using mesh = stage.mesh
      const peer = await createSimulatedPeer(mesh, 31)
      const link = await mesh.run(peer.link(0))
      await mesh.clock.advance(5_000)
      const frames = ['one', 'two', 'three'].map((body) =>
        peer.seal(signMessage(peer.keyring, { to: mesh.node(0).did, body, issuedAt: mesh.clock.now(), lifetimeMs: 600_000 }), peer.bundleOf(link)),
      )
      stage.arm(write, how)
      const outcomes: string[] = []
      for (const frame of frames) outcomes.push(await mesh.run(codeOf(request(link, frame, { ttlMs: 3_000 }))))
      if (stage.disk.struck) {
        strikes++
        expect(outcomes).toContain(how.startsWith('fail') ? 'ERR_STORE_FAILED' : 'ERR_NET_CLOSED')
      }
      const node = await stage.recover(how)
      const acknowledged = ['one', 'two', 'three'].filter((_, index) => outcomes[index] === 'ok')
      const kept = await bodies(node)
      expect(acknowledged.filter((body) => !kept.includes(body))).toEqual([])
      // The same three again: what is there is a replay, what is not is taken now.
      const again = how.startsWith('fail') ? link : await mesh.run(peer.link(0))
      for (const [index, frame] of frames.entries()) {
        const isKept = kept.includes(['one', 'two', 'three'][index] ?? '')
        expect(await mesh.run(codeOf(request(again, frame)))).toBe(isKept ? 'ERR_REPLAYED' : 'ok')
      }
      expect([...(await bodies(node))].sort()).toEqual(['one', 'three', 'two'])
      expect(await entriesOf(node, 'message_received')).toBe(3)
      expect(await node.audit.verify()).toMatchObject({ ok: true })
    }
    expect(strikes).toBeGreaterThanOrEqual(3)
  })

  test('lets an agent answer a question once at most, whatever happens to the disk', async () => {
    for (let write = 1; write <= 3; write++) {
      const stage = await createStage(10 + write)
      await using mesh = stage.mesh
      const answered: string[] = []
      const counting = { name: 'count', receive: async ({ body }: { readonly body: string }) => answered.push(body) }
      mesh.node(0).agents.register(counting)
      const peer = await createSimulatedPeer(mesh, 32)
      const link = await mesh.run(peer.link(0))
      await mesh.clock.advance(5_000)
      const frames = ['a', 'b'].map((body) =>
        peer.seal(
          signMessage(peer.keyring, { to: mesh.node(0).did, body, agent: 'count', expectsReply: true, issuedAt: mesh.clock.now() }),
          peer.bundleOf(link),
        ),
      )
      stage.arm(write, how)
      for (const frame of frames) await mesh.run(codeOf(request(link, frame, { ttlMs: 3_000 })))
      const node = await stage.recover(how)
      if (how.startsWith('cut')) node.agents.register(counting)
      const again = how.startsWith('fail') ? link : await mesh.run(peer.link(0))
      for (let round = 0; round < 2; round++) for (const frame of frames) await mesh.run(codeOf(request(again, frame)))
      expect(new Set(answered).size).toBe(answered.length)
      // After a failed write the sender may try again with the same frame; what reached the log stays taken.
      if (how === 'fail' || how === 'cut-before') expect([...answered].sort()).toEqual(['a', 'b'])
      expect(await codeOf(mesh.run(mesh.node(1).ask(node.did, 'fresh', { agent: 'count' })))).toBe('ok')
    }
  })
})

describe.each(hows)('the executor, %s at each of its writes', (how) => {
  test('runs a task once at most, and a result that was told has its receipt on disk', async () => {
    let strikes = 0
    for (let write = 1; write <= 6; write++) {
      const stage = await createStage(20 + write)
      await using mesh = stage.mesh
      const [executor, asker] = [mesh.node(0), mesh.node(1)]
      await mesh.run(executor.trust.attest({ subject: asker.did, level: 2, scopes, lifetimeMs }))
      await mesh.clock.advance(5_000)
      let receipt: string | undefined
      const order = async (input: number): Promise<void> => {
        for await (const event of asker.tasks.run({ on: executor.did, code: 'return 42', input })) {
          if (event.type !== 'result') continue
          expect(event).toMatchObject({ ok: true, result: 42 })
          receipt = event.receipt.id
        }
      }
      stage.arm(write, how)
      const outcome = await mesh.run(codeOf(order(1)))
      if (stage.disk.struck) strikes++
      expect(outcome === 'ok').toBe(receipt !== undefined)
      const node = await stage.recover(how)
      expect(stage.ran.length).toBeLessThanOrEqual(1)
      if (outcome === 'ok') {
        const signed = await entriesOf(node, 'receipt_signed')
        expect(signed).toBe(1)
      }
      expect(await node.audit.verify()).toMatchObject({ ok: true })
      expect(await mesh.run(codeOf(order(2)))).toBe('ok')
      expect(stage.ran.filter((input) => input === '2')).toHaveLength(1)
    }
    expect(strikes).toBeGreaterThanOrEqual(5)
  })
})

describe.each(hows)('one who attests, %s at each of its writes', (how) => {
  test('has the statement and its audit entry, or neither, and the next one is in order', async () => {
    for (let write = 1; write <= 2; write++) {
      const stage = await createStage(40 + write)
      await using mesh = stage.mesh
      const subject = mesh.node(1).did
      stage.arm(write, how)
      const outcome = await mesh.run(codeOf(mesh.node(0).trust.attest({ subject, level: 2, scopes, lifetimeMs })))
      await mesh.clock.advance(2_000)
      const node = await stage.recover(how)
      const held = node.trust.show().length
      if (outcome === 'ok') expect(held).toBe(1)
      expect(await entriesOf(node, 'attestation_issued')).toBe(held)
      expect(node.trust.snapshot('/task/run').level(subject)).toBe(held === 0 ? 0 : 2)
      await mesh.run(node.trust.attest({ subject, level: 3, scopes, lifetimeMs }))
      expect(node.trust.snapshot('/task/run').level(subject)).toBe(3)
      expect(new Set(node.trust.show().map(({ seq }) => seq)).size).toBe(held + 1)
      expect(await node.audit.verify()).toMatchObject({ ok: true })
    }
  })
})

describe.each(hows)('the sender, %s at each of its writes', (how) => {
  test('says that nothing was sent when its own log could not take it, and sends again when the disk is back', async () => {
    for (let write = 1; write <= 2; write++) {
      const stage = await createStage(50 + write)
      await using mesh = stage.mesh
      await mesh.node(1).agents.add('echo')
      stage.arm(write, how)
      const sent = await mesh.run(codeOf(mesh.node(0).send(mesh.node(1).did, { body: 'first' }, { timeoutMs: 5_000 })))
      const asked = await mesh.run(codeOf(mesh.node(0).ask(mesh.node(1).did, 'first?', { timeoutMs: 5_000 })))
      const node = await stage.recover(how)
      // What was said to be sent or asked is in the log.
      expect(await entriesOf(node, 'message_sent')).toBeGreaterThanOrEqual([sent, asked].filter((code) => code === 'ok').length)
      expect(await mesh.run(codeOf(node.send(mesh.node(1).did, { body: 'second' })))).toBe('ok')
      expect((await mesh.run(node.ask(mesh.node(1).did, 'second?'))).reply).toBe('second?')
      const kept = await bodies(mesh.node(1))
      expect(kept.filter((body) => body === 'second')).toHaveLength(1)
      expect(kept.filter((body) => body === 'first').length).toBeLessThanOrEqual(1)
      expect(await node.audit.verify()).toMatchObject({ ok: true })
    }
  })
})

test('a node whose clock was set back an hour, or a year, starts, remembers and serves', async () => {
  for (const backMs of [3_600_000, 365 * 86_400_000]) {
    await using mesh = await createTestMesh({ nodes: 2, seed: 60 })
    const { did } = mesh.node(1)
    await mesh.run(mesh.node(0).trust.attest({ subject: did, level: 2, scopes, lifetimeMs }))
    await mesh.run(mesh.node(1).send(mesh.node(0).did, { body: 'before' }))
    mesh.crash(0)
    mesh.clock.jump(-backMs)
    const node = await mesh.restart(0)
    expect(node.trust.show()).toHaveLength(1)
    expect(await bodies(node)).toEqual(['before'])
    expect(await node.audit.verify()).toMatchObject({ ok: true })
    mesh.clock.jump(backMs)
    await mesh.clock.advance(5_000)
    await mesh.run(mesh.node(1).dial(node.addresses()[0] ?? ''))
    await mesh.run(mesh.node(1).send(node.did, { body: 'after' }))
    expect(await bodies(node)).toEqual(['before', 'after'])
  }
})
