import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startSealedApi } from '../../src/api/index.ts'
import { createSeededRandom, realClock } from '../../src/base/index.ts'

const status = { sealed: true, id: 'vault', counter: 1, epoch: 1, createdAt: 0, slots: [], secrets: 0, bytes: 0, rolledBack: false }

test('a node goes on to start when whoever unsealed it is gone before it is up', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-test-'))
  const leaver = new AbortController()
  const left = Promise.withResolvers<undefined>()
  const api = await startSealedApi({
    file: join(folder, 'api.json'),
    clock: realClock,
    random: createSeededRandom(1),
    status: async () => status,
    discard: async () => undefined,
    async unseal() {
      leaver.abort()
      await left.promise
      return 'the node'
    },
  })
  try {
    const asked = fetch(`${api.url}/v1/vault/unseal`, {
      method: 'POST',
      body: '{"kind":"passphrase","passphrase":"right"}',
      headers: { 'content-type': 'application/json' },
      signal: leaver.signal,
    })
    await expect(asked).rejects.toThrow('aborted')
    // Answered after the server has heard that the other one is gone.
    await fetch(`${api.url}/healthz`)
    left.resolve(undefined)
    expect(await api.unsealed).toBe('the node')
  } finally {
    await api.stop()
    await rm(folder, { recursive: true })
  }
})
