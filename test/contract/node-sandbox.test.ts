import { afterAll, beforeAll, expect, test } from 'vitest'
import type { NodeEvent } from '../../src/node/index.ts'
import type { Sandboxes } from '../../src/sandbox/index.ts'
import { createTestMesh } from '../../src/testing/mesh.ts'
import { createTestSandboxes } from '../helpers/sandbox.ts'

let sandboxes: Sandboxes
beforeAll(async () => {
  sandboxes = await createTestSandboxes(1)
}, 30_000)
afterAll(() => sandboxes.stop())

test('a sandbox of a node reaches what the node has, and what it tries besides is told and stands in the log', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 3, sandboxes })
  const node = mesh.node(0)
  const events: NodeEvent[] = []
  node.onEvent((event) => void (event.event === 'security' && events.push(event)))
  const box = node.createSandbox({ agentId: 'scribe', isolationLevel: 'sandboxed', permissions: ['memory:read', 'memory:write', 'network:outbound'] })
  const other = node.createSandbox({ agentId: 'reader', isolationLevel: 'sandboxed', permissions: ['memory:read'] })

  expect(await box.execute('await memory.set("k", input); return await memory.get("k")', 'v')).toMatchObject({ success: true, result: 'v' })
  expect(await box.execute('return await memory.get("k")', null)).toMatchObject({ result: 'v' })
  expect(await other.execute('return await memory.get("k")', null)).toMatchObject({ success: true, result: null })
  expect(events).toEqual([])
  expect(await other.execute('return await memory.set("k", 1)', null)).toMatchObject({ success: false, error: { code: 'ERR_SANDBOX_PERMISSION' } })
  expect(await box.execute('try { await fetch("https://kindmesh.example/") } catch { return 1 }', null)).toMatchObject({ success: true })
  expect(events).toMatchObject([
    { event: 'security', agentId: 'reader', kind: 'denied', detail: expect.stringContaining('memory:write') as string },
    { event: 'security', agentId: 'scribe', kind: 'denied', detail: expect.stringContaining('fetch') as string },
  ])
  const kinds = (await node.audit.tail({ limit: 50 })).map(({ event }) => event)
  expect(kinds.filter((kind) => kind === 'sandbox_created')).toHaveLength(5)
  expect(kinds.filter((kind) => kind === 'code_executed')).toHaveLength(4)
  expect(kinds.filter((kind) => kind === 'code_execution_failed')).toHaveLength(1)
}, 30_000)
