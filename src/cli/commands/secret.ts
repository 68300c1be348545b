import type { Command } from 'commander'
import { MeshError, profilePaths, realRandom, trimLineEnd } from '../../base/index.ts'
import type { Context } from '../context.ts'
import type { AddCommand } from '../program.ts'

/** A secret is read from stdin: arguments are seen by every program of the machine. */
async function fromStdin(): Promise<string> {
  const { secretBytesMax } = await import('../../node/index.ts')
  if (process.stdin.isTTY) {
    throw new MeshError('ERR_USAGE', 'the value comes on stdin', { hint: 'write it to the command: `kindmesh secret set NAME < file`' })
  }
  const parts: Buffer[] = []
  let length = 0
  for await (const part of process.stdin as AsyncIterable<Buffer>) {
    length += part.length
    if (length > secretBytesMax + 2) throw new MeshError('ERR_WIRE_TOO_LARGE', `a secret takes at most ${secretBytesMax} bytes`)
    parts.push(part)
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(trimLineEnd(Buffer.concat(parts)))
  } catch (cause) {
    throw new MeshError('ERR_USAGE', 'the value is not UTF-8', { cause })
  }
}

export function addSecretCommands(program: Command, add: AddCommand): void {
  const secret = program.command('secret').description('named secrets for agents and providers')
  const files = async ({ home }: Context) => {
    const { createSecretFiles } = await import('../../node/index.ts')
    return createSecretFiles({ folder: profilePaths(home).secrets, random: realRandom })
  }
  add<readonly [string]>(
    secret,
    'set <name>',
    'keep what comes on stdin under a name, without the line end',
    (command) => command,
    async (context, [name]) => {
      await (await files(context)).set(name, await fromStdin())
      context.print('secret-set', { name }, () => `${name} is kept`)
    },
  )
  add(
    secret,
    'list',
    'the names; values are never shown',
    (command) => command,
    async (context) => {
      const names = await (await files(context)).list()
      context.print('secret-list', { names }, () => names.join('\n') || 'no secrets: `kindmesh secret set NAME < file`')
    },
  )
  add<readonly [string]>(
    secret,
    'rm <name>',
    'forget a secret',
    (command) => command,
    async (context, [name]) => {
      if (!(await (await files(context)).remove(name))) throw new MeshError('ERR_NOT_FOUND', `no secret ${name}`, { hint: '`kindmesh secret list` names them' })
      context.print('secret-rm', { name }, () => `${name} is forgotten`)
    },
  )
}
