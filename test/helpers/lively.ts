import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Client, createClient } from '../../src/client/index.ts'
import type { createPlayground, UpNode } from './cli.ts'

const dayMs = 86_400_000

/** A node of its own process and its API as the command line has it. */
export interface Lively {
  readonly node: UpNode
  readonly api: Client
}

export async function clientOf(node: UpNode): Promise<Client> {
  const { token } = JSON.parse(await readFile(join(node.home, 'api.json'), 'utf8')) as { readonly token: string }
  return createClient({ url: node.api, token })
}

/**
 * Five nodes with something of everything a console shows: peers here and away, statements, names, somebody who waits for approval, tasks that went
 * well and not, messages and one that waits, secrets, invites, rights. The first is the one to look at.
 */
export async function createLively(ground: Awaited<ReturnType<typeof createPlayground>>): Promise<readonly Lively[]> {
  const all: Lively[] = []
  for (const name of ['anna', 'ben', 'carol', 'dora', 'eli']) {
    const node = await ground.up(name)
    all.push({ node, api: await clientOf(node) })
  }
  const [anna, ben, carol, dora, eli] = all as [Lively, Lively, Lively, Lively, Lively]
  for (const { api } of [ben, carol, dora, eli]) await api.dial({ target: anna.node.ticket })
  await carol.api.dial({ target: ben.node.ticket })

  await trust(anna, ben, 'verified', ['/task/run', '/message'])
  await trust(anna, carol, 'basic', ['/message'])
  await trust(ben, anna, 'verified', ['/task/run'])
  await trust(ben, carol, 'trusted', ['/task/run'])
  await trust(carol, dora, 'verified', ['/task/run'])
  await trust(anna, eli, 'distrust', ['/'])
  await anna.api.setName({ name: 'Ben the librarian', peer: ben.node.did })
  await anna.api.setName({ name: 'Carol', peer: carol.node.did })

  await task(anna.api, ben.node.did, `console.log('counting'); let sum = 0; for (let i = 0; i < input; i += 1) sum += i; return { sum }`, 1_000)
  await task(anna.api, ben.node.did, `console.error('no such book'); throw new Error('walden is not here')`, null)
  // Trusted too little at anna: waits there for approval.
  await task(dora.api, anna.node.did, 'return 1', null)
  await task(ben.api, anna.node.did, `return input.toUpperCase()`, 'served')

  await ben.api.send({ to: anna.node.did, body: 'The book is in. Shall I keep it for you?' })
  await carol.api.send({ to: anna.node.did, body: '{"shelf":7,"titles":["Walden","Civil Disobedience"]}', type: 'library/found', encoding: 'json' })
  await anna.api.send({ to: ben.node.did, body: 'Yes please, until Friday.' })
  await anna.api.addAgent({ name: 'echo' })
  await anna.api.setSecret({ name: 'printer-pin', value: '4711-0815' })
  await anna.api.setSecret({ name: 'weather-api-key', value: 'not-a-real-key' })
  await anna.api.invite({ level: 'basic', scopes: ['/message'], openMs: dayMs })
  await anna.api.issueGrant({ audience: ben.node.did, command: '/task/run', lifetimeMs: 7 * dayMs })
  await anna.api.createToken({ surface: 'scripts', rights: ['/api/read'] }).catch(() => undefined)

  await eli.node.end('SIGTERM')
  await anna.api.send({ to: eli.node.did, body: 'Are you there?', timeoutMs: 1_000 }).catch(() => undefined)
  return all
}

const trust = ({ api }: Lively, about: Lively, level: 'distrust' | 'basic' | 'verified' | 'trusted', scopes: string[]): Promise<unknown> =>
  api.attest({ subject: about.node.did, level, scopes, depth: level === 'trusted' ? 1 : 0, lifetimeMs: 90 * dayMs })

/** Runs it to its end, whatever that is. */
async function task(api: Client, on: string, code: string, input: unknown): Promise<void> {
  try {
    for await (const line of api.run({ on, code, input })) if (line.type === 'result') return
  } catch {
    // Refused or failed: that is to be seen in the console.
  }
}
