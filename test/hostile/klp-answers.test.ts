import { expect, test } from 'vitest'
import { createSeededRandom, utf8 } from '../../src/base/index.ts'
import { type Keyring, type Signed, signStatement } from '../../src/identity/index.ts'
import { createTestMesh, type TestMesh } from '../../src/testing/index.ts'
import { encode } from '../../src/wire/index.ts'
import { createSimulatedPeer, type SimulatedPeer } from '../helpers/klp.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const random = createSeededRandom(5)
const stranger = keyringOf(77)
const forged = (bytes: Uint8Array): Uint8Array => bytes.with(12, (bytes[12] ?? 0) ^ 1)

interface Lie {
  readonly by?: Keyring
  readonly to?: Keyring
  readonly about?: Uint8Array
  readonly alsoAbout?: Uint8Array
  readonly messageHash?: Uint8Array
  readonly agedMs?: number
  readonly isForged?: boolean
}

/** A node that asks, and a peer that answers it as the test likes. */
interface Stage {
  readonly mesh: TestMesh
  readonly peer: SimulatedPeer
  receipt(asked: Signed, lie?: Lie): Uint8Array
  reply(asked: Signed, lie?: Lie & { readonly body?: string }): Uint8Array
  answerWith(answer: (asked: Signed) => Uint8Array): void
}

async function createStage(): Promise<Stage> {
  const mesh = await createTestMesh({ nodes: 1, seed: 5 })
  const peer = await createSimulatedPeer(mesh, 9)
  let answer: (asked: Signed) => Uint8Array = () => new Uint8Array()
  const link = await mesh.run(peer.link(0, { onRequest: async (sealed) => answer(peer.open(sealed)) }))
  const node = mesh.node(0)
  const sign = (
    kind: 'receipt' | 'message',
    payload: Uint8Array,
    asked: Signed,
    { by = peer.keyring, to, about = asked.hash, alsoAbout, agedMs = 0, isForged = false }: Lie,
  ): Uint8Array => {
    const issuedAt = mesh.clock.now() - agedMs
    const fields = {
      to: to?.did ?? node.did,
      type: kind,
      payload,
      refs: alsoAbout === undefined ? [about] : [about, alsoAbout],
      issuedAt,
      expiresAt: issuedAt + 60_000,
    }
    const { bytes } = signStatement(kind, fields, { keyring: by, random })
    return peer.seal({ bytes: isForged ? forged(bytes) : bytes }, peer.bundleOf(link))
  }
  return {
    mesh,
    peer,
    receipt: (asked, lie = {}) => sign('receipt', encode([1, 'acknowledged', lie.messageHash ?? asked.hash]), asked, lie),
    reply: (asked, lie = {}) => sign('message', encode([1, '', false, 5, null, null, null, [], null, 'json', utf8(lie.body ?? '"yes"')]), asked, lie),
    answerWith: (made) => {
      answer = made
    },
  }
}

/** What becomes of a message, or the code it is given up with. */
const fateOf = (sent: Promise<{ readonly status: string }>): Promise<string> =>
  sent.then(
    ({ status }) => status,
    (error: unknown) => String((error as { readonly code?: unknown }).code),
  )

const other = new Uint8Array(32).fill(3)

test.each<readonly [string, string, (asked: Signed, stage: Stage) => Uint8Array]>([
  ['honest', 'acknowledged', (asked, { receipt }) => receipt(asked)],
  ['signed by somebody else', 'ERR_STATEMENT_SENDER', (asked, { receipt }) => receipt(asked, { by: stranger })],
  ['addressed to somebody else', 'ERR_STATEMENT_AUDIENCE', (asked, { receipt }) => receipt(asked, { to: stranger })],
  ['that refers to another message', 'ERR_PROTOCOL', (asked, { receipt }) => receipt(asked, { about: other })],
  ['that refers to another message too', 'ERR_PROTOCOL', (asked, { receipt }) => receipt(asked, { alsoAbout: other })],
  ['that names another message', 'ERR_RECEIPT_INVALID', (asked, { receipt }) => receipt(asked, { messageHash: other })],
  ['of last week', 'ERR_STATEMENT_EXPIRED', (asked, { receipt }) => receipt(asked, { agedMs: 7 * 86_400_000 })],
  ['of next week', 'ERR_STATEMENT_FUTURE', (asked, { receipt }) => receipt(asked, { agedMs: -7 * 86_400_000 })],
  ['with a flipped bit', 'ERR_STATEMENT_SIGNATURE', (asked, { receipt }) => receipt(asked, { isForged: true })],
  ['that is noise', 'ERR_WIRE_MALFORMED', () => utf8('thanks')],
  ['that is empty', 'ERR_WIRE_MALFORMED', () => new Uint8Array()],
  ['that is a reply', 'ERR_PROTOCOL', (asked, { reply }) => reply(asked)],
  ['that is the message itself', 'queued', (asked) => asked.bytes],
])('a receipt %s gives the sender %s', async (_what, code, answer) => {
  const stage = await createStage()
  await using mesh = stage.mesh
  stage.answerWith((asked) => answer(asked, stage))
  expect(await mesh.run(fateOf(mesh.node(0).send(stage.peer.keyring.did, { body: 'hi' })))).toBe(code)
  // One lie does not cost the link. (What is still queued would come first.)
  if (code === 'queued') return
  stage.answerWith((asked) => stage.receipt(asked))
  expect(await mesh.run(fateOf(mesh.node(0).send(stage.peer.keyring.did, { body: 'hi again' })))).toBe('acknowledged')
})

