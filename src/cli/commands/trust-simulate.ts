import type { Command } from 'commander'
import { MeshError } from '../../base/index.ts'
import type { Client } from '../../client/index.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { levelOf } from './trust-level.ts'
import { simulationText } from './trust-text.ts'

type Added = NonNullable<Parameters<Client['simulateTrust']>[0]['add']>[number]

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]

/** `trust simulate`: what a statement would do, before it is signed. */
export function addTrustSimulateCommand(trust: Command, add: AddCommand): void {
  add<readonly [], { readonly revoke?: readonly string[]; readonly hard?: boolean; readonly add?: readonly string[]; readonly scope: string }>(
    trust,
    'simulate',
    'whose level would change, before you sign or revoke; nothing is kept',
    (command) =>
      command
        .option('--revoke <id|peer>', 'a statement, or all you say of a peer; repeatable', collect)
        .option('--hard', 'revoke as after a stolen key')
        .option('--add <iss,sub,level>', 'a statement, with ,depth and ,scope where not the usual; iss may be me; repeatable', collect)
        .option('--scope <path>', 'command path', '/task/run'),
    async ({ client, print, signal }, _args, { revoke = [], hard, add: given = [], scope }) => {
      if (revoke.length + given.length === 0) {
        throw new MeshError('ERR_USAGE', 'nothing to simulate', { hint: 'give --revoke <id|peer> or --add iss,sub,level' })
      }
      const body = { scope, revoke: [...revoke], kind: hard === true ? ('hard' as const) : ('soft' as const), add: given.map(parseAdded) }
      print('trust-simulate', await (await client()).simulateTrust(body, { signal }), simulationText)
    },
  )
}

function parseAdded(text: string): Added {
  const [issuer = '', subject = '', level = '', depth = '', scope = '', ...more] = text.split(',').map((part) => part.trim())
  if (subject === '' || level === '' || more.length > 0) {
    throw new MeshError('ERR_USAGE', `'${text}' is no statement`, {
      hint: 'iss,sub,level[,depth[,scope]], such as me,ben,verified or ben,zoe,trusted,1,/task/run',
    })
  }
  const scopes = scope.split(' ').filter((word) => word !== '')
  return {
    ...(issuer === '' || issuer === 'me' ? {} : { issuer }),
    ...{ subject, level: levelOf(level) },
    ...(depth === '' ? {} : { depth: parseCount(depth, 'the depth', 4) }),
    ...(scopes.length === 0 ? {} : { scopes }),
  }
}
