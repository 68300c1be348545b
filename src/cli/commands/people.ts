import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import { parseDuration } from '../parse.ts'
import type { AddCommand } from '../program.ts'

/** Levels that one may give to somebody. */
export const levelsGiven = ['basic', 'verified', 'trusted', 'authority'] as const

/** A level that one may give to somebody. @throws ERR_USAGE */
export function givenLevel(text: string): (typeof levelsGiven)[number] {
  const found = levelsGiven.find((level) => level === text.toLowerCase())
  if (found === undefined) throw new MeshError('ERR_USAGE', `'${text}' cannot be given`, { hint: `one of ${levelsGiven.join(', ')}` })
  return found
}

interface ApproveOptions {
  readonly level?: string
  readonly scope?: readonly string[]
  readonly expires?: string
  readonly yes?: boolean
}

interface CompareOptions extends ApproveOptions {
  readonly accept?: string
}

const given = ({ level, scope, expires, yes = false }: ApproveOptions) => ({
  ...(level === undefined ? {} : { level: givenLevel(level) }),
  ...(scope === undefined ? {} : { scopes: [...scope] }),
  ...(expires === undefined ? {} : { lifetimeMs: parseDuration(expires) }),
  confirmed: yes,
})

export function addPeopleCommands(program: Command, add: AddCommand): void {
  add<readonly [string], CompareOptions>(
    program,
    'verify-peer <peer>',
    'six words, the same on both sides, to be read to each other; then sign',
    (command) =>
      command
        .option('--accept <words>', 'the six words or six digits that the other side reads: sign if they are the same')
        .option('--level <level>', `${levelsGiven.join(', ')}; verified unless given`)
        .option('--scope <path...>', 'command paths; /task/run unless given')
        .option('--expires <duration>', 'at most 400d; 90d unless given')
        .option('--yes', 'give AUTHORITY all the same'),
    async ({ client, print, say, signal, json, jsonl, mayAsk, timeoutMs }, [peer], { accept, ...options }) => {
      const node = await client()
      const sign = async (heard: string): Promise<void> => {
        const answer = await node.acceptComparison({ peer, heard, ...given(options) }, { signal })
        print('verify-peer', answer, ({ did, levelName, scopes }) => `${did}  ${levelName} in ${scopes.join(' ')}`)
      }
      if (accept !== undefined) return await sign(accept)
      const shown = await node.compare({ peer, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, { signal })
      print('verify-peer', shown, ({ words, digits }) => `${words.join(' ')}\n${digits}`)
      if (json || jsonl || !mayAsk) return say('if the other side reads the same: kindmesh verify-peer <peer> --accept "<the words it reads>"')
      const { isCancel, text } = await import('@clack/prompts')
      const heard = await text({ message: 'type the six words, or the six digits, that the other side reads' })
      if (!isCancel(heard) && heard.trim() !== '') await sign(heard)
    },
  )
  const name = program.command('name').description('names of your own for peers')
  add<readonly [string, string], { readonly replace?: boolean }>(
    name,
    'set <name> <peer>',
    'give a peer a name; every command takes it in place of the DID',
    (command) => command.option('--replace', 'the name leads to somebody else from now on'),
    async ({ client, print, signal }, [text, peer], { replace = false }) => {
      print('name', await (await client()).setName({ name: text, peer, replace }, { signal }), ({ name: set, did }) => `${set}  ${did}`)
    },
  )
  add(
    name,
    'list',
    'all names',
    (command) => command,
    async ({ client, print, signal }) => {
      print(
        'name-list',
        await (await client()).names({ signal }),
        ({ names }) => names.map(({ name: given, did }) => `${given}  ${did}`).join('\n') || 'no names: `kindmesh name set <name> <peer>`',
      )
    },
  )
  add<readonly [string]>(
    name,
    'rm <name>',
    'take a name away',
    (command) => command,
    async ({ client, print, signal }, [text]) => {
      print('name', await (await client()).removeName(text, { signal }), ({ name: gone, did }) => `${gone} no longer is ${did}`)
    },
  )
  const pending = program.command('pending').description('peers that asked for something and are trusted too little for it')
  add(
    pending,
    'list',
    'who waits, the last to ask first',
    (command) => command,
    async ({ client, print, signal }) => {
      print(
        'pending-list',
        await (await client()).pending({ signal }),
        ({ pending: waiting }) =>
          waiting.map(({ did, scope, times, lastAt }) => `${did}  ${scope}  ${times} times, last ${new Date(lastAt).toISOString()}`).join('\n') ||
          'nobody waits',
      )
    },
  )
  add<readonly [string], ApproveOptions>(
    pending,
    'approve <peer>',
    'sign how far you trust a peer that waits',
    (command) =>
      command
        .option('--level <level>', `${levelsGiven.join(', ')}; verified unless given`)
        .option('--scope <path...>', 'command paths; the one it was refused in unless given')
        .option('--expires <duration>', 'at most 400d; 90d unless given')
        .option('--yes', 'give AUTHORITY all the same'),
    async ({ client, print, signal }, [peer], options) => {
      const body = { peer, ...given(options) }
      print('pending-approve', await (await client()).approve(body, { signal }), ({ did, levelName, scopes }) => `${did}  ${levelName} in ${scopes.join(' ')}`)
    },
  )
  add<readonly [string]>(
    pending,
    'reject <peer>',
    'turn a peer away for good',
    (command) => command,
    async ({ client, print, signal }, [peer]) => {
      print('pending-reject', await (await client()).reject(peer, { signal }), ({ did }) => `${did} does not come on the list again`)
    },
  )
}
