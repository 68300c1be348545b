import { readFile, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import type { AddCommand } from '../program.ts'

const levelNames: Readonly<Record<number, string>> = { [-1]: 'DISTRUSTED', 0: 'UNKNOWN', 1: 'BASIC', 2: 'VERIFIED', 3: 'TRUSTED', 4: 'AUTHORITY' }
/** A signed document: the message itself is bounded where it is read. */
const fileBytesMax = 1 << 20

export function addSigningCommands(program: Command, add: AddCommand): void {
  const identity = program.command('identity').description('keys of agents that sign JSON data; `id` shows the node’s own')
  add<readonly [string], { readonly capability: readonly string[] }>(
    identity,
    'create <agent>',
    'make a key for an agent; it never leaves this node',
    (command) => command.option('--capability <name>', 'file:read, llm:invoke, …; repeatable', (value: string, all: readonly string[]) => [...all, value], []),
    async ({ client, print, signal }, [agentId], { capability }) => {
      // The API names the capability it does not know.
      const made = await (await client()).generateIdentity({ agentId, capabilities: [...capability] as never }, { signal })
      print('identity-create', made, ({ did, didKey, peerId }) => `${did}\nDID      ${didKey}\npeer ID  ${peerId}`)
    },
  )
  add(
    identity,
    'list',
    'agents that have a key, and how often each signed',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).identities({ signal })
      print(
        'identity-list',
        answer,
        ({ identities }) =>
          identities
            .map(
              ({ agentId, did, trustLevel, signatureCount, lastUsed }) =>
                `${agentId}  ${did}  ${levelNames[trustLevel] ?? ''}  ${signatureCount} signatures, last used ${new Date(lastUsed).toISOString()}`,
            )
            .join('\n') || 'no identities: `kindmesh identity create <agent>`',
      )
    },
  )
  add<readonly [string, string | undefined], { readonly file?: string; readonly audience: string }>(
    program,
    'sign <agent> [json]',
    'sign JSON data in an agent’s name; prints a document for `verify`',
    (command) => command.option('--file <path>', 'read the JSON there, - for stdin').option('--audience <whom>', 'whom it is for, part of what is signed', ''),
    async ({ client, print, signal }, [agentId, json], { file, audience }) => {
      if ((json === undefined) === (file === undefined)) throw new MeshError('ERR_USAGE', 'give the JSON, or --file')
      const text = json ?? (await readText(file ?? '-'))
      const signed = await (await client()).sign({ agentId, text, audience }, { signal })
      print('signed-json', signed, (document) => JSON.stringify({ schema: 'kindmesh.signed-json/1', ...document }, undefined, 2))
    },
  )
  add<readonly [string], { readonly key?: string; readonly audience?: string }>(
    program,
    'verify <file>',
    'check a document of `sign`, - for stdin; needs no node',
    (command) => command.option('--key <identity>', 'who must have signed it').option('--audience <whom>', 'whom it must be for'),
    async ({ print }, [file], { key, audience }) => {
      const { parseDocument, verifySignedDocument } = await import('../../node/index.ts')
      const verdict = verifySignedDocument(parseDocument(await readText(file)), { key, audience })
      print('verify', verdict, ({ valid, signer, audience: whom, reason }) =>
        valid ? `ok: signed by ${signer}${whom === '' ? '' : ` for ${whom}`}` : `BAD: ${reason ?? ''}`,
      )
      if (!verdict.valid) throw new MeshError('ERR_STATEMENT_SIGNATURE', verdict.reason ?? 'the signature does not match')
    },
  )
}

async function readText(path: string): Promise<string> {
  if (path === '-') {
    let text = ''
    for await (const chunk of process.stdin.setEncoding('utf8') as AsyncIterable<string>) {
      text += chunk
      if (text.length > fileBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `the input is over ${fileBytesMax} bytes`)
    }
    return text
  }
  try {
    const { size } = await stat(path)
    if (size > fileBytesMax) throw new MeshError('ERR_WIRE_TOO_LARGE', `${path} is over ${fileBytesMax} bytes`)
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw cause instanceof MeshError ? cause : new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  }
}
