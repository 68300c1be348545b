import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { didFromKey } from '../../src/base/index.ts'
import { runProgram } from '../../src/cli/program.ts'
import { createPlayground } from '../helpers/cli.ts'

const someone = (): string => didFromKey(new Uint8Array(generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)))

interface Ended {
  readonly code: number
  readonly text: string
  readonly data: Record<string, unknown>
  readonly problem: Record<string, unknown>
}

/** A command of the real command line, in this process: a process for each would be most of the time. */
async function command(home: string, ...args: readonly string[]): Promise<Ended> {
  const texts = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      texts[name] += String(text)
      return true
    }),
  )
  const code = await runProgram(['--home', home, '--no-input', ...args], new AbortController().signal).finally(() => spies.forEach((spy) => spy.mockRestore()))
  const parse = (text: string): Record<string, unknown> => JSON.parse(text === '' ? '{}' : text) as Record<string, unknown>
  const isJson = args.includes('--json')
  return { code, text: texts.stdout, data: isJson ? parse(texts.stdout) : {}, problem: isJson ? parse(texts.stderr) : {} }
}

test('one sees what a word would do, says it, sees whom one vouches for, draws it, and takes it back by name', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const [ben, zoe] = [someone(), someone()]
  const run = async (...args: readonly string[]): Promise<Ended> => await command(anna.home, '--json', ...args)
  const ask = async (...args: readonly string[]): Promise<Record<string, unknown>> => (await run(...args)).data

  expect(await ask('attest', ben, '--level', 'trusted', '--dry-run')).toMatchObject({
    schema: 'kindmesh.attest/1',
    dryRun: true,
    changes: [{ subject: ben, before: 0, after: 3 }],
  })
  expect(await ask('trust', 'roots')).toMatchObject({ schema: 'kindmesh.trust-roots/1', roots: [] })
  expect(await ask('trust', 'rendezvous')).toMatchObject({ schema: 'kindmesh.trust-rendezvous/1', held: 0, refused: { invalid: 0, full: 0, busy: 0 } })

  const { id } = (await ask('attest', ben, '--level', 'trusted')) as { id: string }
  await ask('attest', ben, '--level', 'basic', '--scope', '/message')
  expect(await ask('trust', 'roots')).toMatchObject({
    roots: [
      { subject: ben, level: 1, countsFor: 1, scopes: ['/message'], rights: [{ command: '/message/send', how: 'yes' }] },
      { id, subject: ben, level: 3, countsFor: 3, scopes: ['/task/run'], depth: 1, rights: expect.arrayContaining([{ command: '/task/run', how: 'yes' }]) },
    ],
  })
  expect(await ask('trust', 'show', '--mine', '--scope', '/task/run/deep')).toMatchObject({ attestations: [{ id }] })
  expect(await ask('trust', 'show', '--issuer', zoe)).toMatchObject({ attestations: [] })

  expect(await ask('trust', 'simulate', '--add', `${ben},${zoe},verified`, '--add', `me,${zoe},1`)).toMatchObject({
    schema: 'kindmesh.trust-simulate/1',
    changes: [{ subject: zoe, before: 0, after: 1 }],
  })
  expect(await ask('trust', 'simulate', '--revoke', id.slice(0, 8))).toMatchObject({ revoked: [id], changes: [{ subject: ben, before: 3, after: 0 }] })

  await ask('name', 'set', 'ben', ben)
  const why = await ask('trust', 'explain', zoe)
  expect(why).toMatchObject({ level: 0, missingForNext: { votes: 1, near: [{ did: ben, by: 'vouch' }] }, names: { [ben]: 'ben' } })
  expect(why['sentence']).toContain('one VERIFIED introducer would raise it, such as ben.')
  const { text } = await command(anna.home, 'trust', 'explain', 'ben')
  expect(text.split('\n')).toEqual([
    expect.stringMatching(/^TRUSTED in \/task\/run, because you say so; /),
    expect.stringMatching(/^ {2}way {6}you -> ben {2}\(trusted or more, until \d{4}-\d\d-\d\d\)$/),
    expect.stringMatching(/^ {2}ignored {2}you {2}of another scope {2}[0-9a-f]{12}$/),
    '',
  ])

  const file = join(ground.folder, 'trust.svg')
  expect(await ask('trust', 'graph', '--format', 'svg', '--out', file)).toMatchObject({
    schema: 'kindmesh.trust-graph/1',
    file,
    nodes: [{ layer: 0 }, { id: ben, name: 'ben', layer: 1 }],
  })
  expect(await readFile(file, 'utf8')).toMatch(/^<svg [\s\S]*<\/svg>\n$/)
  expect(await ask('trust', 'rank')).toMatchObject({
    schema: 'kindmesh.trust-rank/1',
    ranked: expect.arrayContaining([expect.objectContaining({ subject: ben, level: 3 })]),
  })

  const unsure = await run('revoke', 'ben')
  expect([unsure.code, unsure.problem]).toEqual([2, expect.objectContaining({ code: 'ERR_USAGE', hint: expect.stringContaining('--yes') })])
  const none = await run('revoke', zoe, '--yes')
  expect([none.code, none.problem['code']]).toEqual([2, 'ERR_NOT_FOUND'])
  expect(await ask('revoke', 'ben', '--yes')).toMatchObject({ schema: 'kindmesh.revoke/1', revocations: [{ revoked: id }, { revoked: expect.any(String) }] })
  expect((await ask('trust', 'explain', ben))['ignored']).toEqual(expect.arrayContaining([expect.objectContaining({ id, reason: 'revoked' })]))
})
