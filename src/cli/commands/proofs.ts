import { createReadStream } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError, realClock } from '../../base/index.ts'
import { readSeeds, type Seed } from '../../trust/index.ts'
import type { Context } from '../context.ts'
import { parseDuration } from '../parse.ts'
import type { AddCommand } from '../program.ts'
import { nameOfLevel } from './mesh.ts'
import { givenLevel } from './people.ts'

const repeated = (value: string, all: readonly string[] = []): readonly string[] => [...all, value]
const day = (at: number): string => new Date(at).toISOString().slice(0, 10)

export function addProofCommands(program: Command, add: AddCommand): void {
  addIntroduce(program, add)
  addDomains(program, add)
  addAuthorities(program, add)
}

interface IntroduceOptions {
  readonly level: string
  readonly scope?: readonly string[]
  readonly expires: string
  readonly note?: string
}

function addIntroduce(program: Command, add: AddCommand): void {
  add<readonly [string, string], IntroduceOptions>(
    program,
    'introduce <one> <other>',
    'vouch for each of two peers to the other, and tell both where the other is',
    (command) =>
      command
        .option('--level <level>', 'basic, verified or trusted', 'basic')
        .option('--scope <path>', 'command path, repeatable; /task/run unless given', repeated)
        .option('--expires <duration>', 'how long your word lasts', '30d')
        .option('--note <text>', 'a word to both'),
    async ({ client, print, signal }, [one, other], { level, scope, expires, note }) => {
      const body = {
        peers: [one, other] as [string, string],
        level: givenLevel(level),
        lifetimeMs: parseDuration(expires),
        ...(scope === undefined ? {} : { scopes: [...scope] }),
        ...(note === undefined ? {} : { note }),
      }
      print('introduce', await (await client()).introduce(body, { signal }), ({ introduced }) =>
        introduced
          .map(({ did, statement, told }) => `${did}  ${statement === null ? 'your word stands already' : `signed ${statement.slice(0, 12)}`}, told: ${told}`)
          .join('\n'),
      )
    },
  )
}

interface PinOptions {
  readonly did?: string
  readonly level: string
  readonly scope?: readonly string[]
  readonly replace?: boolean
}

