import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import type { Context } from '../context.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'

const nodesMax = 32

interface Started {
  readonly home: string
  readonly did: string
  readonly api: string
  readonly addresses: readonly string[]
}

interface DevOptions {
  readonly nodes: string
  readonly dir?: string
}

export function addDevCommands(program: Command, add: AddCommand): void {
  const dev = program.command('dev').description('for those who build on kindmesh')
  add<readonly [], DevOptions>(
    dev,
    'up',
    'run a mesh of nodes on loopback, each a process and a profile of its own, until interrupted',
    (command) => command.option('--nodes <n>', 'how many', '3').option('--dir <folder>', 'keep the profiles there; a temporary folder unless given'),
    async (context, _args, { nodes, dir }) => {
      const count = parseCount(nodes, '--nodes', nodesMax)
      if (count === 0) throw new MeshError('ERR_USAGE', '--nodes must be at least 1')
      const folder = dir ?? (await mkdtemp(join(tmpdir(), 'kindmesh-dev-')))
      const children: ChildProcess[] = []
      try {
        const started: Started[] = []
        for (let index = 0; index < count && !context.signal.aborted; index++) {
          started.push(await startNode(children, { home: join(folder, `node-${index + 1}`), bootstrap: started[0]?.addresses ?? [] }))
          context.say(`node ${index + 1} of ${count} is up`)
        }
        context.print('dev-up', { event: 'ready', nodes: started }, (data) =>
          data.nodes.map(({ home, did, api }) => `${did}  ${api}  KINDMESH_HOME=${home}`).join('\n'),
        )
        await untilStopped(context, children)
      } finally {
        await Promise.all(children.map(stopNode))
        if (dir === undefined) await rm(folder, { recursive: true, force: true })
      }
    },
  )
}

async function startNode(children: ChildProcess[], { home, bootstrap }: { readonly home: string; readonly bootstrap: readonly string[] }): Promise<Started> {
  const main = process.argv[1]
  if (main === undefined) throw new MeshError('ERR_INTERNAL', 'the command line has no path')
  const args = [
    main,
    '--home',
    home,
    'up',
    '--init',
    '--jsonl',
    '--listen',
    '/ip4/127.0.0.1/tcp/0',
    ...bootstrap.flatMap((address) => ['--bootstrap', address]),
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const lines = createInterface({ input: child.stdout })
  const ended = once(child, 'exit').then(() => undefined)
  const first = await Promise.race([once(lines, 'line').then(([line]) => String(line)), ended])
  if (first === undefined) throw new MeshError('ERR_INTERNAL', `the node in ${home} did not start`)
  // Read on, so that the pipe never fills.
  lines.on('line', () => undefined)
  const { did, api, addresses } = JSON.parse(first) as Started
  return { home, did, api, addresses }
}

async function untilStopped({ signal }: Context, children: readonly ChildProcess[]): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  await Promise.race([stopped, ...children.map((child) => once(child, 'exit'))])
}

async function stopNode(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  await once(child, 'exit')
}
