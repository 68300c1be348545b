import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { realClock, silentLogger } from '../../../src/base/index.ts'
import { createSandboxes, sandboxLimitsDefault } from '../../../src/sandbox/index.ts'
import { alternate, type Bench, median, row, type Row } from '../harness.ts'

const task = { code: 'return input.a + 1', input: '{"a":41}' }

/** A small task against a fresh dynamic worker of workerd, which has no limits of memory or time. Without workerd (`npm install --no-save workerd`) there is no row. */
export async function* sandboxWorkerd(bench: Bench): AsyncIterable<Row> {
  const program = findWorkerd()
  if (program === undefined) {
    process.stderr.write('workerd is not installed, its row is left out: npm install --no-save --ignore-scripts workerd\n')
    return
  }
  await using stack = new AsyncDisposableStack()
  const workerd = stack.use(await startWorkerd(program, bench.path('workerd')))
  const sandboxes = await createSandboxes({ clock: realClock, logger: silentLogger, poolSize: 2 })
  stack.defer(() => sandboxes.stop())
  const backend = sandboxes.get('sandboxed')
  const count = bench.rounds(40)
  const p50 = async (act: () => Promise<unknown>): Promise<number> => {
    const times: number[] = []
    for (let index = 0; index < count; index++) {
      const begin = performance.now()
      await act()
      times.push(performance.now() - begin)
    }
    return median(times)
  }
  const figures = await alternate(bench.rounds(5), {
    ours: () =>
      p50(async () => {
        for await (const event of backend.run(task, { limits: sandboxLimitsDefault })) if (event.type === 'failed') throw new Error(event.message)
      }),
    workerd: () => p50(() => workerd.run(task)),
  })
  yield row({
    id: 'sandbox-workerd',
    what: `small task in a warm worker (${backend.name})`,
    unit: 'ms',
    figures: figures.ours,
    against: 'fresh dynamic worker of workerd over loopback HTTP',
    others: figures.workerd,
  })
}

function findWorkerd(): string | undefined {
  try {
    const { resolve } = createRequire(import.meta.url)
    // No dependency of ours: 160 MB that only this row wants.
    const platform = ['@cloudflare', 'workerd-linux-64', 'bin', 'workerd'].join('/')
    return resolve(platform)
  } catch {
    return undefined
  }
}

interface Workerd extends AsyncDisposable {
  run(body: typeof task): Promise<string>
}

async function startWorkerd(program: string, folder: string): Promise<Workerd> {
  const port = await freePort()
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'main.js'), mainSource)
  writeFileSync(join(folder, 'config.capnp'), configOf(port))
  const child = spawn(program, ['serve', 'config.capnp', '--experimental'], { cwd: folder, stdio: 'ignore' })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const run = async (body: typeof task): Promise<string> =>
    await (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: JSON.stringify(body) })).text()
  for (let attempt = 0; (await run(task).catch(() => '')) !== '42'; attempt++) {
    if (attempt > 100) throw new Error('workerd does not answer')
    await realClock.sleep(100)
  }
  return {
    run,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

const configOf = (port: number): string => `
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const main :Workerd.Worker = (
  modules = [(name = "main.js", esModule = embed "main.js")],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["experimental"],
  bindings = [(name = "LOADER", workerLoader = (id = "tasks"))]
);
`

const mainSource = `
let count = 0
export default { async fetch(request, env) {
  const { code, input } = await request.json()
  const source = 'export default { async fetch(request) { const input = await request.json(); return Response.json(await (async () => {' + code + '})()) } }'
  const worker = env.LOADER.get('task' + ++count, async () => ({ compatibilityDate: '2026-01-01', mainModule: 'task.js', modules: { 'task.js': source }, globalOutbound: null }))
  return await worker.getEntrypoint().fetch('http://task/', { method: 'POST', body: input })
} }
`
