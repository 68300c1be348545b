import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { keyFromDid, realClock, realRandom } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import { createNode, type MeshNode } from '../../src/index.ts'
import { recordRules } from '../../src/node/index.ts'
import { encodeTicket } from '../../src/node/ticket.ts'
import { createLink, klpFrameBytesMax, klpProtocol } from '../../src/protocols/klp/index.ts'
import { headCodec, headRecordKey } from '../../src/trust/statements.ts'
import { nobodyAsks } from '../helpers/answering.ts'
import { codeOf, createRawPeer, keyringOf, type RawPeer, signMessage, request } from '../helpers/raw-peer.ts'

/** One key is peer ID, DID, Noise identity, signer of the card and of each message: every pairing of two keys is refused. */
describe('two keys where one belongs', () => {
  let folder: string
  let anna: MeshNode
  let cleo: MeshNode
  let ben: RawPeer
  const stranger = keyringOf(99)
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kindmesh-s12-'))
    const start = (name: string): Promise<MeshNode> => createNode({ dataDir: join(folder, name), listen: ['/ip4/127.0.0.1/tcp/0'] })
    ;[anna, cleo, ben] = await Promise.all([start('anna'), start('cleo'), createRawPeer(1)])
  })
  afterAll(async () => {
    await Promise.all([anna.stop(), cleo.stop(), ben[Symbol.asyncDispose]()])
    await rm(folder, { recursive: true, force: true })
  })
  const addressOf = (node: MeshNode): string => node.addresses()[0] ?? ''

  test('an address with the peer ID of somebody else is not dialled through', async () => {
    const lie = addressOf(cleo).replace(cleo.peerId, ben.host.peerId)
    expect(await codeOf(anna.dial(lie))).toBe('ERR_NET_IDENTITY')
    expect(anna.peers().map(({ did }) => did)).not.toContain(ben.keyring.did)
  })

  test('a ticket with the DID of one and the address of another leads nowhere', async () => {
    const ticket = encodeTicket({ did: stranger.did, addresses: [addressOf(cleo)] })
    expect(await codeOf(anna.dial(ticket))).toMatch(/^ERR_NET_(IDENTITY|UNREACHABLE|ADDRESS)$/)
    expect(anna.peers().map(({ did }) => did)).not.toContain(stranger.did)
  })

  test('a hello with the card of another key than that of the connection ends the link', async () => {
    const { did } = await ben.host.dial({ addresses: anna.addresses() })
    const toCleo = await ben.link(cleo.addresses())
    const honest = await ben.hello()
    const say = async (bundle: Uint8Array): Promise<string> => {
      const stream = await ben.host.open(did, klpProtocol, { frameBytesMax: klpFrameBytesMax })
      return await codeOf(
        createLink({
          stream,
          clock: realClock,
          hello: async () => ({ ...honest, bundle }),
          judge: async ({ wants }) => ({
            answers: wants.map(({ name }) => ({ name, answer: 'granted', reason: '', alternative: '', limits: [] })),
            validUntil: 0,
          }),
          ...nobodyAsks,
        }),
      )
    }
    expect(await say(toCleo.hello.bundle)).toBe('ERR_STATEMENT_SENDER')
    expect(await say(honest.bundle)).toBe('ok')
  })

  test('a message signed by another key than that of the connection is refused, whoever it names', async () => {
    const link = await ben.link(anna.addresses())
    for (const signer of [stranger, keyringOf(98)]) {
      expect(await codeOf(request(link, ben.seal(signMessage(signer, { to: anna.did }), link)))).toBe('ERR_STATEMENT_SENDER')
    }
    // Names the right sender, signed with the wrong key.
    const posing = { did: ben.keyring.did, sign: stranger.sign }
    const fields = { to: anna.did, type: 'text', payload: new Uint8Array(), issuedAt: realClock.now(), expiresAt: realClock.now() + 60_000 }
    expect(await codeOf(request(link, ben.seal(signStatement('message', fields, { keyring: posing, random: realRandom }), link)))).toBe(
      'ERR_STATEMENT_SIGNATURE',
    )
    expect(await codeOf(request(link, ben.seal(signMessage(ben.keyring, { to: anna.did }), link)))).toBe('ok')
  })

  test('prekeys and heads are stored under the key of their author only', async () => {
    const rules = recordRules(realClock)
    const card = (await ben.hello()).bundle
    const check = (namespace: string, key: Uint8Array, value: Uint8Array): string => {
      try {
        rules[namespace]?.check(key, value)
        return 'ok'
      } catch (error) {
        return (error as { readonly code: string }).code
      }
    }
    expect(check('kindmesh-pk', keyFromDid(ben.keyring.did), card)).toBe('ok')
    expect(check('kindmesh-pk', keyFromDid(anna.did), card)).toBe('ERR_RECORD_INVALID')
    const payload = headCodec.encode({ version: 2, seq: 1, count: 1, fingerprint: new Uint8Array(32), warnings: 0, warningsRoot: new Uint8Array(32) })
    const fields = { to: ben.keyring.did, type: 'head', payload, issuedAt: realClock.now(), expiresAt: realClock.now() + 60_000 }
    const head = signStatement('head', fields, { keyring: ben.keyring, random: realRandom }).bytes
    expect(check('kindmesh-head', headRecordKey(ben.keyring.did), head)).toBe('ok')
    expect(check('kindmesh-head', headRecordKey(anna.did), head)).toBe('ERR_RECORD_INVALID')
    expect(check('kindmesh-head', keyFromDid(ben.keyring.did), head)).toBe('ERR_RECORD_INVALID')
  })

  test('after all this the nodes talk to each other', async () => {
    await anna.dial(addressOf(cleo))
    await anna.send(cleo.did, { body: 'it is me' })
    expect((await cleo.inbox.list({ limit: 1 }))[0]).toMatchObject({ from: anna.did, body: 'it is me' })
  })
})
