import { mkdtemp, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type SealedApi, startSealedApi } from '../../src/api/index.ts'
import { createSeededRandom, createVirtualClock } from '../../src/base/index.ts'

let folder: string
let api: SealedApi<string>
let reached: PromiseWithResolvers<void>
let opening: PromiseWithResolvers<string>
let discarded: string[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kindmesh-sealed-'))
  reached = Promise.withResolvers()
  opening = Promise.withResolvers()
  discarded = []
  api = await startSealedApi({
    file: join(folder, 'api.json'),
    clock: createVirtualClock(),
    random: createSeededRandom(7),
    status: async () => ({ sealed: true, id: 'id', counter: 1, epoch: 1, createdAt: 0, slots: [], secrets: 0, bytes: 0, rolledBack: false }),
    async unseal() {
      reached.resolve()
      return await opening.promise
    },
    async discard(given) {
      discarded.push(given)
    },
  })
})
afterEach(async () => {
  await api.stop()
  await rm(folder, { recursive: true })
})

/** Sends the key; `cut` ends the connection. */
function unseal(): { cut(): Promise<void> } {
  const sent = request(`${api.url}/v1/vault/unseal`, { method: 'POST', headers: { 'content-type': 'application/json' }, agent: false })
  const gone = Promise.withResolvers<void>()
  sent.on('error', () => undefined).on('close', () => gone.resolve())
  sent.end(JSON.stringify({ kind: 'prf', secret: 'AAAA' }))
  return {
    async cut() {
      sent.destroy()
      await gone.promise
    },
  }
}
const isThere = (): Promise<boolean> =>
  stat(join(folder, 'api.json')).then(
    () => true,
    () => false,
  )

test('what was unsealed is handed over though whoever unsealed it went away before the answer', async () => {
  const client = unseal()
  await reached.promise
  await client.cut()
  // The server has seen the end of the connection once it answers on another one.
  await fetch(`${api.url}/healthz`)
  opening.resolve('node')
  expect(await api.unsealed).toBe('node')
  expect([discarded, await isThere()]).toEqual([[], false])
})

test('stopped while it is being unsealed, what opens is discarded and the file of the API is gone', async () => {
  unseal()
  await reached.promise
  const stopped = api.stop()
  opening.resolve('node')
  await stopped
  await expect(api.unsealed).rejects.toMatchObject({ code: 'ERR_STOPPED' })
  expect([discarded, await isThere()]).toEqual([['node'], false])
})
