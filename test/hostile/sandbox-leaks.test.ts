import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSeededRandom, realClock, silentLogger } from '../../src/base/index.ts'
import { createHostBridge, createMemories } from '../../src/bridge/index.ts'
import { grantsSchema, type HostBridge, type IsolationBackend, parsePolicy } from '../../src/sandbox/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { runTask } from '../helpers/sandbox.ts'
import { answeringHost } from '../helpers/sandbox-host.ts'
import { testLevels } from '../helpers/sandbox-levels.ts'

const testTimeoutMs = 120_000
const secret = 'xyzzy-7f3a'
const limits = { wallMs: 30_000, cpuMs: 30_000 }

/** Leaves the secret in every place there is, and dies or ends as the round says. */
const leave = `
const { secret, how } = input
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const value = globalThis[name]
  if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) continue
  for (const target of [value, value.prototype]) try { target['left'] = secret; Object.defineProperty(target, 'x' + secret, { value: secret, configurable: true }) } catch {}
}
globalThis.left = secret
Symbol.for(secret)
/${secret}/.test('a ${secret} b')
RegExp.lastIndex = 3
Error.prepareStackTrace = () => secret
Error.stackTraceLimit = 7
Promise.prototype.then = function () { return secret }
JSON.parse = () => secret
Array.prototype[Symbol.iterator] = function* () { yield secret }
console.left = crypto.left = progress.left = memory.left = secret
Object.defineProperty(Object.prototype, 'input', { value: secret, configurable: true })
if (how === 'throw') throw new Error(secret)
if (how === 'result') return { toJSON() { throw secret } }
if (how === 'loop') for (;;);
if (how === 'pending') await memory.get('never')
return secret
`

/** Everything of its realm that a task can read, as one text. */
const find = `
const seen = new Set(), texts = []
const open = [globalThis, console, crypto, progress, fetch, memory, agent, input, new Error('own'), (async () => 0).constructor]
while (open.length > 0 && seen.size < 20000) {
  const value = open.pop()
  if (typeof value === 'string') { texts.push(value); continue }
  if (typeof value === 'symbol') { texts.push(String(value)); continue }
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) continue
  seen.add(value)
  open.push(Object.getPrototypeOf(value))
  for (const key of Reflect.ownKeys(value)) {
    texts.push(String(key))
    const found = Object.getOwnPropertyDescriptor(value, key)
    open.push(found.value, found.get, found.set)
  }
}
for (const name of ['input', 'lastMatch', 'lastParen', 'leftContext', 'rightContext', '$_', '$&', '$1', '$2', '$9']) texts.push(String(RegExp[name]))
let text = ''
try { null.x } catch (error) { text = String(error.stack) + error.message }
texts.push(text, String(Error.stackTraceLimit), String(typeof left), [...['a']].join(), JSON.stringify(JSON.parse('{"a":1}')))
return { texts: texts.join('\\n'), limit: Error.stackTraceLimit, then: await Promise.resolve(1), names: seen.size }
`

const rounds = ['done', 'throw', 'result', 'loop', 'pending', 'done'] as const

/** A bridge of one agent with the memory it is granted. */
function bridgeOf(memories: ReturnType<typeof createMemories>, agentId: string): HostBridge {
  const grants = parsePolicy(grantsSchema, { capabilities: ['memory:read', 'memory:write'] })
  return createHostBridge({
    configuration: { agentId, level: 'sandboxed', limits: { netKiBps: 1, fsOps: 1 }, grants },
    services: { memories },
    clock: realClock,
    random: createSeededRandom(1),
    logger: silentLogger,
  })
}

describe.each(testLevels.filter(({ isFirst }) => isFirst).map((level) => [level.title, level] as const))(
  '%s',
  (_title, { lacks, isSlow, hasPrograms, start }) => {
    if (lacks !== undefined) return test.skipIf(true)('nothing passes from one task to the next', () => undefined)
    let backend: IsolationBackend
    beforeAll(() => {
      process.env['KINDMESH_LEAK'] = secret
      backend = start(1)
    })
    afterAll(async () => {
      delete process.env['KINDMESH_LEAK']
      await backend.stop()
    })

    test(
      'nothing passes from one task to the next: globals, prototypes, symbols, statics of expressions, error texts, environment',
      async () => {
        const clean = await runTask(backend, find, { host: answeringHost(), limits })
        if (clean.outcome.type !== 'done') throw new Error(clean.outcome.message)
        // Where every task has a guest of its own, two rounds show that it is so.
        for (const how of isSlow || hasPrograms ? rounds.slice(0, 2) : rounds) {
          const wallMs = how === 'loop' || how === 'pending' ? 300 : 30_000
          await runTask(backend, leave, { input: { secret, how }, host: answeringHost(), limits: { ...limits, wallMs } })
          const { outcome, printed } = await runTask(backend, find, { host: answeringHost(), limits })
          expect(outcome.type === 'done' ? outcome.result : outcome.message, how).not.toContain(secret)
          expect(outcome, how).toMatchObject({ type: 'done', result: clean.outcome.result })
          expect(printed).toEqual([])
        }
      },
      testTimeoutMs,
    )

    test.skipIf(isSlow || hasPrograms)(
      'an error of one task says nothing of another (where tasks share a guest)',
      async () => {
        await runTask(backend, `throw new Error(${JSON.stringify(secret)})`, { limits })
        for (const code of ['null.x', 'return 1 +', 'return () => 1', 'await new Promise(() => {})', 'await readFile("refused")']) {
          const { outcome } = await runTask(backend, code, { host: answeringHost(), limits })
          expect(outcome).toMatchObject({ type: 'failed' })
          expect(JSON.stringify(outcome)).not.toContain(secret)
        }
      },
      testTimeoutMs,
    )

    test(
      'what one agent remembers another does not find, by any key, whoever had its guest before',
      async () => {
        const memories = createMemories({ store: createMemoryStore(), clock: realClock })
        const remember = 'await memory.set("key", input); return await memory.get("key")'
        const { outcome } = await runTask(backend, remember, { input: secret, host: bridgeOf(memories, 'one'), limits })
        expect(outcome).toMatchObject({ type: 'done', result: JSON.stringify(secret) })
        const look = `
        const keys = ['key', '../one/key', 'one/key', 'one\\u0000key', '/key', './key', '../key', '__proto__', 'constructor', '', '\\u0000', 'shared/key', '%2e%2e/one/key']
        const found = []
        for (const key of keys) {
          try { found.push(await memory.get(key)) } catch (error) { found.push(error.message) }
          try { found.push(await memory.list(key)) } catch (error) { found.push(error.message) }
        }
        return found`
        const other = await runTask(backend, look, { host: bridgeOf(memories, 'two'), limits })
        expect(other.outcome).toMatchObject({ type: 'done' })
        expect(JSON.stringify(other.outcome)).not.toContain(secret)
        expect(other.outcome.type === 'done' && other.outcome.result).not.toContain('"key"')
      },
      testTimeoutMs,
    )
  },
)
