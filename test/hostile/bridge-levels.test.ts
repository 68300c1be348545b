import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RunBridge } from '../../src/bridge/index.ts'
import { type HostBridge, type IsolationBackend, parsePolicy, grantsSchema } from '../../src/sandbox/index.ts'
import { createMemories } from '../../src/bridge/index.ts'
import { realClock } from '../../src/base/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { bypassCases } from '../helpers/bridge-bypasses.ts'
import { type BridgeWorld, createBridgeWorld } from '../helpers/bridge-world.ts'
import { startBackend, testBackends } from '../helpers/sandbox-backends.ts'
import { runTask } from '../helpers/sandbox.ts'

const testTimeoutMs = 180_000
const limits = { wallMs: 120_000, cpuMs: 60_000, outputBytes: 4 << 20, hostCalls: 10_000, netKiBps: 100_000, fsOps: 10_000 }

let world: BridgeWorld
beforeAll(async () => {
  world = await createBridgeWorld()
})
afterAll(async () => world.close())

/** Fetches one after another, and goes on whatever comes of it. */
const attempts = `
const codes = []
for (const { url, init } of input) {
  try { codes.push('reached ' + (await fetch(url, init ?? undefined)).status) } catch (error) { codes.push(error.code ?? String(error)) }
}
return codes
`

/** Each fetch of a run under the policy of the next case, as if it were a run of its own. */
function caseByCase(): { readonly host: HostBridge; readonly bridges: readonly RunBridge[] } {
  const bridges: RunBridge[] = []
  return {
    bridges,
    host: {
      async call(name, args, signal) {
        const bypass = bypassCases[bridges.length]
        if (bypass === undefined) throw new Error('more calls than cases')
        const bridge = world.bridgeFor(bypass)
        bridges.push(bridge)
        const answer = await bridge.call(name, args, signal)
        await bridge.close()
        return answer
      },
      usage: () => ({ netBytes: 0, fsOps: 0 }),
    },
  }
}

describe.each(testBackends.map((backend) => [backend.title, backend] as const))('the host bridge behind %s', (_title, { lacks, launcher }) => {
  if (lacks !== undefined) return test.skipIf(true)('holds', () => undefined)
  let backend: IsolationBackend
  beforeAll(async () => {
    backend = await startBackend(launcher(), 1)
  }, testTimeoutMs)
  afterAll(() => backend.stop())

  test(
    `none of ${bypassCases.length} ways around the network policy reaches the target, and one that is allowed does`,
    async () => {
      const input = bypassCases.map(({ url, init }) => world.filled({ url, init: init ?? null }))
      const before = world.hits()
      const { host, bridges } = caseByCase()
      const { outcome } = await runTask(backend, attempts, { input, host, limits })
      if (outcome.type !== 'done') throw new Error(`${outcome.code}: ${outcome.message}`)
      expect(bridges).toHaveLength(bypassCases.length)
      expect(JSON.parse(outcome.result)).toEqual(bypassCases.map(({ code = 'ERR_POLICY_DENIED' }) => code))
      expect(world.hits()).toBe(before)

      const open = world.bridgeFor({ name: 'control', url: '', policy: { allowedPrivate: ['127.0.0.1:{target}'] } })
      const control = await runTask(backend, attempts, { input: [{ url: world.filled('http://127.0.0.1:{target}/') }], host: open, limits })
      expect(control.outcome).toMatchObject({ type: 'done', result: '["reached 200"]' })
      expect(world.hits()).toBe(before + 1)
    },
    testTimeoutMs,
  )

  const programs = ['containerized', 'virtualized'].includes(launcher().level) ? test : undefined
  programs?.(
    'programs of the list run inside, with what they are given and nothing of the host; a program that writes without end is ended',
    async () => {
      const grants = { capabilities: ['subprocess:spawn'], spawn: ['echo', 'cat', 'sh', 'not-there'] }
      const code = `
      const sh = (script) => spawn('sh', ['-c', script])
      return {
        echo: await spawn('echo', ['a b', '$HOME; ls']),
        cat: await spawn('cat', [], { stdin: 'grüße' }),
        failed: await sh('echo out; echo err >&2; exit 3'),
        killed: (await sh('kill -9 $$')).signal,
        missing: (await spawn('not-there', [])).exitCode,
        endless: await spawn('cat', ['/dev/zero']).then(({ signal, stdout }) => [signal, stdout.length]),
        other: await spawn('ls', ['/']).catch(({ code }) => code),
        environment: (await sh('env | cut -d= -f1 | grep -v -e ^PWD -e ^SHLVL -e ^OLDPWD -e ^_ | sort | tr "\\n" " "')).stdout,
        network: (await sh('cat /proc/net/route /proc/net/tcp | tail -n +2 | grep -vc local_address')).stdout.trim(),
      }`
      const { outcome } = await runTask(backend, code, { host: world.bridge(grants, { level: 'containerized' }), limits })
      if (outcome.type !== 'done') throw new Error(`${outcome.code}: ${outcome.message}`)
      expect(JSON.parse(outcome.result)).toMatchObject({
        echo: { exitCode: 0, signal: null, stdout: 'a b $HOME; ls\n', stderr: '' },
        cat: { exitCode: 0, stdout: 'grüße' },
        failed: { exitCode: 3, stdout: 'out\n', stderr: 'err\n' },
        killed: 'SIGKILL',
        missing: 127,
        endless: ['SIGTERM', 65_536],
        other: 'ERR_POLICY_DENIED',
        environment: 'HOME LANG PATH TMPDIR ',
        network: '0',
      })
      expect(outcome.security).toMatchObject([{ kind: 'denied' }])
    },
    testTimeoutMs,
  )

  test(
    'what one agent remembers and writes, the next does not find, whoever had its guest before',
    async () => {
      const memories = createMemories({ store: createMemoryStore(), clock: realClock })
      const grants = parsePolicy(grantsSchema, { capabilities: ['memory:read', 'memory:write', 'file:read', 'file:write'], files: { scratch: true } })
      const run = async (agentId: string, code: string): Promise<unknown> => {
        const { outcome } = await runTask(backend, code, { host: world.bridge(grants, { agentId }, { memories }), limits })
        if (outcome.type !== 'done') throw new Error(`${outcome.code}: ${outcome.message}`)
        return JSON.parse(outcome.result) as unknown
      }
      const look = `return [await memory.get('k'), await memory.list(''), await list('work'), globalThis.left ?? null, RegExp.$1]`
      await run('anna', `await memory.set('k', 'of anna'); await writeFile('work/a', 'of anna'); globalThis.left = 1; /(of anna)/.exec('of anna'); return 1`)
      expect(await run('berta', look)).toEqual([null, [], [], null, ''])
      expect(await run('anna', look)).toEqual(['of anna', ['k'], [], null, ''])
    },
    testTimeoutMs,
  )
})
