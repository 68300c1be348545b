import { readdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { createLogger, exitCodes, MeshError, realClock, realRandom, secondMs } from '../../base/index.ts'
import type { ExecutionResult, LocalSandboxes } from '../../boxes/index.ts'
import type { SandboxEvent } from '../../sandbox/index.ts'
import { type Context, paint } from '../context.ts'
import { limitsHint, parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { configurationOf, readTask, type SandboxRunGiven, secretFilesOf } from '../sandbox-options.ts'

const levels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const
const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

export function addSandboxCommands(program: Command, add: AddCommand): void {
  const sandbox = program.command('sandbox').description('run code here, walled in; needs no node and no profile')
  // Caught here: --no-input, which every command takes, shares its name.
  let inputText: string | undefined
  add<readonly [string | undefined, readonly string[]], SandboxRunGiven>(
    sandbox,
    'run [file] [argv...]',
    'run JavaScript, TypeScript or WebAssembly; after -- a program of the image and its arguments',
    (command) =>
      command
        .option('--level <level>', `isolation: ${levels.join(', ')}`, 'sandboxed')
        .option('--strict', 'without a compiler, in a worker of its own')
        .option('--backend <name>', 'only this back end of the level')
        .option('--engine <engine>', 'javascript, wasm or command; by the name of the file unless given')
        .option('--input <json>', 'what the code gets as `input`', (text: string) => {
          inputText = text
          return true
        })
        .option('--cap <capability>', 'what it may do, such as file:read; repeatable, or with commas', collect)
        .option('--limit <limits>', limitsHint)
        .option('--allow-domain <name>', 'a host it may reach, or *.suffix; repeatable', collect)
        .option('--block-domain <name>', 'a host it may not reach; repeatable', collect)
        .option('--allow-port <port>', 'a port it may reach, 443 unless given; repeatable', collect)
        .option('--allow-private <host:port>', 'a place in a private network it may reach; repeatable', collect)
        .option('--plain-http', 'without TLS too')
        .option('--file-root <name=path[:ro|rw]>', 'a folder it may read, or write; repeatable', collect)
        .option('--scratch', 'an empty folder `work` of its own')
        .option('--secret-file <name=path>', 'a secret it may ask for by name; repeatable', collect)
        .option('--program <name>', 'a program it may start; repeatable', collect)
        .option('--memory-dir <folder>', 'keeps what it remembers; forgotten unless given')
        .option('--agent <id>', 'whose memory it is', 'local')
        .option('--bundle <file>', 'run only what this signed bundle names, from a pinned publisher')
        .option('--batch <folder>', 'run every file of a folder, one result a line')
        .option('--jobs <n>', 'files at once, with --batch', String(availableParallelism())),
    async (context, [file, argv], options) => {
      const given = { ...options, inputText }
      if (options.batch !== undefined) return await runBatch(context, given)
      const code = await readTask(context, file, argv, given)
      const { createSandbox } = await import('../../boxes/index.ts')
      await using parts = await openParts(context, given, 1)
      const box = createSandbox(configurationOf(given), parts)
      const signal = signalOf(context)
      const result = await box.execute(code, inputOf(given), { signal, onEvent: (event) => tell(context, event) })
      context.print('sandbox-run', result, () => (result.success ? JSON.stringify(result.result, undefined, 2) : ''))
      const { cpuMs, wallMs, memoryBytes } = result.resourceUsage
      context.say(`${result.level} by ${result.backend || 'nothing'}: cpu ${cpuMs} ms, wall ${wallMs} ms, memory ${Math.round(memoryBytes / 1024)} KiB`)
      for (const { kind, detail } of result.securityEvents) context.say(`${kind}: ${detail}`)
      // --timeout gave up, nobody interrupted.
      if (signal.aborted && !context.signal.aborted) throw signal.reason
      if (result.error !== undefined) throw new MeshError(result.error.code, result.error.message, hintOf(result))
    },
  )
  add<readonly [], { readonly level?: string }>(
    sandbox,
    'probe',
    'which levels and back ends work here, shown by a task that ran',
    (command) => command.option('--level <level>', `only this one of ${levels.join(', ')}`),
    async (context, _args, { level }) => {
      const only = level === undefined ? levels : levels.filter((name) => name === level)
      if (only.length === 0) throw new MeshError('ERR_USAGE', `'${level ?? ''}' is no isolation level`, { hint: `one of ${levels.join(', ')}` })
      await using parts = await openParts(context, {}, 1)
      const reports = await parts.sandboxes.probe(only)
      const byLevel = Object.fromEntries(reports.map(({ level: name, ...report }) => [name, report]))
      context.print('sandbox-probe', { levels: byLevel }, () =>
        reports
          .flatMap(({ level: name, available, promise, backends }) => [
            `${paint(available ? 'green' : 'yellow', name.padEnd(14))} ${available ? 'works' : 'does not work'}; promises ${promise}`,
            ...backends.flatMap(({ name: backend, ok, version, why, fix }) => [
              `  ${ok ? 'ok  ' : 'no  '}${backend}${version === '' ? '' : ` (${version})`}${why === undefined ? '' : `: ${why}`}`,
              ...(fix === undefined ? [] : [`      mend: ${fix}`]),
            ]),
          ])
          .join('\n'),
      )
    },
  )
  add<readonly [string], { readonly engine?: string }>(
    sandbox,
    'analyse <file>',
    'what a file of code may call, with line and column, and the permissions it needs',
    (command) => command.option('--engine <engine>', 'javascript or wasm; by the name of the file unless given'),
    async (context, [file], { engine }) => {
      const { analyse } = await import('../../sandbox/index.ts')
      const code = await readTask(context, file, [], { engine })
      const { uses, permissions } = analyse(code)
      context.print('sandbox-analyse', { engine: code.engine, permissions, uses }, () =>
        [
          `permissions: ${permissions.join(', ') || 'none'}`,
          ...uses.map(
            ({ name, capabilities, line, column }) =>
              `${`${line}:${column}`.padEnd(8)} ${name}${capabilities.length === 0 ? '' : `  ${capabilities.join(', ')}`}`,
          ),
        ].join('\n'),
      )
    },
  )
  add(
    sandbox,
    'setup',
    'build what containers and virtual machines are made of, from the packages of this system',
    (command) => command,
    async (context) => {
      const made = await setUp(context)
      context.print('sandbox-setup', { made }, () => made.map((name) => `made ${name}`).join('\n'))
    },
  )
}

const signalOf = (context: Context): AbortSignal =>
  context.timeoutMs === undefined ? context.signal : AbortSignal.any([context.signal, realClock.timeout(context.timeoutMs, 'the task')])

async function openParts(context: Context, given: Partial<SandboxRunGiven>, poolSize: number): Promise<LocalSandboxes> {
  const { openLocalSandboxes } = await import('../../boxes/index.ts')
  return await openLocalSandboxes({
    clock: realClock,
    random: realRandom,
    logger: createLogger({ level: context.logLevel === 'info' ? 'info' : 'error', write: (line) => process.stderr.write(line) }),
    poolSize,
    home: context.home,
    backends: given.backend === undefined ? undefined : [given.backend],
    memoryFolder: given.memoryDir,
    secretFiles: secretFilesOf(given),
  })
}

function inputOf({ inputText }: SandboxRunGiven & { readonly inputText?: string | undefined }): unknown {
  if (inputText === undefined) return null
  try {
    return JSON.parse(inputText)
  } catch (cause) {
    throw new MeshError('ERR_USAGE', `--input is no JSON: ${cause instanceof Error ? cause.message : ''}`, { cause, hint: `quote it for the shell: '{"a":1}'` })
  }
}

function hintOf({ error, level }: ExecutionResult): { readonly hint?: string } {
  if (error?.code === 'ERR_SANDBOX_UNAVAILABLE') return { hint: `see \`kindmesh sandbox probe --level ${level}\`` }
  return error?.code === 'ERR_SANDBOX_PERMISSION' ? { hint: 'add --cap with the capability named' } : {}
}

function tell(context: Context, event: SandboxEvent): void {
  if (event.type === 'done' || event.type === 'failed') return
  if (context.jsonl) context.print('sandbox-event', event, () => '')
  else if (event.type === 'console') context.say(`${event.level}: ${event.text}`)
  else if (event.type === 'progress') context.say(`${Math.round(event.fraction * 100)} % ${event.note}`)
}

/** Runs all files of a folder, some at once, each in a sandbox of its own. A line for each, as it ends, with the exit code it would have had alone. */
async function runBatch(context: Context, given: SandboxRunGiven & { readonly inputText?: string | undefined }): Promise<void> {
  const folder = given.batch ?? ''
  const jobs = Math.max(1, parseCount(given.jobs ?? '1', '--jobs', 64))
  const { createSandbox } = await import('../../boxes/index.ts')
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${folder} cannot be read`, { cause })
  })
  const files = entries.flatMap((entry) => (entry.isFile() && !entry.name.startsWith('.') ? [entry.name] : [])).sort()
  const configuration = configurationOf(given)
  const input = inputOf(given)
  const startedAt = realClock.monotonic()
  await using parts = await openParts(context, given, jobs)
  await parts.sandboxes.ready(configuration.isolationLevel, { strict: configuration.strict ?? false })
  const signal = signalOf(context)
  let failed = 0
  const runOne = async (file: string): Promise<void> => {
    const box = createSandbox({ ...configuration, agentId: `${configuration.agentId}/${files.indexOf(file)}` }, parts)
    const result = await readTask(context, join(folder, file), [], given).then(
      (code) => box.execute(code, input, { signal }),
      (error: unknown) => box.execute(Promise.reject(error), input),
    )
    if (!result.success) failed++
    const exitCode = result.error === undefined ? exitCodes.ok : new MeshError(result.error.code, '').exitCode
    context.print(
      'sandbox-run',
      { file, exitCode, ...result },
      () =>
        `${result.success ? paint('green', 'ok  ') : paint('red', 'fail')} ${file}${result.error === undefined ? '' : `: ${result.error.message} (${result.error.code})`}`,
    )
  }
  const waiting = files.values()
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (const file of waiting) {
        if (signal.aborted) return
        await runOne(file)
      }
    }),
  )
  signal.throwIfAborted()
  context.say(`${files.length} files, ${failed} failed, ${((realClock.monotonic() - startedAt) / secondMs).toFixed(1)} s`)
}

/** What is there already stays. */
async function setUp(context: Context): Promise<readonly string[]> {
  const { buildRootfs, setUpMachines } = await import('../../sandbox/index.ts')
  const options = { clock: realClock, onProgress: (line: string) => context.say(line) }
  await buildRootfs(options)
  await setUpMachines(options)
  return ['root file system of containers', 'image of virtual machines']
}