test.each<readonly [string, string, (asked: Signed, stage: Stage) => Uint8Array]>([
  ['honest', 'ok', (asked, { reply }) => reply(asked)],
  ['signed by somebody else', 'ERR_STATEMENT_SENDER', (asked, { reply }) => reply(asked, { by: stranger })],
  ['addressed to somebody else', 'ERR_STATEMENT_AUDIENCE', (asked, { reply }) => reply(asked, { to: stranger })],
  ['to another question', 'ERR_PROTOCOL', (asked, { reply }) => reply(asked, { about: other })],
  ['of last week', 'ERR_STATEMENT_EXPIRED', (asked, { reply }) => reply(asked, { agedMs: 7 * 86_400_000 })],
  ['that is no JSON', 'ERR_WIRE_MALFORMED', (asked, { reply }) => reply(asked, { body: '{' })],
  ['not sealed', 'ERR_WIRE_MALFORMED', () => utf8('yes')],
  ['that is a receipt', 'ERR_PROTOCOL', (asked, { receipt }) => receipt(asked)],
  ['that is empty', 'ERR_WIRE_MALFORMED', () => new Uint8Array()],
])('a reply %s gives the asker %s', async (_what, code, answer) => {
  const stage = await createStage()
  await using mesh = stage.mesh
  stage.answerWith((asked) => answer(asked, stage))
  expect(await mesh.run(codeOf(mesh.node(0).ask(stage.peer.keyring.did, 'well?')))).toBe(code)
  stage.answerWith((asked) => stage.reply(asked))
  expect((await mesh.run(mesh.node(0).ask(stage.peer.keyring.did, 'well?'))).reply).toBe('yes')
})

test('the reply to an earlier question does not answer a later one', async () => {
  const stage = await createStage()
  await using mesh = stage.mesh
  let first: Uint8Array | undefined
  stage.answerWith((asked) => (first ??= stage.reply(asked)))
  expect(await mesh.run(codeOf(mesh.node(0).ask(stage.peer.keyring.did, 'is it safe?')))).toBe('ok')
  expect(await mesh.run(codeOf(mesh.node(0).ask(stage.peer.keyring.did, 'is it safe?')))).toBe('ERR_PROTOCOL')
})

test('a hello with the prekeys of somebody else, of last week, forged or none at all ends the link with a code', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 6 })
  const peer = await createSimulatedPeer(mesh, 9)
  const old = (await peer.prekeys.current()).bundle.bytes
  const honest = await mesh.run(peer.link(0))
  const cases: readonly (readonly [Uint8Array, string])[] = [
    [honest.hello.bundle, 'ERR_STATEMENT_SENDER'],
    [forged(old), 'ERR_STATEMENT_SIGNATURE'],
    [new Uint8Array(), 'ERR_WIRE_MALFORMED'],
    [random.bytes(1_500), 'ERR_WIRE_MALFORMED'],
  ]
  for (const [bundle, code] of cases) expect(await mesh.run(codeOf(peer.link(0, { hello: { bundle } })))).toBe(code)
  await mesh.clock.advance(8 * 86_400_000)
  expect(await mesh.run(codeOf(peer.link(0, { hello: { bundle: old } })))).toBe('ERR_STATEMENT_EXPIRED')
  expect(await mesh.run(codeOf(peer.link(0)))).toBe('ok')
})

test('evidence in a hello that is noise, or about others, is left out and does no harm', async () => {
  await using mesh = await createTestMesh({ nodes: 1, seed: 7 })
  const peer = await createSimulatedPeer(mesh, 9)
  const evidence = (['attestation', 'revocation', 'head'] as const).flatMap((kind) => [
    { kind, bytes: random.bytes(300) },
    { kind, bytes: new Uint8Array() },
  ])
  await mesh.run(peer.link(0, { hello: { evidence } }))
  await mesh.clock.advance(10_000)
  expect(mesh.node(0).trust.show()).toEqual([])
  expect(await mesh.run(codeOf(peer.link(0)))).toBe('ok')
})
