import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { createPlayground, kindmesh, type UpNode } from '../helpers/cli.ts'

async function clientOf(node: UpNode): Promise<ReturnType<typeof createClient>> {
  const { url, token } = JSON.parse(await readFile(join(node.home, 'api.json'), 'utf8')) as { readonly url: string; readonly token: string }
  return createClient({ url, token })
}

test('an agent signs on the command line, and whoever has the document checks it without a node', async () => {
  await using ground = await createPlayground()
  const anna = await ground.up('anna')
  const made = await anna.run('identity', 'create', 'librarian', '--capability', 'llm:invoke', '--capability', 'file:read', '--json')
  expect([made.code, made.stderr]).toEqual([0, ''])
  const { did } = made.json() as { readonly did: string }
  expect(made.json()).toMatchObject({
    schema: 'kindmesh.identity-create/1',
    agentId: 'librarian',
    did: expect.stringMatching(/^kind:agent:.+#ed25519$/) as string,
    didKey: expect.stringMatching(/^did:key:z6Mk/) as string,
    trustLevel: 1,
    capabilities: ['file:read', 'llm:invoke'],
    signatureCount: 0,
  })
  const file = join(ground.folder, 'signed.json')
  const signed = await anna.run('sign', 'librarian', '{"id":1,"payload":{"cmd":"ls","n":1.50}}', '--audience', 'ben', '--json')
  expect(signed.json()).toMatchObject({ schema: 'kindmesh.signed-json/1', did, audience: 'ben', message: { id: 1, payload: { cmd: 'ls', n: 1.5 } } })
  await writeFile(file, signed.stdout)
  expect((await anna.run('identity', 'list', '--json')).json()).toMatchObject({ identities: [{ agentId: 'librarian', signatureCount: 1 }] })

  // Elsewhere: a home without identity or node.
  const elsewhere = ground.home('elsewhere')
  const good = await kindmesh(elsewhere, 'verify', file, '--key', did, '--audience', 'ben', '--json')
  expect([good.code, good.json()]).toEqual([0, expect.objectContaining({ schema: 'kindmesh.verify/1', valid: true, signer: did, audience: 'ben' })])
  await writeFile(file, signed.stdout.replace('"ls"', '"rm"'))
  const bad = await kindmesh(elsewhere, 'verify', file, '--json')
  expect([bad.code, bad.json()['valid'], bad.problem().code]).toEqual([1, false, 'ERR_STATEMENT_SIGNATURE'])
  await writeFile(file, signed.stdout.replace('"cmd":"ls"', '"cmd":"rm","cmd":"ls"'))
  expect((await kindmesh(elsewhere, 'verify', file, '--json')).problem().code).toBe('ERR_JSON_INVALID')

  for (const [args, code, exit] of [
    [['sign', 'nobody', '1'], 'ERR_NOT_FOUND', 2],
    [['sign', 'librarian', '{"a":1,"a":2}'], 'ERR_JSON_INVALID', 2],
    [['sign', 'librarian'], 'ERR_USAGE', 2],
    [['identity', 'create', 'librarian'], 'ERR_USAGE', 2],
    [['identity', 'create', 'other', '--capability', 'file:erase'], 'ERR_USAGE', 2],
    [['verify', join(ground.folder, 'nowhere')], 'ERR_USAGE', 2],
  ] as const) {
    const refused = await anna.run(...args, '--json')
    expect([refused.problem().code, refused.code], args.join(' ')).toEqual([code, exit])
    expect(refused.problem().hint).not.toBe('')
  }

  // Any language, over the API.
  const client = await clientOf(anna)
  const message = { list: [1, { deep: true }] }
  const { signature, publicKey } = await client.sign({ agentId: 'librarian', message, audience: 'cleo' })
  expect(await client.verify({ message, signature, publicKey, audience: 'cleo' })).toEqual({ valid: true })
  expect(await client.verify({ text: '{"list":[1,{"deep":true}]}', signature, publicKey, audience: 'cleo' })).toEqual({ valid: true })
  expect(await client.verify({ message: { list: [1, { deep: false }] }, signature, publicKey, audience: 'cleo' })).toEqual({ valid: false })
  await expect(client.sign({ agentId: 'librarian', message, text: '1' })).rejects.toMatchObject({ code: 'ERR_USAGE' })
  const { entries } = await client.auditTail({ limit: 100 })
  expect(entries.map(({ event }) => event)).toEqual(expect.arrayContaining(['agent_identity_created', 'json_signed']))
  expect(JSON.stringify(entries)).not.toContain('deep')
})

test('kill -9 while signing: the count covers every signature that was handed out, and goes on from there', async () => {
  await using ground = await createPlayground()
  const node = await ground.up('anna')
  const client = await clientOf(node)
  await client.generateIdentity({ agentId: 'anna' })
  let handedOut = 0
  const signing = Array.from({ length: 60 }, async (_, index) => {
    await client.sign({ agentId: 'anna', message: { index } })
    handedOut++
    if (index === 30) await node.end('SIGKILL')
  })
  await Promise.allSettled(signing)
  await node.end('SIGKILL')
  expect(handedOut).toBeGreaterThan(15)
  const again = await clientOf(await ground.up('anna'))
  const countNow = async (): Promise<number> => (await again.identities()).identities[0]?.signatureCount ?? -1
  const counted = await countNow()
  expect(counted).toBeGreaterThanOrEqual(handedOut)
  await again.sign({ agentId: 'anna', message: 'after' })
  expect(await countNow()).toBe(counted + 1)
  expect(await again.auditVerify()).toMatchObject({ ok: true })
})
