import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { TaskLine } from '../../src/client/index.ts'
import { createPlayground, type UpNode } from '../helpers/cli.ts'
import { clientOf, eventually, hashFile, writeBody } from '../helpers/files.ts'

const mebibyte = 1 << 20
/** Resident memory of a process, bytes, at its highest. Linux. */
const peakOf = async ({ child }: UpNode): Promise<number> =>
  1_024 * Number(/VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${child.pid ?? 0}/status`, 'utf8'))?.[1] ?? 0)

const copy = `
  for (let at = 0; at < input; at += 1 << 20) {
    const part = await readFile('work/in/body.bin', { encoding: 'base64', offset: at, length: 1 << 20 })
    await writeFile('work/out/copy.bin', part, { encoding: 'base64', append: at > 0 })
  }
  return input`

test('files of 64 MiB go with a task and come back from it, piece by piece: neither node holds them in memory', async () => {
  await using ground = await createPlayground()
  const [asker, executor] = [await ground.up('asker'), await ground.up('executor')]
  const client = await clientOf(asker)
  await client.dial({ target: executor.ticket })
  await executor.run('attest', asker.did, '--level', 'verified', '--json')
  const [path, out] = [join(ground.folder, 'body.bin'), join(ground.folder, 'out')]
  const size = 64 * mebibyte
  const hash = await writeBody(path, size, 7)
  const before = await Promise.all([asker, executor].map(peakOf))
  const lines: TaskLine[] = []
  const limits = { wallMs: 300_000, cpuMs: 200_000, fsOps: 10_000, hostCalls: 10_000 }
  const order = { on: executor.did, code: copy, input: size, limits, files: [{ path }], out, capabilities: ['file:read', 'file:write'] as const }
  for await (const line of client.run({ ...order, capabilities: [...order.capabilities] })) lines.push(line)
  expect(lines.at(-1)).toMatchObject({ type: 'result', ok: true, result: size })
  expect(await hashFile(join(out, 'copy.bin'))).toBe(hash)
  const after = await Promise.all([asker, executor].map(peakOf))
  for (const [index, peak] of after.entries()) expect((peak - (before[index] ?? 0)) / mebibyte).toBeLessThan(128)
  // The executor keeps nothing of them.
  await eventually(async () => ((await readdir(join(executor.home, 'tasks'))).length === 0 ? true : undefined))
}, 300_000)
