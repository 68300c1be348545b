import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createNode, type MeshNode } from '../../src/index.ts'
import { codeOf } from '../helpers/raw-peer.ts'

test('a node dialled by a bare address is the one of the first time, also under its next key; another one there is refused and gives up no connection', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-pins-'))
  const start = (name: string, listen = '/ip4/127.0.0.1/tcp/0'): Promise<MeshNode> => createNode({ dataDir: join(folder, name), listen: [listen] })
  try {
    await using anna = await start('anna')
    const place = await (async () => {
      await using ben = await start('ben')
      const bare = ben.addresses()[0]?.replace(/\/p2p\/.+$/, '') ?? ''
      expect((await anna.dial(bare)).did).toBe(ben.did)
      await ben.rotate()
      expect((await anna.dial(bare)).did).toBe(ben.did)
      return bare
    })()
    await using cleo = await start('cleo', place)
    expect(await codeOf(anna.dial(place))).toBe('ERR_PIN_CHANGED')
    expect(anna.peers().map(({ did }) => did)).not.toContain(cleo.did)
    expect(anna.pins.list()).toMatchObject([{ source: place, offered: cleo.did }])
    await anna.pins.approve(place)
    expect((await anna.dial(place)).did).toBe(cleo.did)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
