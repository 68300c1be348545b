import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { exitCodes, MeshError, toMeshError } from '../base/index.ts'
import { addAgentCommands } from './commands/agents.ts'
import { addAuditCommands } from './commands/audit.ts'
import { addBundleCommands } from './commands/bundles.ts'
import { addConfigCommands } from './commands/config.ts'
import { addDevCommands } from './commands/dev.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addFindCommands } from './commands/find.ts'
import { addFileCommands } from './commands/files.ts'
import { addGrantCommands } from './commands/grants.ts'
import { addGroupCommands } from './commands/groups.ts'
import { addIdentityCommands } from './commands/identity.ts'
import { addInviteCommands } from './commands/invite.ts'
import { addMailboxCommands } from './commands/mailbox.ts'
import { addMeshCommands } from './commands/mesh.ts'
import { addMessageCommands } from './commands/messages.ts'
import { addOwnKeyCommands } from './commands/own-keys.ts'
import { addPeopleCommands } from './commands/people.ts'
import { addPinCommands } from './commands/pins.ts'
import { addProofCommands } from './commands/proofs.ts'
import { addRunCommand } from './commands/run.ts'
import { addSandboxCommands } from './commands/sandbox.ts'
import { addSigningCommands } from './commands/signing.ts'
import { addTaskCommands } from './commands/task.ts'
import { addTokenCommands } from './commands/tokens.ts'
import { addTopicCommands } from './commands/topics.ts'
import { addTrustCommands } from './commands/trust.ts'
import { addUserCommands } from './commands/users.ts'
import { addUpCommand } from './commands/up.ts'
import { addVaultCommands } from './commands/vault.ts'
import { type Context, createContext, reportError, type SharedOptions } from './context.ts'

// The depth is the same from src/cli and from dist/cli.
export const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string }

type Act<A extends readonly unknown[], O> = (context: Context, args: A, options: O & SharedOptions) => Promise<void>

/** Adds a command that takes the shared options and reports every error the same way. */
export type AddCommand = <A extends readonly unknown[] = readonly string[], O extends object = object>(
  parent: Command,
  usage: string,
  description: string,
  build: (command: Command) => Command,
  act: Act<A, O>,
) => void

/** What adds the commands, in the order of the help. */
export const commandAdders: readonly ((program: Command, add: AddCommand) => void)[] = [
  addIdentityCommands,
  addOwnKeyCommands,
  addUpCommand,
  addMeshCommands,
  addFindCommands,
  addMessageCommands,
  addTopicCommands,
  addFileCommands,
  addMailboxCommands,
  addGroupCommands,
  addAgentCommands,
  addVaultCommands,
  addSigningCommands,
  addInviteCommands,
  addPeopleCommands,
  addPinCommands,
  addTrustCommands,
  addProofCommands,
  addGrantCommands,
  addRunCommand,
  addSandboxCommands,
  addBundleCommands,
  addTaskCommands,
  addAuditCommands,
  addUserCommands,
  addConfigCommands,
  addTokenCommands,
  addDoctorCommand,
  addDevCommands,
]

/** Options every command takes, before or after its name. */
function share(command: Command): Command {
  return command
    .option('--home <folder>', 'folder of the profile (KINDMESH_HOME)')
    .option('--passphrase-file <file>', 'file with the passphrase (KINDMESH_PASSPHRASE_FILE)')
    .option('--no-input', 'never ask, fail instead')
    .option('--json', 'one JSON object on stdout')
    .option('--jsonl', 'one JSON object a line on stdout')
    .option('--quiet', 'no talk on stderr')
    .option('--timeout <duration>', 'give up after this long, such as 30s')
    .option('-v, --verbose', 'tell more on stderr')
}

/** Runs the command line; resolves with the exit code. */
export async function runProgram(argv: readonly string[], signal: AbortSignal): Promise<number> {
  let exit: number = exitCodes.ok
  let wantsJson = argv.includes('--json') || argv.includes('--jsonl')
  const program = share(new Command('kindmesh'))
    .description('Peer-to-peer node for agents: find, talk, trust, run')
    .version(version)
    .configureHelp({ sortSubcommands: false })
    .configureOutput({ writeErr: (text) => void (wantsJson || process.stderr.write(text)) })
    .exitOverride()

  const add: AddCommand = (parent, usage, description, build, act) => {
    // A subcommand inherits how the root reports errors.
    const command = build(share(parent.command(usage).description(description)).copyInheritedSettings(program))
    command.action(async (...given: unknown[]) => {
      const root = program.opts<SharedOptions>()
      const own = command.opts<SharedOptions>()
      // Said before or after the name of the command, it counts.
      const options: SharedOptions = { ...root, ...own, input: root.input !== false && own.input !== false }
      wantsJson = options.json === true || options.jsonl === true
      const args = given.slice(0, -2)
      const context = createContext(options, signal)
      const code = await act(context, args as never, options as never).then(
        () => undefined,
        (error: unknown) => fail(error, signal, wantsJson),
      )
      exit = code ?? (process.exitCode === undefined ? exit : Number(process.exitCode))
    })
  }
  for (const addAll of commandAdders) addAll(program, add)
  try {
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return exitCodes.ok
    if (wantsJson) reportError(new MeshError('ERR_USAGE', error.message.replace(/^error: /, '')), { json: true })
    return exitCodes.usage
  }
  return exit
}

function fail(error: unknown, signal: AbortSignal, json: boolean): number {
  const reason = toMeshError(error)
  reportError(reason, { json })
  return signal.aborted && (reason.code === 'ERR_ABORTED' || reason.code === 'ERR_TASK_CANCELLED') ? exitCodes.interrupted : reason.exitCode
}
