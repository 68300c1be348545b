import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { isErrorCode, MeshError, realClock, secondMs } from '../../base/index.ts'
import type { TaskBody, TaskLine, TaskPlan } from '../../client/index.ts'
import type { Context } from '../context.ts'
import { limitsHint, parseCount, parseDuration, parseJson, parseLimits } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { sizeOf } from './files.ts'
import { runMany } from './run-many.ts'
import { readGrant } from './grants.ts'
import { engineNames, readCode } from './task-code.ts'

const levels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const
const forms = '<peer|any> <file> [options] | --to-many <peers|all> <file> | <peer|any> [options] -- <program> [arguments]'

export interface RunOptions {
  readonly on?: string
  readonly toMany?: string
  readonly limit?: string
  readonly isolation?: string
  readonly engine?: string
  readonly strict?: boolean
  readonly cap?: readonly string[]
  readonly priority?: string
  readonly deadline?: string
  readonly idempotent?: boolean
  readonly retries?: string
  readonly file?: readonly string[]
  readonly out?: string
  readonly bundle?: string
  readonly grant?: readonly string[]
  readonly trace?: string
  readonly dryRun?: boolean
  readonly detach?: boolean
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, ...value.split(',')]
const collectPath = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

export function addRunCommand(program: Command, add: AddCommand): void {
  // Caught here: --no-input, which every command takes, shares its name.
  let inputText: string | undefined
  add<readonly [readonly string[]], RunOptions>(
    program,
    'run [words...]',
    'run code on a peer: a JavaScript or TypeScript file (the body of an async function whose parameter is `input`), a .wasm module, or a program of the image',
    (command) =>
      command
        .usage(forms)
        .option('--on <peer>', 'who runs it; `any` picks a peer that offers it, is trusted and has time')
        .option('--to-many <peers>', 'run it on each of these peers, separated by commas, or on `all` that run tasks')
        .option('--input <json>', 'what the code gets as `input`', (text: string) => {
          inputText = text
          return true
        })
        .option('--engine <engine>', `${engineNames.join(', ')}; by the file's name unless given`)
        .option('--limit <limits>', limitsHint)
        .option('--isolation <level>', `weakest isolation you accept: ${levels.join(', ')}`)
        .option('--strict', 'only a worker without a compiler that runs nothing else')
        .option('--cap <capability>', 'what the task may do beyond computing, such as file:read; repeatable', collect)
        .option('--priority <n>', '0, later, to 9, sooner')
        .option('--deadline <duration>', 'all of it must be over by then, such as 30s')
        .option('--idempotent', 'running it twice does no harm: it is tried again where that may help')
        .option('--retries <n>', 'how often, with --idempotent')
        .option('--file <path>', 'a file the task gets as work/in/<name>; repeatable', collectPath)
        .option('--out <folder>', 'folder for the files it leaves in work/out')
        .option('--bundle <file>', "a publisher's signed bundle of the code")
        .option('--grant <token>', 'a capability token it leans on: a file, its text, or the id of an imported one; repeatable', collectPath)
        .option('--trace <id>', '32 hexadecimal digits that tie it to other work')
        .option('--dry-run', 'show what would be sent and what the executor says to it; run nothing')
        .option('--detach', 'print the id and leave; see `task describe`, `task logs -f`'),
    async (context, [words], options) => {
      const { targets, file, argv } = placesOf(words, options)
      const body = await bodyOf({ file, argv, inputText, options })
      const signal = context.timeoutMs === undefined ? context.signal : AbortSignal.any([context.signal, realClock.timeout(context.timeoutMs, 'the task')])
      const client = await context.client()
      if (targets.many !== undefined) return await runMany(context, { client, body, peers: targets.many, signal, isPlan: options.dryRun === true })
      const order = { ...body, on: targets.one }
      if (options.dryRun === true) return showPlan(context, await client.planTask(order, { signal }))
      if (options.detach === true) return context.print('run', await client.startTask(order, { signal }), ({ id }) => id)
      await follow(context, client.run(order, { signal }))
    },
  )
}

type Targets = { readonly one: string; readonly many?: undefined } | { readonly one?: undefined; readonly many: string }

