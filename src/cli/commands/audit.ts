import { writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { MeshError, toMeshError } from '../../base/index.ts'
import type { Context } from '../context.ts'
import { parseCount } from '../parse.ts'
import type { AddCommand } from '../program.ts'

/** Through the running node, else straight from the store: no key is needed to check. */
async function verifyLog(context: Context): Promise<{
  readonly ok: boolean
  readonly entries: number
  readonly checkpoint: string | null
  readonly firstBad?: { readonly seq: number; readonly reason: string } | undefined
}> {
  try {
    return await (await context.client()).auditVerify({ signal: context.signal })
  } catch (error) {
    if (toMeshError(error).code !== 'ERR_NODE_DOWN') throw error
  }
  const { verifyProfileAudit } = await import('../../node/index.ts')
  const verdict = await verifyProfileAudit(context.home)
  return { ...verdict, checkpoint: verdict.checkpoint ?? null }
}

export function addAuditCommands(program: Command, add: AddCommand): void {
  const audit = program.command('audit').description('what happened at this node, tamper-evident')
  add<readonly [], { readonly limit: string; readonly event?: string; readonly party?: string }>(
    audit,
    'tail',
    'the last entries',
    (command) =>
      command
        .option('--limit <n>', 'how many', '20')
        .option('--event <names>', 'of these events only, with commas between; `peer_` is all that begin so')
        .option('--party <text>', 'with this in the actor or the subject'),
    async ({ client, print, signal }, _args, { limit, ...fit }) => {
      const answer = await (await client()).auditTail({ limit: parseCount(limit, '--limit', 1_000), ...fit }, { signal })
      print('audit-tail', answer, ({ entries }) =>
        entries
          .map(
            ({ seq, time, event, actor, subject }) =>
              `${seq}  ${new Date(time).toISOString()}  ${event}  ${actor}${subject === null || subject === actor ? '' : ` ${subject}`}`,
          )
          .join('\n'),
      )
    },
  )
  add(
    audit,
    'verify',
    'check the whole log against its signed checkpoint',
    (command) => command,
    async (context) => {
      const verdict = await verifyLog(context)
      const { ok, entries, checkpoint, firstBad } = verdict
      context.print('audit-verify', { ok, entries, checkpoint, ...(firstBad === undefined ? {} : { firstBad }) }, () =>
        ok ? `ok: ${entries} entries` : `BAD at entry ${firstBad?.seq ?? '?'}: ${firstBad?.reason ?? ''}`,
      )
      if (!ok) throw new MeshError('ERR_AUDIT_TAMPERED', `entry ${firstBad?.seq ?? '?'}: ${firstBad?.reason ?? 'the log does not fit its checkpoint'}`)
    },
  )
  add<readonly [string], { readonly out?: string }>(
    audit,
    'prove <seq>',
    'a document that proves to anybody offline that an entry is in the log',
    (command) => command.option('--out <file>', 'write it there'),
    async ({ client, print, signal, say }, [seq], { out }) => {
      const proof = await (await client()).auditProve(parseCount(seq, 'the entry', Number.MAX_SAFE_INTEGER), { signal })
      if (out !== undefined) {
        await writeFile(out, `${JSON.stringify(proof, undefined, 2)}\n`)
        say(`written to ${out}`)
      }
      print('audit-prove', { proof }, () => JSON.stringify(proof, undefined, 2))
    },
  )
}
