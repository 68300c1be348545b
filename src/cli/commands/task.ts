import type { Command } from 'commander'
import type { AskedTask, ServedTask, TaskDescription } from '../../client/index.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { sizeOf } from './files.ts'

export function addTaskCommands(program: Command, add: AddCommand): void {
  const task = program.command('task').description('tasks this node asked for, and those it runs for others')
  add<readonly [], { readonly limit?: string }>(
    task,
    'list',
    'those that go on, then those that ended, the newest first',
    (command) => command.option('--limit <n>', 'at most so many', '50'),
    async ({ client, print, signal }, _args, { limit = '50' }) => {
      const all = await (await client()).tasks({ limit: parseCount(limit, '--limit', 2_000) }, { signal })
      print(
        'task-list',
        all,
        ({ asked, served }) => [...asked.map(lineOf), ...served.map(servedLineOf)].join('\n') || 'no tasks; ask for one with `kindmesh run`',
      )
    },
  )
  add<readonly [string]>(
    task,
    'describe <id>',
    'attempts, result and receipt of one task; the beginning of its id is enough',
    (command) => command,
    async ({ client, print, signal }, [id]) => {
      const description = await (await client()).task(id, { signal })
      print('task-describe', description, (one) => (one.role === 'asked' ? describeText(one) : servedText(one)))
    },
  )
  add<readonly [string], { readonly follow?: boolean }>(
    task,
    'logs <id>',
    'what a task printed',
    (command) => command.option('-f, --follow', 'go on until it ends'),
    async (context, [id], { follow = false }) => {
      const lines: object[] = []
      let status = ''
      for await (const line of (await context.client()).taskLogs(id, { follow, signal: context.signal })) {
        if (line.type === 'end') status = line.status
        else if (context.json) lines.push(line)
        else if (context.jsonl) context.print('task-log-line', line, () => '')
        else if (line.type === 'cut') context.say(`… ${line.lines} earlier lines (${sizeOf(line.bytes)}) are no longer kept`)
        else context.print('task-log-line', line, ({ level, text }) => (level === 'log' ? text : `${level}: ${text}`))
      }
      if (context.json || context.jsonl) context.print('task-logs', { id, status, ...(context.json ? { lines } : {}) }, () => '')
      else context.say(`task ${id}: ${status}`)
    },
  )
  add<readonly [string]>(
    task,
    'stop <id>',
    'stop a task; its executor signs for what it did until then',
    (command) => command,
    async ({ client, print, signal }, [id]) => {
      const answer = await (await client()).stopTask(id, { signal })
      print('task-stop', answer, ({ stopped, status }) => (stopped ? `${id}: ${status}` : `${id} had ended before: ${status}`))
    },
  )
  add<readonly [], { readonly limit?: string }>(
    task,
    'history',
    'tasks that ended, with what they took and the receipts',
    (command) => command.option('--limit <n>', 'at most so many', '50'),
    async ({ client, print, signal }, _args, { limit = '50' }) => {
      const all = await (await client()).tasks({ limit: parseCount(limit, '--limit', 2_000), ended: 'true' }, { signal })
      print('task-history', all, ({ asked, served }) => {
        const own = asked.map((one) => `${lineOf(one)}  ${tookOf(one)}  receipt ${one.receipt ?? 'none'}`)
        return [...own, ...served.map((one) => `${servedLineOf(one)}  receipt ${one.receiptHash ?? 'none'}`)].join('\n') || 'none has ended yet'
      })
    },
  )
}

const when = (at: number): string => new Date(at).toISOString().replace('T', ' ').slice(0, 19)

function lineOf({ id, status, executor, on, createdAt, engine, error, attempts }: AskedTask): string {
  const tries = attempts.length > 1 ? `  ${attempts.length} attempts` : ''
  return `${id}  ${status.padEnd(9)}  ${when(createdAt)}  ${engine}  on ${executor ?? on}${tries}${error === null ? '' : `  ${error.code}`}`
}

const tookOf = ({ createdAt, endedAt }: AskedTask): string => (endedAt === null ? '' : `${endedAt - createdAt} ms`)

function describeText(task: Extract<TaskDescription, { readonly role: 'asked' }>): string {
  const { error, usage, backend, progress, document } = task
  return [
    lineOf(task),
    `code        ${task.engine}, ${sizeOf(task.code.bytes)}, ${task.code.hash}`,
    `input       ${sizeOf(task.input.bytes)}, ${task.input.hash}`,
    `isolation   ${task.isolation} or stronger${backend === null ? '' : `; ran ${backend.isolation} by ${backend.backend}`}`,
    ...(task.capabilities.length === 0 ? [] : [`may         ${task.capabilities.join(', ')}`]),
    ...task.files.map(({ name, bytes }) => `file        ${name}, ${sizeOf(bytes)}`),
    ...task.attempts.map(
      ({ executor, at, code, message }, index) => `attempt ${index + 1}   ${when(at)}  ${executor}${code === '' ? '' : `  ${code}: ${message}`}`,
    ),
    ...(progress === null ? [] : [`progress    ${Math.round(progress.fraction * 100)} % ${progress.note}`]),
    ...(usage === null ? [] : [`took        cpu ${usage.cpuMs} ms, wall ${usage.wallMs} ms, memory ${sizeOf(usage.memoryBytes)}`]),
    ...task.artefacts.map(({ name, bytes, path }) => `left        ${path === '' ? `${name} (not kept)` : path}, ${sizeOf(bytes)}`),
    ...(error === null ? [] : [`error       ${error.message} (${error.code})`]),
    ...(task.status === 'done' ? [`result      ${JSON.stringify(task.result)}`] : []),
    `receipt     ${document?.id ?? 'none'}`,
  ].join('\n')
}

function servedLineOf({ id, state, asker, acceptedAt, engine, outcome, position }: ServedTask): string {
  const place = position === undefined ? '' : `  behind ${position}`
  return `${id}  ${state.padEnd(9)}  ${when(acceptedAt)}  ${engine}  for ${asker}${place}${outcome === undefined ? '' : `  ${outcome}`}`
}

function servedText(task: ServedTask): string {
  const { usage, message, receiptHash } = task
  return [
    servedLineOf(task),
    `code        ${task.codeHash}`,
    `isolation   ${task.isolation} by ${task.backend}${task.strict ? ', strict' : ''}`,
    ...(task.capabilities.length === 0 ? [] : [`may         ${task.capabilities.join(', ')}`]),
    ...task.filesIn.map(({ name, bytes }) => `file        ${name}, ${sizeOf(bytes)}`),
    ...(usage === undefined ? [] : [`took        cpu ${usage.cpuMs} ms, wall ${usage.wallMs} ms, memory ${sizeOf(usage.memoryBytes)}`]),
    ...task.filesOut.map(({ name, bytes }) => `left        ${name}, ${sizeOf(bytes)}`),
    ...(message === undefined ? [] : [`error       ${message}`]),
    `receipt     ${receiptHash ?? 'none'}${task.countersigned ? ', signed by both' : ''}`,
  ].join('\n')
}
