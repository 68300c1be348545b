import type { Command } from 'commander'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { nameOfLevel } from './mesh.ts'
import { called, saidLevel, untilText } from './trust-text.ts'

interface ShowOptions {
  readonly issuer?: string
  readonly subject?: string
  readonly scope?: string
  readonly mine?: boolean
}

/** `trust show|roots|rendezvous|rank`: what was said, what you said, what is held for others, and who comes first. */
export function addTrustWordsCommands(trust: Command, add: AddCommand): void {
  add<readonly [], ShowOptions>(
    trust,
    'show',
    'statements known here',
    (command) =>
      command
        .option('--issuer <peer>', 'only by this one')
        .option('--subject <peer>', 'only about this one')
        .option('--scope <path>', 'only those that cover it')
        .option('--mine', 'only your own'),
    async ({ client, print, signal }, _args, { issuer, subject, scope, mine }) => {
      const query = {
        ...(issuer === undefined ? {} : { issuer }),
        ...(subject === undefined ? {} : { subject }),
        ...(scope === undefined ? {} : { scope }),
        ...(mine === true ? { mine: 'true' as const } : {}),
      }
      const isAll = Object.keys(query).length === 0
      const answer = await (await client()).attestations(query, { signal })
      print(
        'trust-show',
        answer,
        ({ attestations, warrants, names }) =>
          [
            ...attestations.map(
              ({ id, issuer: by, subject: about, level, scopes, expiresAt }) =>
                `${id.slice(0, 12)}  ${called(by, names)} -> ${called(about, names)}  ${saidLevel(level)}  ${scopes.join(' ')}  ${untilText(expiresAt)}`,
            ),
            ...warrants.map(
              ({ issuer: by, statements }) =>
                `warrant       ${called(by, names)} contradicted itself: ${statements.map((id) => id.slice(0, 12)).join(' and ')}`,
            ),
          ].join('\n') || (isAll ? 'no statements: `kindmesh attest <peer> --level verified`' : 'no such statements: `kindmesh trust show` lists all'),
      )
    },
  )
  add(
    trust,
    'roots',
    'whom you yourself vouch for, in what, and how far they may introduce others',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).trustRoots({ signal })
      print(
        'trust-roots',
        answer,
        ({ roots, names }) =>
          roots
            .map(({ id, subject, level, countsFor, scopes, depth, until, rights }) => {
              const aged = countsFor === level ? '' : ` (counts as ${nameOfLevel(countsFor)} by its age)`
              const introduces = countsFor >= 2 && depth > 0 ? `introduces, ${depth} deep` : 'introduces nobody'
              const may = rights.map(({ command, how }) => (how === 'yes' ? command : `${command} (${how === 'token' ? 'with a token' : 'where named'})`))
              return [
                `${id.slice(0, 12)}  ${called(subject, names)}  ${saidLevel(level)}${aged}  ${scopes.join(' ')}  ${introduces}  ${untilText(until)}`,
                ...(may.length === 0 ? [] : [`              may ${may.join(', ')}`]),
              ].join('\n')
            })
            .join('\n') || 'you vouch for nobody: `kindmesh attest <peer> --level verified`',
      )
    },
  )
  add(
    trust,
    'rendezvous',
    'what this node holds for others about strangers, and what it refused',
    (command) => command,
    async ({ client, print, signal }) => {
      const answer = await (await client()).trustRendezvous({ signal })
      print(
        'trust-rendezvous',
        answer,
        ({ held, refused }) =>
          `${held} statements held; refused ${refused.invalid} invalid, ${refused.full} over a quota, ${refused.busy} over the verify budget`,
      )
    },
  )
  add<readonly [], { readonly scope: string; readonly capability?: string; readonly limit?: string }>(
    trust,
    'rank',
    'candidates from the most trusted down; inside a level those best known to the people you know come first',
    (command) =>
      command
        .option('--scope <path>', 'command path', '/task/run')
        .option('--capability <name>', 'only peers that offer it, such as task or agent:echo')
        .option('--limit <n>', 'at most so many'),
    async ({ client, print, signal }, _args, { scope, capability, limit }) => {
      const query = {
        scope,
        ...(capability === undefined ? {} : { capability }),
        ...(limit === undefined ? {} : { limit: parseCount(limit, '--limit', 1_000) }),
      }
      print(
        'trust-rank',
        await (await client()).rank(query, { signal }),
        ({ ranked, names }) =>
          ranked.map(({ subject, level, score }) => `${nameOfLevel(level).padEnd(9)}  ${score.toFixed(4)}  ${called(subject, names)}`).join('\n') ||
          'nobody to rank',
      )
    },
  )
}