/** Who, what file, and which words stand behind `--`. @throws ERR_USAGE */
function placesOf(
  words: readonly string[],
  { on, toMany }: RunOptions,
): { readonly targets: Targets; readonly file: string | undefined; readonly argv: readonly string[] | undefined } {
  const dashes = process.argv.indexOf('--')
  const argv = dashes === -1 ? undefined : process.argv.slice(dashes + 1)
  const before = argv === undefined ? [...words] : words.slice(0, words.length - argv.length)
  const usage = (what: string): MeshError => new MeshError('ERR_USAGE', what, { hint: `kindmesh run ${forms}` })
  if (on !== undefined && toMany !== undefined) throw usage('--on and --to-many exclude each other')
  const named = on ?? (toMany === undefined ? before.shift() : undefined)
  const file = argv === undefined ? before.shift() : undefined
  if (named === undefined && toMany === undefined) throw usage('who is to run it?')
  if (file === undefined && (argv === undefined || argv.length === 0)) throw usage('what is to be run?')
  if (before.length > 0) throw usage(`'${before.join(' ')}' has no meaning here`)
  return { targets: toMany === undefined ? { one: named ?? '' } : { many: toMany }, file, argv }
}

interface Given {
  readonly file: string | undefined
  readonly argv: readonly string[] | undefined
  readonly inputText: string | undefined
  readonly options: RunOptions
}

/** @throws ERR_USAGE, ERR_WIRE_TOO_LARGE */
async function bodyOf({ file, argv, inputText, options }: Given): Promise<Omit<TaskBody, 'on'>> {
  const isolation = levels.find((level) => level === options.isolation)
  if (options.isolation !== undefined && isolation === undefined) {
    throw new MeshError('ERR_USAGE', `'${options.isolation}' is no isolation level`, { hint: `one of ${levels.join(', ')}` })
  }
  if (options.engine !== undefined && !engineNames.some((name) => name === options.engine)) {
    throw new MeshError('ERR_USAGE', `'${options.engine}' is no engine`, { hint: `one of ${engineNames.join(', ')}` })
  }
  if ((options.engine === 'command') !== (argv !== undefined) && options.engine !== undefined) {
    throw new MeshError('ERR_USAGE', 'a program and its arguments stand behind `--`, and only those of engine command do')
  }
  const code = argv === undefined ? await readCode(file ?? '', options.engine) : { engine: 'command' as const, code: JSON.stringify(argv) }
  const fields: Partial<TaskBody> = {
    limits: options.limit === undefined ? undefined : parseLimits(options.limit),
    isolation,
    strict: options.strict,
    // A program is one: whoever asks for it asks for that.
    capabilities: (argv === undefined ? options.cap : [...new Set([...(options.cap ?? []), 'subprocess:spawn'])]) as TaskBody['capabilities'],
    priority: options.priority === undefined ? undefined : parseCount(options.priority, '--priority', 9),
    deadlineMs: options.deadline === undefined ? undefined : parseDuration(options.deadline),
    idempotent: options.idempotent,
    retries: options.retries === undefined ? undefined : parseCount(options.retries, '--retries', 8),
    files: options.file?.map((path) => ({ path: resolve(path) })),
    out: options.out === undefined ? undefined : resolve(options.out),
    bundle: options.bundle === undefined ? undefined : await readBundle(options.bundle),
    grants: options.grant === undefined ? undefined : await Promise.all(options.grant.map(readGrant)),
    traceId: options.trace,
  }
  return {
    ...code,
    input: inputText === undefined ? null : parseJson(inputText, '--input'),
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  }
}

async function readBundle(path: string): Promise<string> {
  try {
    return (await readFile(path)).toString('base64')
  } catch (cause) {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  }
}

/** @throws what the executor would refuse it with */
function showPlan(context: Context, plan: TaskPlan): void {
  context.print('run-plan', plan, planText)
  const { allow, code, reason } = plan.decision
  if (allow !== true) throw new MeshError(isErrorCode(code) ? code : 'ERR_REFUSED', reason)
}

