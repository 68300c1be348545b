import { expect, test } from 'vitest'
import { createTestMesh } from '../../src/testing/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'

test('whatever write of the receiver fails, nothing is acknowledged that is not kept, and it goes on when the disk is back', async () => {
  for (let failing = 1; failing <= 12; failing++) {
    let writes = -Infinity
    const store = createMemoryStore({ fault: () => (++writes >= failing && writes < failing + 3 ? 'fail' : undefined) })
    await using mesh = await createTestMesh({ nodes: 2, seed: failing, store: (index) => (index === 0 ? store : createMemoryStore()) })
    await mesh.node(0).agents.add('echo')
    writes = 0
    const acknowledged: string[] = []
    for (let index = 0; index < 12; index++) {
      const { status } = await mesh.run(mesh.node(1).send(mesh.node(0).did, { body: String(index) }, { timeoutMs: 5_000 }))
      if (status === 'acknowledged') acknowledged.push(String(index))
    }
    expect(acknowledged.length).toBeLessThan(12)
    mesh.crash(0)
    const restarted = await mesh.restart(0)
    const kept = new Set((await restarted.inbox.list({ limit: 100 })).map(({ body }) => body))
    expect(acknowledged.filter((body) => !kept.has(body))).toEqual([])
    // What the full disk refused is still with its sender, and comes now.
    await mesh.run(restarted.dial(mesh.node(1).addresses()[0] ?? ''))
    await mesh.until(() => mesh.node(1).outbox().length === 0)
    expect((await restarted.inbox.list({ limit: 100 })).map(({ body }) => body)).toEqual(Array.from({ length: 12 }, (_, index) => String(index)))
    expect(await restarted.audit.verify()).toMatchObject({ ok: true })
  }
})

test('a statement whose write fails is not signed into the book, and its seq is taken by the next', async () => {
  let isFull = false
  const store = createMemoryStore({ fault: () => (isFull ? 'fail' : undefined) })
  await using mesh = await createTestMesh({ nodes: 2, seed: 1, store: (index) => (index === 0 ? store : createMemoryStore()) })
  const fields = { subject: mesh.node(1).did, level: 2, scopes: ['/task/run'], lifetimeMs: 86_400_000 } as const
  isFull = true
  expect(await mesh.run(codeOf(mesh.node(0).trust.attest(fields)))).toBe('ERR_STORE_FAILED')
  expect(mesh.node(0).trust.show()).toEqual([])
  expect(mesh.node(0).trust.snapshot('/task/run').level(mesh.node(1).did)).toBe(0)
  isFull = false
  const { id } = await mesh.run(mesh.node(0).trust.attest(fields))
  expect(
    mesh
      .node(0)
      .trust.show()
      .map((statement) => statement.id),
  ).toEqual([id])
  expect(mesh.node(0).trust.snapshot('/task/run').level(mesh.node(1).did)).toBe(2)
})

test('no task runs that the log cannot take', async () => {
  let isFull = false
  let ran = 0
  const store = createMemoryStore({ fault: (_write, durable) => (isFull && durable ? 'fail' : undefined) })
  const usage = { cpuMs: 0, wallMs: 0, memoryBytes: 0, outputBytes: 0, hostCalls: 0, netBytes: 0, fsOps: 0 }
  const backend = {
    level: 'sandboxed',
    name: 'counting',
    async *run() {
      ran++
      yield { type: 'done', result: '1', usage, security: [] } as const
    },
    stop: async () => undefined,
  } as const
  const sandboxes = { available: () => [], probe: async () => [], ready: async () => backend, get: () => backend, stop: async () => undefined }
  await using mesh = await createTestMesh({ nodes: 2, seed: 2, sandboxes, store: (index) => (index === 0 ? store : createMemoryStore()) })
  const [executor, asker] = [mesh.node(0), mesh.node(1)]
  await mesh.run(executor.trust.attest({ subject: asker.did, level: 2, scopes: ['/task/run'], lifetimeMs: 86_400_000 }))
  const runTask = async (): Promise<void> => {
    for await (const _event of asker.tasks.run({ on: executor.did, code: 'return 1', input: null }));
  }
  isFull = true
  expect(await mesh.run(codeOf(runTask()))).toBe('ERR_STORE_FAILED')
  expect(ran).toBe(0)
  isFull = false
  expect(await mesh.run(codeOf(runTask()))).toBe('ok')
  expect(ran).toBe(1)
})