function addDomains(program: Command, add: AddCommand): void {
  const domain = program.command('domain').description('domains that name identities, by did.json and DNS')
  add<readonly [string]>(
    domain,
    'check <domain>',
    'ask whom it names; nothing is kept',
    (command) => command,
    async ({ client, print, signal, timeoutMs }, [name]) => {
      const report = await (await client()).checkDomain({ domain: name, ...(timeoutMs === undefined ? {} : { timeoutMs }) }, { signal })
      print('domain-check', report, ({ ways, dids }) =>
        [
          ...Object.entries(ways).map(
            ([way, said]) => `${way.padEnd(9)} ${'dids' in said ? said.dids.join(' ') : 'failed' in said ? `failed: ${said.failed}` : 'nothing'}`,
          ),
          dids.length === 0 ? 'names nobody that both agree on' : `names     ${dids.join(' ')}`,
        ].join('\n'),
      )
    },
  )
  add<readonly [string], PinOptions>(
    domain,
    'pin <domain>',
    'hold the identity it names to it, and vouch for that; asked again every day',
    (command) =>
      command
        .option('--did <peer>', 'whom it must name')
        .option('--level <level>', 'unknown (say nothing), basic or verified', 'basic')
        .option('--scope <path>', 'command path, repeatable; /task/run unless given', repeated)
        .option('--replace', 'it names somebody else now, and that is right'),
    async ({ client, print, signal, timeoutMs }, [name], { did, level, scope, replace = false }) => {
      const body = {
        domain: name,
        level,
        replace,
        ...(did === undefined ? {} : { peer: did }),
        ...(scope === undefined ? {} : { scopes: [...scope] }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }
      print('domain-pin', await (await client()).pinDomain(body, { signal }), (pin) => `${pin.domain} is ${pin.did}, ${nameOfLevel(pin.level)}`)
    },
  )
  const lines = (pins: readonly { readonly domain: string; readonly did: string; readonly state: string; readonly checkedAt: number }[]): string =>
    pins.map((pin) => `${pin.domain}  ${pin.did}  ${pin.state}, asked ${new Date(pin.checkedAt).toISOString()}`).join('\n') ||
    'no domains: `kindmesh domain pin <domain>`'
  add(
    domain,
    'list',
    'pinned domains and how they are',
    (command) => command,
    async ({ client, print, signal }) => print('domain-list', await (await client()).domains({ signal }), ({ domains }) => lines(domains)),
  )
  add(
    domain,
    'recheck',
    'ask all of them now',
    (command) => command,
    async ({ client, print, signal }) => print('domain-recheck', await (await client()).recheckDomains({ signal }), ({ domains }) => lines(domains)),
  )
  add<readonly [string]>(
    domain,
    'rm <domain>',
    'unpin it, and withdraw what you said because of it',
    (command) => command,
    async ({ client, print, signal }, [name]) => print('domain-rm', await (await client()).removeDomain(name, { signal }), (pin) => `${pin.domain} is let go`),
  )
  add<readonly [string]>(
    domain,
    'document <domain>',
    'what you publish so that your domain names this node',
    (command) => command,
    async ({ client, print, signal }, [name]) => {
      print('domain-document', await (await client()).domainDocument(name, { signal }), ({ path, document, dnsName, dnsText }) =>
        [`# at https://${name}${path}`, JSON.stringify(document, undefined, 2), '# and as a TXT record', `${dnsName}. TXT "${dnsText}"`].join('\n'),
      )
    },
  )
}

interface CreateOptions {
  readonly threshold: string
  readonly key?: readonly string[]
  readonly expires: string
  readonly version: string
  readonly out: string
}

function addAuthorities(program: Command, add: AddCommand): void {
  const authorities = program.command('authorities').description('lists of identities that several keepers sign together')
  const text = async (path: string): Promise<string> => {
    const size = await stat(path).then(
      (file) => file.size,
      (cause: unknown) => {
        throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
      },
    )
    if (size > 600 << 10) throw new MeshError('ERR_WIRE_TOO_LARGE', `${path} is too large for a list`)
    return await readFile(path, 'utf8')
  }
  add<readonly [string, string], CreateOptions>(
    authorities,
    'create <name> <csv>',
    'write an unsigned list from a CSV with did,level,scope,depth,name',
    (command) =>
      command
        .requiredOption('--key <did>', 'a keeper, repeatable', repeated)
        .requiredOption('--threshold <n>', 'signatures it takes')
        .option('--expires <duration>', 'at most 400d', '90d')
        .option('--version <n>', 'one more than the list before', '1')
        .requiredOption('--out <file>', 'where to write it'),
    async (context, [name, csv], { threshold, key = [], expires, version, out }) => {
      const issued = realClock.now()
      const entries = (await seedsOf(csv)).map(({ peer, level, scopes, depth = 0, name: note }) => ({
        did: peer,
        level,
        scopes,
        depth,
        ...(note === undefined ? {} : { note }),
      }))
      const list = { name, version: Number(version), issued, expires: issued + parseDuration(expires), threshold: Number(threshold), keys: key, entries }
      await writeFile(out, `${JSON.stringify({ schema: 'kindmesh.authority-list/1', list, signatures: [] }, undefined, 2)}\n`)
      context.print(
        'authorities-create',
        { path: out, name, version: list.version, entries: entries.length },
        () => `${out}: each keeper signs it with \`kindmesh authorities sign ${out}\``,
      )
    },
  )
  add<readonly [string]>(
    authorities,
    'sign <file>',
    'add your signature to a list that names you among its keepers',
    (command) => command,
    async ({ client, print, signal }, [path]) => {
      const api = await client()
      const { text: signed } = await api.signList({ text: await text(path) }, { signal })
      await writeFile(path, signed)
      print(
        'authorities-sign',
        { path, ...(await api.inspectList({ text: signed }, { signal })) },
        ({ list, signers }) => `${path}: ${signers.length} of ${list.threshold} signatures`,
      )
    },
  )
  add<readonly [string]>(
    authorities,
    'inspect <file>',
    'what a list says and who signed it',
    (command) => command,
    async ({ client, print, signal }, [path]) => {
      print('authorities-inspect', await (await client()).inspectList({ text: await text(path) }, { signal }), ({ list, signers, isGood, reason }) =>
        [
          `${list.name}, version ${list.version}, until ${day(list.expires)}: ${isGood ? 'good' : (reason ?? 'not good')}`,
          ...list.keys.map((did) => `keeper  ${did}  ${signers.includes(did) ? 'signed' : 'has not signed'}`),
          ...list.entries.map(({ did, level, scopes, note = '' }) => `entry   ${did}  ${level}  ${scopes.join(' ')}  ${note}`.trimEnd()),
        ].join('\n'),
      )
    },
  )
  add<readonly [string], { readonly level?: string; readonly scope?: readonly string[] }>(
    authorities,
    'add <file>',
    'follow a list, or take its next version; it counts as one AUTHORITY',
    (command) =>
      command
        .option('--level <level>', 'most that an entry counts for; verified unless given')
        .option('--scope <path>', 'where it counts, repeatable; /task/run unless given', repeated),
    async ({ client, print, signal }, [path], { level, scope }) => {
      const body = {
        text: await text(path),
        ...(level === undefined ? {} : { level: givenLevel(level) }),
        ...(scope === undefined ? {} : { scopes: [...scope] }),
      }
      print(
        'authorities-add',
        await (await client()).followList(body, { signal }),
        (list) => `follows ${list.name}, version ${list.version}, ${list.entries} entries, up to ${nameOfLevel(list.level)} in ${list.scopes.join(' ')}`,
      )
    },
  )
  add(
    authorities,
    'list',
    'lists this node follows',
    (command) => command,
    async ({ client, print, signal }) =>
      print(
        'authorities-list',
        await (await client()).followedLists({ signal }),
        ({ lists }) =>
          lists
            .map((list) => `${list.name}  version ${list.version}  ${list.entries} entries  up to ${nameOfLevel(list.level)}  until ${day(list.expires)}`)
            .join('\n') || 'no lists: `kindmesh authorities add <file>`',
      ),
  )
  add<readonly [string]>(
    authorities,
    'rm <name>',
    'follow it no longer',
    (command) => command,
    async ({ client, print, signal }, [name]) =>
      print('authorities-rm', await (await client()).unfollowList(name, { signal }), (list) => `${list.name} no longer counts`),
  )
}

interface ImportOptions {
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly expires: string
}

/** `trust import` and `trust export`: the word of this node in one file. */
export function addSeedCommands(trust: Command, add: AddCommand): void {
  add<readonly [string], ImportOptions>(
    trust,
    'import <csv>',
    'vouch for all that a CSV names: did,level,scope,depth,expires,name; what you said already is passed over',
    (command) =>
      command
        .option('--dry-run', 'show what would be signed')
        .option('--yes', 'also where a line says authority or distrust')
        .option('--expires <duration>', 'where a line does not say', '90d'),
    importSeeds,
  )
  add(
    trust,
    'export',
    'what you say of others, as a CSV that `trust import` takes',
    (command) => command,
    async ({ client, print, signal }) => {
      const api = await client()
      const [{ did }, { attestations }] = [await api.status({ signal }), await api.attestations({ mine: 'true' }, { signal })]
      const own = attestations.filter(({ issuer, expiresAt }) => issuer === did && expiresAt > 0)
      const rows = own.map(({ subject, level, scopes, depth }) => [subject, level, scopes.join(' '), depth].join(','))
      print('trust-export', { statements: own }, () => ['did,level,scope,depth', ...rows].join('\n'))
    },
  )
}

async function seedsOf(path: string): Promise<readonly Seed[]> {
  await stat(path).catch((cause: unknown) => {
    throw new MeshError('ERR_USAGE', `${path} cannot be read`, { cause })
  })
  return await readSeeds(createReadStream(path))
}

async function importSeeds(
  { client, print, say, signal }: Context,
  [path]: readonly [string],
  { dryRun = false, yes = false, expires }: ImportOptions,
): Promise<void> {
  const seeds = await seedsOf(path)
  const api = await client()
  const strong = seeds.filter(({ level }) => level === 'authority' || level === 'distrust')
  if (strong.length > 0 && !yes && !dryRun) {
    throw new MeshError('ERR_POLICY_DENIED', `line ${strong[0]?.line ?? 0} says ${strong[0]?.level ?? ''}`, {
      hint: 'look at the file; if you mean it, say so: --yes',
    })
  }
  const { did } = await api.status({ signal })
  const { attestations } = await api.attestations({ mine: 'true' }, { signal })
  const key = (subject: string, level: number | string, scopes: readonly string[]): string => `${subject} ${level} ${scopes.toSorted().join(' ')}`
  const said = new Set(attestations.filter(({ issuer }) => issuer === did).map(({ subject, level, scopes }) => key(subject, nameOfStatement(level), scopes)))
  const lines: {
    readonly line: number
    readonly peer: string
    readonly level: string
    readonly id: string | null
    readonly status: 'signed' | 'known' | 'planned'
  }[] = []
  for (const [index, { peer, level, scopes, depth, expires: until = expires, name, line }] of seeds.entries()) {
    const isKnown = said.has(key(peer, level, scopes))
    const body = { subject: peer, level, scopes: [...scopes], lifetimeMs: parseDuration(until), ...(depth === undefined ? {} : { depth }) }
    const id = isKnown || dryRun ? null : (await api.attest(body, { signal })).id
    if (name !== undefined && !dryRun) await api.setName({ name, peer, replace: false }, { signal })
    lines.push({ line, peer, level, id, status: isKnown ? 'known' : dryRun ? 'planned' : 'signed' })
    if (index % 100 === 99) say(`${index + 1} of ${seeds.length}`)
  }
  print('trust-import', { lines }, () => lines.map(({ peer, level, status }) => `${status.padEnd(7)}  ${peer}  ${level}`).join('\n') || 'nothing to import')
}

const nameOfStatement = (level: number): string => (level === 0 ? 'caution' : nameOfLevel(level))
