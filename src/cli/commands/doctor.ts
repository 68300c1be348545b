import { readFile, stat, statfs } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError, profilePaths, realClock, realRandom, silentLogger, toMeshError } from '../../base/index.ts'
import { type Context, paint } from '../context.ts'
import type { AddCommand } from '../program.ts'

/** One thing looked at, and the command that mends it. */
interface Finding {
  readonly what: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly detail: string
  readonly fix?: string
}

const diskBytesWanted = 512 * 1024 * 1024
const nodeMajorWanted = 24

export function addDoctorCommand(program: Command, add: AddCommand): void {
  add(
    program,
    'doctor',
    'what is wrong, and the command that mends it',
    (command) => command,
    async (context) => {
      const findings = [
        checkRuntime(),
        ...(await checkProfile(context)),
        await checkDisk(context),
        ...(await checkNode(context)),
        ...(await checkSandboxes(context)),
      ]
      const ok = findings.every(({ state }) => state !== 'fail')
      const colours = { ok: 'green', warn: 'yellow', fail: 'red' } as const
      context.print('doctor', { ok, findings }, () =>
        findings
          .map(
            ({ what, state, detail, fix }) => `${paint(colours[state], state.padEnd(4))}  ${what}: ${detail}${fix === undefined ? '' : `\n      mend: ${fix}`}`,
          )
          .join('\n'),
      )
      if (!ok) throw new MeshError('ERR_INTERNAL', 'something is wrong', { hint: 'see the lines marked fail' })
    },
  )
}

function checkRuntime(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return major >= nodeMajorWanted
    ? { what: 'Node.js', state: 'ok', detail: process.versions.node }
    : { what: 'Node.js', state: 'fail', detail: `${process.versions.node} is too old`, fix: `install Node.js ${nodeMajorWanted} or newer` }
}

async function checkProfile({ home }: Context): Promise<readonly Finding[]> {
  const { vault, identity, passphraseFile } = profilePaths(home)
  try {
    const { readIdentity } = await import('../../node/index.ts')
    const { did } = await readIdentity(home)
    // A profile from before there was a vault holds its keys in the other file.
    const keyFile = (await isThere(vault)) ? vault : identity
    const { mode } = await stat(keyFile)
    const isPrivate = (mode & 0o077) === 0
    const hasPassphraseFile = await isThere(passphraseFile)
    return [
      { what: 'identity', state: 'ok', detail: did },
      isPrivate
        ? { what: 'vault', state: 'ok', detail: 'readable by you alone' }
        : { what: 'vault', state: 'fail', detail: 'others can read it', fix: `chmod 600 ${keyFile}` },
      ...(hasPassphraseFile
        ? [
            {
              what: 'passphrase',
              state: 'warn',
              detail: 'lies beside the vault it protects',
              fix: `move ${passphraseFile} to another place and name it by --passphrase-file`,
            } as const,
          ]
        : []),
    ]
  } catch (error) {
    const { message, hint } = toMeshError(error)
    return [{ what: 'identity', state: 'fail', detail: message, fix: hint.replaceAll('`', '') }]
  }
}

const isThere = async (path: string): Promise<boolean> =>
  await stat(path).then(
    () => true,
    () => false,
  )

async function checkDisk({ home }: Context): Promise<Finding> {
  try {
    const { bavail, bsize } = await statfs(home)
    const free = bavail * bsize
    const detail = `${Math.round(free / 2 ** 20)} MiB free`
    return free >= diskBytesWanted
      ? { what: 'disk', state: 'ok', detail }
      : { what: 'disk', state: 'warn', detail, fix: 'make room: nothing is acknowledged that cannot be written' }
  } catch (error) {
    return { what: 'disk', state: 'warn', detail: toMeshError(error).message }
  }
}

async function checkNode(context: Context): Promise<readonly Finding[]> {
  try {
    const client = await context.client()
    const { addresses, peers } = await client.status({ signal: context.signal })
    const { ok, entries, firstBad } = await client.auditVerify({ signal: context.signal })
    return [
      { what: 'node', state: 'ok', detail: `up, ${addresses.length} addresses` },
      peers > 0
        ? { what: 'peers', state: 'ok', detail: String(peers) }
        : { what: 'peers', state: 'warn', detail: 'none', fix: 'kindmesh dial <ticket of somebody>' },
      auditFinding(ok, entries, firstBad),
    ]
  } catch (error) {
    const reason = toMeshError(error)
    if (reason.code !== 'ERR_NODE_DOWN' && reason.code !== 'ERR_PROFILE_MISSING') {
      return [{ what: 'node', state: 'fail', detail: reason.message, fix: reason.hint }]
    }
    return [{ what: 'node', state: 'warn', detail: 'not running', fix: 'kindmesh up' }, ...(await checkStoreAtRest(context))]
  }
}

async function checkStoreAtRest({ home }: Context): Promise<readonly Finding[]> {
  const hasStore = await readFile(`${profilePaths(home).store}/CURRENT`).then(
    () => true,
    () => false,
  )
  if (!hasStore) return []
  try {
    const { verifyProfileAudit } = await import('../../node/index.ts')
    const { ok, entries, ...rest } = await verifyProfileAudit(home)
    return [{ what: 'store', state: 'ok', detail: 'opens' }, auditFinding(ok, entries, 'firstBad' in rest ? rest.firstBad : undefined)]
  } catch (error) {
    const { message, hint } = toMeshError(error)
    return [{ what: 'store', state: 'fail', detail: message, fix: hint }]
  }
}

const auditFinding = (ok: boolean, entries: number, firstBad: { readonly seq: number; readonly reason: string } | undefined): Finding =>
  ok
    ? { what: 'audit log', state: 'ok', detail: `${entries} entries` }
    : {
        what: 'audit log',
        state: 'fail',
        detail: `entry ${firstBad?.seq ?? '?'}: ${firstBad?.reason ?? ''}`,
        fix: 'keep a copy of the home folder and compare it with a backup',
      }

const levels = ['native', 'sandboxed', 'containerized', 'virtualized'] as const

/** Which levels run a task on this machine right now; no node is asked. */
async function checkSandboxes({ home }: Context): Promise<readonly Finding[]> {
  const { openLocalSandboxes } = await import('../../boxes/index.ts')
  await using parts = await openLocalSandboxes({ clock: realClock, random: realRandom, logger: silentLogger, poolSize: 1, home })
  const findings: Finding[] = []
  for (const level of levels) {
    const what = `sandbox ${level}`
    try {
      const { name } = await parts.sandboxes.ready(level)
      const { lacks: why } = parts.sandboxes.available().find((found) => found.level === level) ?? {}
      // Only the level that tasks run at by default is worth a warning.
      const state = why === undefined || level !== 'sandboxed' ? 'ok' : 'warn'
      findings.push({ what, state, detail: why === undefined ? name : `${name}: ${why}`, ...(state === 'warn' ? { fix: 'apt-get install bubblewrap' } : {}) })
    } catch (error) {
      const { message, hint } = toMeshError(error)
      findings.push({ what, state: level === 'sandboxed' ? 'warn' : 'ok', detail: `not available: ${message}`, fix: hint.replaceAll('`', '') })
    }
  }
  return findings
}
