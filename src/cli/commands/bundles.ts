import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Bundle, BundlePin } from '../../bundles/index.ts'
import { agentCapabilities, hex, MeshError, realClock, realRandom, utf8 } from '../../base/index.ts'
import type { AddCommand } from '../program.ts'
import { readBytes, readTask } from '../sandbox-options.ts'

interface SignGiven {
  readonly name: string
  readonly release: string
  readonly cap?: readonly string[]
  readonly engine?: string
  readonly out?: string
}

const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, ...value.split(',')]

export function addBundleCommands(program: Command, add: AddCommand): void {
  const bundle = program.command('bundle').description('code signed by its publisher, and whose code is trusted here')
  add<readonly [string], SignGiven>(
    bundle,
    'sign <file>',
    'sign a file of code with the key of this profile; needs no node',
    (command) =>
      command
        .requiredOption('--name <name>', 'small letters, digits, dots, dashes and underscores')
        .requiredOption('--release <version>', 'such as 1.2.3')
        .option('--cap <capability>', 'all it may ever use; found by reading it unless given; repeatable, or with commas', collect)
        .option('--engine <engine>', 'javascript, wasm or command; by the name of the file unless given')
        .option('--out <file>', 'where to write it; stdout unless given'),
    async (context, [file], { name, release, cap, engine, out }) => {
      const { analyse } = await import('../../sandbox/index.ts')
      const { contentHash } = await import('../../bundles/index.ts')
      const { signProfileBundle } = await import('../../node/index.ts')
      const code = await readTask(context, file, [], { engine })
      const asked: readonly string[] = cap ?? analyse(code).permissions
      const permissions = agentCapabilities.filter((capability) => asked.includes(capability))
      const unknown = asked.find((capability) => !agentCapabilities.some((known) => known === capability))
      if (unknown !== undefined) throw new MeshError('ERR_USAGE', `'${unknown.slice(0, 64)}' is no capability`, { hint: agentCapabilities.join(', ') })
      const codeHash = await contentHash(utf8(code.code))
      const text = await signProfileBundle(
        { home: context.home, passphrase: await context.passphrase(), clock: realClock, random: realRandom },
        { name, version: release, codeHash, engine: code.engine, permissions },
      )
      if (out !== undefined) await writeFile(out, `${text}\n`)
      context.print(
        'bundle',
        { name, version: release, codeHash: hex(codeHash), engine: code.engine, permissions, document: JSON.parse(text) as unknown },
        () => (out === undefined ? text : `signed ${out}: ${hex(codeHash)}`),
      )
    },
  )
  add<readonly [string], { readonly code?: string }>(
    bundle,
    'verify <bundle>',
    'check a bundle, with --code also that it is of that code; and whether it is trusted here',
    (command) => command.option('--code <file>', 'the code it must name'),
    async (context, [path], { code }) => {
      const { bundleBytesMax, checkBundle, contentHash, openBundle } = await import('../../bundles/index.ts')
      const opened = openBundle(await readBytes(path, bundleBytesMax))
      if (code !== undefined) {
        const task = await readTask(context, code, [], { engine: opened.engine })
        checkBundle(opened, { engine: task.engine, codeHash: await contentHash(utf8(task.code)), capabilities: [] })
      }
      const pin = await pinOf(context.home, opened)
      const { codeHash, ...said } = opened
      context.print('bundle-verify', { valid: true, ...said, codeHash: hex(codeHash), pinned: pin !== undefined }, () =>
        [
          `ok: ${said.name} ${said.version} by ${said.publisher}, ${said.engine}, code ${hex(codeHash)}`,
          `permissions: ${said.permissions.join(', ') || 'none'}`,
          pin === undefined ? 'not pinned here' : `pinned here by its ${pin.kind}${pin.note === '' ? '' : `: ${pin.note}`}`,
        ].join('\n'),
      )
    },
  )
  add<readonly [string], { readonly note: string }>(
    bundle,
    'pin <publisher-or-hash>',
    'trust the bundles of a publisher, or one code by its hash',
    (command) => command.option('--note <text>', 'why, for yourself', ''),
    async (context, [text], { note }) => {
      const { parsePin } = await import('../../bundles/index.ts')
      const pin = parsePin(text, note)
      await (await pinsOf(context.home)).add(pin)
      context.print('bundle-pin', pin, ({ kind, value }) => `pinned ${kind} ${value}`)
    },
  )
  add<readonly [string]>(
    bundle,
    'unpin <publisher-or-hash>',
    'trust it no longer',
    (command) => command,
    async (context, [text]) => {
      const { parsePin } = await import('../../bundles/index.ts')
      const { kind, value } = parsePin(text, '')
      await (await pinsOf(context.home)).remove(value)
      context.print('bundle-unpin', { kind, value }, () => `${kind} ${value} is not pinned any more`)
    },
  )
  add(
    bundle,
    'pins',
    'publishers and code whose bundles are trusted here',
    (command) => command,
    async (context) => {
      const pins = await (await pinsOf(context.home)).list()
      context.print('bundle-pins', { pins }, () => pins.map(({ kind, value, note }) => `${kind.padEnd(9)} ${value}  ${note}`).join('\n') || 'nothing is pinned')
    },
  )
}

async function pinsOf(home: string) {
  const { profileBundlePins } = await import('../../boxes/index.ts')
  return profileBundlePins(home, realRandom)
}

async function pinOf(home: string, opened: Bundle): Promise<BundlePin | undefined> {
  const hash = hex(opened.codeHash)
  return (await (await pinsOf(home)).list()).find(({ value }) => value === hash || value === opened.publisher)
}
