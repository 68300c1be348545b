import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createPlayground, kindmesh } from '../helpers/cli.ts'

test('trust compute needs no profile, no node and no network', async () => {
  await using ground = await createPlayground()
  const graph = join(ground.folder, 'graph.csv')
  await writeFile(graph, 'iss,sub,level,depth,iat,exp,scope\nme,anna,3,1,,,/task\nanna,zoe,1,,1760000000,,/task/run\nme,"\x1b[2Jbad",-1,,,,/\n')
  const ask = async (...args: readonly string[]) => await kindmesh(ground.home('nobody'), 'trust', 'compute', '--graph', graph, '--root', 'me', ...args)
  const answer = await ask('--scope', '/task/run', '--now', '2026-01-01T00:00:00Z', '--explain', 'zoe', '--json')
  expect(answer.code).toBe(0)
  expect(answer.json()).toMatchObject({
    schema: 'kindmesh.trust-compute/1',
    levels: { me: 4, anna: 3, zoe: 1, '\x1b[2Jbad': -1 },
    explanation: { subject: 'zoe', level: 1, because: [{ path: ['me', 'anna', 'zoe'], attestations: ['line 2', 'line 3'] }] },
  })
  const table = await ask('--now', '2026-01-01')
  expect(table.stdout).toMatch(/^authority +me\ntrusted +anna\nbasic +zoe\ndistrust +.\[2Jbad\n$/u)
  expect(table.stdout).not.toContain('\x1b')

  await writeFile(graph, 'iss,sub,level,depth,iat,exp,scope\nme,anna,lots,1,,,/task\n')
  const broken = await ask('--json')
  expect([broken.code, broken.problem()]).toEqual([2, expect.objectContaining({ code: 'ERR_TRUST_CSV', message: "line 2: 'lots' is no level" })])
  const missing = await kindmesh(ground.home('nobody'), 'trust', 'compute', '--graph', join(ground.folder, 'none.csv'), '--root', 'me', '--json')
  expect([missing.code, missing.problem().code]).toEqual([2, 'ERR_USAGE'])
  const never = await ask('--now', 'soon', '--json')
  expect([never.code, never.problem().code]).toEqual([2, 'ERR_USAGE'])
})
