import { readFile, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { isErrorCode, MeshError, realClock, secondMs } from '../../base/index.ts'
import type { TaskLine } from '../../client/index.ts'
import type { Context } from '../context.ts'
import { limitsHint, parseJson, parseLimits } from '../parse.ts'
import type { AddCommand } from '../program.ts'

const codeBytesMax = 256 * 1024
const levels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const

interface RunOptions {
  readonly limit?: string
  readonly isolation?: string
}

export function addRunCommand(program: Command, add: AddCommand): void {
  // Caught here: --no-input, which every command takes, shares its name.
  let inputText: string | undefined
  add<readonly [string, string], RunOptions>(
    program,
    'run <peer> <file>',
    'run a JavaScript file on a peer: the body of an async function whose parameter is `input`',
    (command) =>
      command
        .option('--input <json>', 'what the code gets as `input`', (text: string) => {
          inputText = text
          return true
        })
        .option('--limit <limits>', limitsHint)
        .option('--isolation <level>', `weakest isolation you accept: ${levels.join(', ')}`),
    async (context, [on, file], options) => {
      const isolation = levels.find((level) => level === options.isolation)
      if (options.isolation !== undefined && isolation === undefined) {
        throw new MeshError('ERR_USAGE', `'${options.isolation}' is no isolation level`, { hint: `one of ${levels.join(', ')}` })
      }
      const body = {
        on,
        code: await readCode(file),
        input: inputText === undefined ? null : parseJson(inputText, '--input'),
        ...(options.limit === undefined ? {} : { limits: parseLimits(options.limit) }),
        ...(isolation === undefined ? {} : { isolation }),
      }
      const signal = context.timeoutMs === undefined ? context.signal : AbortSignal.any([context.signal, realClock.timeout(context.timeoutMs, 'the task')])
      await follow(context, (await context.client()).run(body, { signal }))
    },
  )
}

async function readCode(file: string): Promise<string> {
  try {
    if ((await stat(file)).size > codeBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${file} is over ${codeBytesMax} bytes`)
    return await readFile(file, 'utf8')
  } catch (cause) {
    if (cause instanceof MeshError) throw cause
    throw new MeshError('ERR_USAGE', `${file} cannot be read`, { cause })
  }
}

/** Shows progress while it comes; with --json all at the end, with --jsonl a line each. */
async function follow(context: Context, lines: AsyncIterable<Exclude<TaskLine, { readonly type: 'error' }>>): Promise<void> {
  const events: object[] = []
  let lastTold = -Infinity
  for await (const line of lines) {
    if (line.type !== 'result') {
      events.push(line)
      if (context.jsonl) context.print('run-event', line, () => '')
      else if (line.type === 'console') context.say(`${line.level}: ${line.text}`)
      else if (line.type === 'accepted') context.say(`accepted: ${line.isolation} by ${line.backend}`)
      else if (process.stderr.isTTY || realClock.monotonic() - lastTold > 10 * secondMs) {
        lastTold = realClock.monotonic()
        context.say(`${Math.round(line.fraction * 100)} % ${line.note}`)
      }
      continue
    }
    const { ok, error, usage, receipt, result } = line
    if (!ok && error !== undefined) {
      // The receipt of a failed run is as good as any: show it before the error.
      if (context.json || context.jsonl) context.print('run', { result: null, error, usage, receipt, events }, () => '')
      throw new MeshError(isErrorCode(error.code) ? error.code : 'ERR_SANDBOX_THREW', error.message, {
        ...(error.limit === '' ? {} : { details: { limit: error.limit } }),
      })
    }
    context.print('run', { result: result ?? null, usage, receipt, events }, () => JSON.stringify(result ?? null, undefined, 2))
    context.say(`cpu ${usage.cpuMs} ms, wall ${usage.wallMs} ms, memory ${Math.round(usage.memoryBytes / 1024)} KiB; receipt ${receipt.id}`)
  }
}
