import { resolve } from 'node:path'
import type { Command } from 'commander'
import { isErrorCode, MeshError, realClock } from '../../base/index.ts'
import type { SendFileLine } from '../../client/index.ts'
import type { Context } from '../context.ts'
import { parseCount, parseDuration } from '../parse.ts'
import type { AddCommand } from '../program.ts'

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

export interface SendFileCommand {
  readonly to: string
  readonly file: string
  readonly mediaType?: string
  readonly expires?: string
  readonly wait?: boolean
}

type Transfer = Extract<SendFileLine, { readonly type: 'transfer' }>

/** `send <peer> --file F`: shows how far it is, and ends when it is received or, unless told to wait, when the first attempt did not get there. */
export async function sendFile(context: Context, { to, file, mediaType, expires, wait = false }: SendFileCommand): Promise<void> {
  const signal = context.timeoutMs === undefined ? context.signal : AbortSignal.any([context.signal, realClock.timeout(context.timeoutMs, 'the transfer')])
  const body = {
    to,
    path: resolve(file),
    wait,
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(expires === undefined ? {} : { lifetimeMs: parseDuration(expires) }),
  }
  const bar = createBar(context)
  let last: Transfer | undefined
  for await (const line of (await context.client()).sendFile(body, { signal })) {
    if (last !== undefined && context.jsonl) context.print('send-progress', viewOf(last), () => '')
    last = line
    bar.show(line)
  }
  bar.end()
  if (last === undefined) throw new MeshError('ERR_NODE_DOWN', 'the node went away')
  const { status, error } = last
  if (status === 'acknowledged' || status === 'queued' || status === 'sending') {
    context.print('send', viewOf(last), ({ id, bytes }) => `${status}  ${id}  ${sizeOf(bytes)}${error === undefined ? '' : `  (${error.message})`}`)
    return
  }
  if (context.json || context.jsonl) context.print('send', viewOf(last), () => '')
  const code = status === 'expired' ? 'ERR_TIMEOUT' : status === 'cancelled' ? 'ERR_ABORTED' : error?.code
  throw new MeshError(isErrorCode(code) ? code : 'ERR_REFUSED', error?.message ?? `the transfer is ${status}`)
}

/** What scripts read: `sending` is for them a transfer that goes on, like `queued`. */
const viewOf = (transfer: Transfer): Omit<Transfer, 'type'> => {
  const { type: _type, status, ...rest } = transfer
  return { ...rest, status: status === 'sending' ? 'queued' : status }
}

export function addFileCommands(program: Command, add: AddCommand): void {
  add<readonly [], { readonly dir: string; readonly from?: readonly string[]; readonly count?: string }>(
    program,
    'receive',
    'take files that peers offer into a folder, until interrupted',
    (command) =>
      command
        .requiredOption('--dir <folder>', 'folder that gets the files')
        .option('--from <peer>', 'only from this peer, repeatable', collect)
        .option('--count <n>', 'end after so many files'),
    async (context, _args, { dir, from, count }) => {
      const most = count === undefined ? Infinity : parseCount(count, '--count', 1_000_000)
      const lines = (await context.client()).receiveFiles({ dir: resolve(dir), ...(from === undefined ? {} : { from: [...from] }) }, { signal: context.signal })
      let files = 0
      try {
        for await (const line of lines) {
          if (line.type === 'ready') {
            context.say(`files go to ${line.dir}; Ctrl-C ends it`)
            if (context.jsonl) context.print('receive', { event: 'ready', dir: line.dir }, () => '')
          } else if (line.type === 'message') {
            const { type: messageType, ...message } = line.message
            context.print('receive', { event: 'message', messageType, ...message }, ({ body }) => `message  ${message.from}  ${messageType}  ${body}`)
          } else {
            const { type: _type, ...file } = line
            context.print('receive', { event: 'file', ...file }, ({ path, bytes }) => `${path}  ${sizeOf(bytes)}  from ${file.from}`)
            if (++files >= most) return
          }
        }
      } catch (error) {
        // Ctrl-C is how it ends.
        if (!context.signal.aborted) throw error
      }
    },
  )
  add<readonly [], { readonly cancel?: string }>(
    program,
    'transfers',
    'files on their way, and those that went or came',
    (command) => command.option('--cancel <id>', 'end the transfer of this id'),
    async ({ client, print, signal }, _args, { cancel }) => {
      const api = await client()
      if (cancel !== undefined) {
        const answer = await api.cancelTransfer(cancel, { signal })
        if (!answer.cancelled) throw new MeshError('ERR_NOT_FOUND', `no transfer ${cancel} goes on`, { hint: 'see `kindmesh transfers`' })
        print('transfers', answer, ({ id }) => `cancelled  ${id}`)
        return
      }
      print(
        'transfers',
        await api.transfers({ signal }),
        ({ outgoing, incoming }) =>
          [
            ...outgoing.map(({ id, to, name, status, done, bytes }) => `out  ${id}  ${status.padEnd(12)}  ${percent(done, bytes)}  ${name}  to ${to}`),
            ...incoming.map(({ id, from, name, status, done, bytes }) => `in   ${id}  ${status.padEnd(12)}  ${percent(done, bytes)}  ${name}  from ${from}`),
          ].join('\n') || 'no transfers',
      )
    },
  )
}

const percent = (done: number, bytes: number): string => `${String(bytes === 0 ? 100 : Math.floor((done / bytes) * 100)).padStart(3)} %`

/** `3.2 MiB` */
export function sizeOf(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : value.toFixed(1)} ${units[power] ?? ''}`
}

/** A line that is drawn over, where somebody sits at a terminal and has not asked for data or silence. */
function createBar(context: Context): { show(transfer: Transfer): void; end(): void } {
  const width = 30
  const isShown = context.isTalking && process.stderr.isTTY
  const startedAt = realClock.monotonic()
  let first: number | undefined
  let isDrawn = false
  return {
    show({ done, bytes, status }) {
      if (!isShown) return
      first ??= done
      const seconds = (realClock.monotonic() - startedAt) / 1_000
      const rate = (done - first) / Math.max(seconds, 0.001)
      const filled = bytes === 0 ? width : Math.floor((done / bytes) * width)
      const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
      process.stderr.write(`\r\x1b[2K${bar} ${percent(done, bytes)}  ${sizeOf(done)} of ${sizeOf(bytes)}  ${sizeOf(rate)}/s  ${status}`)
      isDrawn = true
    },
    end() {
      if (isDrawn) process.stderr.write('\n')
    },
  }
}
