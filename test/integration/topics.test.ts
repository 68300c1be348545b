import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createPlayground } from '../helpers/cli.ts'

const main = fileURLToPath(new URL('../../scripts/run.mjs', import.meta.url))

test('a topic in three processes: published by one, read by two; nobody there is said; Ctrl-C ends a reader well', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const ben = await ground.up('ben', '--bootstrap', anna.addresses[0] ?? '')
  const cleo = await ground.up('cleo', '--bootstrap', anna.addresses[0] ?? '')

  const lost = await anna.run('topic', 'publish', 'nobody here', 'hello', '--timeout', '300ms', '--json')
  expect(lost.json()).toMatchObject({ schema: 'kindmesh.topic-publish/1', neighbours: 0 })

  const reader = spawn(process.execPath, [main, '--home', ben.home, 'topic', 'subscribe', 'news', '--jsonl'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: reader.stdout })
  const first = once(lines, 'line')
  const two = cleo.run('topic', 'subscribe', 'news', '--count', '2', '--jsonl')

  let published = await cleo.run('topic', 'publish', 'news', 'first', '--json')
  expect(published.json()).toMatchObject({ id: expect.stringMatching(/^[0-9a-f]{32}$/), neighbours: expect.any(Number) })
  expect(Number(published.json()['neighbours'])).toBeGreaterThan(0)
  expect(JSON.parse(String((await first)[0]))).toMatchObject({
    schema: 'kindmesh.topic-message/1',
    topic: 'news',
    from: cleo.did,
    type: 'text',
    body: 'first',
  })
  // Cleo may have come late for the first: more follow until she has her two.
  let done = false
  void two.then(() => (done = true))
  for (let n = 0; !done; n++) published = await anna.run('topic', 'publish', 'news', `again ${n}`, '--json')
  const bodies = (await two).stdout
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { body: string }).body)
  expect(bodies).toHaveLength(2)
  expect(new Set(bodies).size).toBe(2)

  reader.kill('SIGINT')
  expect((await once(reader, 'exit'))[0]).toBe(0)
  expect((await anna.run('topic', 'publish', '', 'x', '--json')).problem().code).toBe('ERR_USAGE')
  expect((await anna.run('topic', 'publish', 'news', 'x'.repeat(17_000), '--json')).code).not.toBe(0)
})