export function planText({ executor, why, request, decision, missing }: TaskPlan): string {
  const { running, queued, allow, reason, isolation, backend } = decision
  const say =
    allow === null
      ? `gave no answer: ${reason}`
      : allow
        ? `takes it: ${isolation ?? ''} by ${backend ?? ''}; ${running ?? 0} running and ${queued ?? 0} waiting there`
        : `refuses: ${reason}`
  return [
    `executor      ${executor}  (${why})`,
    `code          ${request.engine}, ${sizeOf(request.codeBytes)}, ${request.codeHash}`,
    `input         ${sizeOf(request.inputBytes)}, ${request.inputHash}`,
    `request       ${sizeOf(request.bytes)} when signed, before it is sealed`,
    ...request.files.map(({ name, bytes, hash }) => `file          ${name}, ${sizeOf(bytes)}, ${hash}`),
    `isolation     ${request.isolation} or stronger${request.strict ? ', strict' : ''}`,
    `capabilities  ${request.capabilities.join(', ') || 'none'}`,
    `limits        ${Object.entries(request.limits)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    `priority      ${request.priority}${request.idempotent ? ', may be tried again' : ''}`,
    `decision      ${say}`,
    ...missing.map((one) => `missing       ${one}`),
  ].join('\n')
}

/** What of its way the answer keeps; where it stood in between is for who watches. */
const told: ReadonlySet<string> = new Set(['accepted', 'console', 'progress', 'artefact', 'retry'])

/** Shows progress while it comes; with --json all at the end, with --jsonl a line each. */
async function follow(context: Context, lines: AsyncIterable<Exclude<TaskLine, { readonly type: 'error' }>>): Promise<void> {
  const events: object[] = []
  let id = ''
  let lastTold = -Infinity
  for await (const line of lines) {
    if (line.type !== 'result') {
      if (line.type === 'asked') id = line.id
      if (told.has(line.type)) events.push(line)
      if (context.jsonl) context.print('run-event', line, () => '')
      else if (line.type !== 'progress') tell(context, line)
      else if (process.stderr.isTTY || realClock.monotonic() - lastTold > 10 * secondMs) {
        lastTold = realClock.monotonic()
        context.say(`${Math.round(line.fraction * 100)} % ${line.note}`)
      }
      continue
    }
    const { ok, error, usage, receipt, result, artefacts } = line
    if (!ok && error !== undefined) {
      // The receipt of a failed run is as good as any: show it before the error.
      if (context.json || context.jsonl) context.print('run', { id, result: null, error, usage, artefacts, receipt, events }, () => '')
      throw problemOf(error)
    }
    context.print('run', { id, result: result ?? null, usage, artefacts, receipt, events }, () => textOf(result))
    for (const { path, name, bytes } of artefacts) {
      context.say(path === '' ? `left ${name} (${sizeOf(bytes)}): give --out to keep it` : `${path}  ${sizeOf(bytes)}`)
    }
    context.say(`cpu ${usage.cpuMs} ms, wall ${usage.wallMs} ms, memory ${Math.round(usage.memoryBytes / 1024)} KiB; receipt ${receipt.id}`)
    if (exitOf(result) !== 0) throw new MeshError('ERR_SANDBOX_THREW', `the program ended with ${exitOf(result)}`)
  }
}

export const problemOf = ({ code, message, limit }: { readonly code: string; readonly message: string; readonly limit: string }): MeshError =>
  new MeshError(isErrorCode(code) ? code : 'ERR_SANDBOX_THREW', message, limit === '' ? {} : { details: { limit } })

interface Ended {
  readonly exitCode: number | null
  readonly stdout: string
}
const isProgram = (result: unknown): result is Ended =>
  typeof result === 'object' && result !== null && 'exitCode' in result && 'stdout' in result && typeof result.stdout === 'string'

/** What a program printed, or the result as JSON. */
const textOf = (result: unknown): string => (isProgram(result) ? result.stdout.replace(/\n$/, '') : JSON.stringify(result ?? null, undefined, 2))
const exitOf = (result: unknown): number => (isProgram(result) && 'signal' in result ? (result.exitCode ?? -1) : 0)

function tell(context: Context, line: Exclude<TaskLine, { readonly type: 'error' | 'result' | 'progress' }>): void {
  switch (line.type) {
    case 'console':
      return context.say(`${line.level}: ${line.text}`)
    case 'accepted':
      return context.say(`accepted: ${line.isolation} by ${line.backend}`)
    case 'attempt':
      return context.say(line.number === 1 ? `to ${line.executor}: ${line.why}` : `attempt ${line.number}, to ${line.executor}: ${line.why}`)
    case 'queued':
      return context.say(`waits behind ${line.position}`)
    case 'retry':
      return context.say(`${line.message} (${line.code}); again in ${Math.ceil(line.inMs / secondMs)} s`)
    case 'artefact':
      return context.say(`file ${line.name}, ${sizeOf(line.bytes)}`)
    default:
  }
}
