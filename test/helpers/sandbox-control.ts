/** The same escape cases on plain node:vm, as a child process: shows that the oracle sees an escape. Writes the names of those that got out, as JSON. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { createContext, runInContext } from 'node:vm'
import { escapeCases, escapeInput } from './sandbox-escapes.ts'

const caseTimeoutMs = 1_000

async function escapes(code: string): Promise<boolean> {
  let said = ''
  const console = { log: (...values: unknown[]) => void (said += values.map(String).join(' ')), error: () => undefined }
  const crypto = {
    randomUUID: () => randomUUID(),
    randomBytes: (length: number) => new Uint8Array(randomBytes(length)),
    getRandomValues: (view: Uint8Array) => view.fill(7),
    digest: (algorithm: string, data: string | Uint8Array) => createHash(algorithm).update(data).digest('hex'),
  }
  const progress = (): undefined => undefined
  const calls = hostCalls()
  const names = ['input', 'console', 'crypto', 'progress', ...Object.keys(calls)]
  let result: unknown
  try {
    const run = runInContext(`(async function (${names.join(', ')}) { "use strict";\n${code}\n})`, createContext({}), {
      timeout: caseTimeoutMs,
    }) as (...parameters: unknown[]) => Promise<unknown>
    const late = new Promise((resolve) => setTimeout(resolve, caseTimeoutMs).unref())
    result = JSON.stringify(await Promise.race([run(JSON.parse(escapeInput), console, crypto, progress, ...Object.values(calls)), late]))
  } catch (error) {
    try {
      // What a host does with an error: shows it. The text itself proves nothing, it may quote the source.
      String((error as Error).stack)
    } catch {
      // A hostile error; what it managed to say counts.
    }
  }
  return result === '"ESCAPED"' || said.includes('ESCAPED')
}

/** The calls of the bridge as a careless host would hand them in: functions, promises, answers and errors of its own realm. */
function hostCalls(): Readonly<Record<string, unknown>> {
  const call = async (first: unknown, second?: unknown): Promise<unknown> => {
    await Promise.resolve()
    if (JSON.stringify([first, second])?.includes('refused')) throw new Error('refused')
    return { answers: [first, { second }] }
  }
  const agent = { receive: (handle: (message: unknown) => unknown) => void handle({ from: 'x', data: {} }) }
  const memory = { get: call, set: call, list: call, delete: call }
  return {
    fetch: call,
    memory,
    vault: { get: call },
    readFile: call,
    writeFile: call,
    list: call,
    spawn: call,
    mesh: { ask: call },
    delegate: call,
    llm: call,
    vectordb: call,
    agent,
  }
}

process.on('unhandledRejection', () => undefined)
const out: string[] = []
for (const { name, code } of escapeCases) if (await escapes(code)) out.push(name)
process.stdout.write(JSON.stringify(out))
process.exit()
