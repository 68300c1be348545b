import { expect, test } from 'vitest'
import { createSeededRandom, dayMs, type Did, hourMs } from '../../src/base/index.ts'
import { signStatement } from '../../src/identity/index.ts'
import type { Host } from '../../src/net/index.ts'
import { joinAttemptsMax } from '../../src/node/join.ts'
import { encodeTicket, decodeTicket, type Ticket } from '../../src/node/ticket.ts'
import { recordRules } from '../../src/node/index.ts'
import { askCodec, joinFrameBytesMax, joinProtocol, returnCodec, welcomeCodec } from '../../src/protocols/join/codec.ts'
import { inviteKeys, type InviteTerms, joinAt, joinProof } from '../../src/protocols/join/index.ts'
import { createMemoryStore } from '../../src/store/index.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { encode } from '../../src/wire/index.ts'
import { createSimulatedPeer } from '../helpers/klp.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const scopes = ['/task/run']
const fields = { level: 2, scopes, openMs: dayMs } as const

/** Somebody on the network who keeps to no rule but those the test gives it. */
async function rawHost(mesh: TestMesh, seed: number): Promise<Host> {
  const host = await mesh.simulator.host(keyringOf(seed).did, { store: createMemoryStore(), rules: recordRules(mesh.clock), bootstrap: [] })
  await mesh.run(host.dial({ addresses: mesh.node(0).addresses() }))
  return host
}
async function invite(
  node: TestNode,
  mesh: TestMesh,
  more: object = {},
): Promise<Ticket & { readonly text: string; readonly secret: Uint8Array; readonly terms: InviteTerms }> {
  const { ticket: text } = await mesh.run(node.invites.create({ ...fields, ...more }))
  const ticket = decodeTicket(text)
  if (ticket.invite === undefined) throw new Error('no invite')
  return { ...ticket, text, ...ticket.invite }
}
interface Lie {
  readonly secret: Uint8Array
  readonly terms: InviteTerms
  readonly inviter: Did
  /** Who the proof is of, and who says to join. */
  readonly proofOf?: Did
  readonly joiner?: Did
  readonly proof?: Uint8Array
}
const askOf = (host: Host, { secret, terms, inviter, proofOf = host.did, joiner = host.did, proof }: Lie) => {
  const keys = inviteKeys(secret)
  const facts = { id: keys.id, inviter: { identity: inviter, key: inviter }, joiner: { identity: proofOf, key: proofOf }, terms }
  return { id: keys.id, joiner, proof: proof ?? joinProof(keys, 'joiner', facts) }
}
const attempt = (mesh: TestMesh, host: Host, lie: Lie): Promise<string> =>
  mesh.run(codeOf(joinAt(host, lie.inviter, { clock: mesh.clock, ask: askOf(host, lie), judge: () => Promise.reject(new Error('let in')) })))
const levelOf = (node: TestNode, did: Did): number => node.trust.snapshot('/task/run').level(did)
const events = async (mesh: TestMesh, node: TestNode): Promise<readonly string[]> => (await mesh.run(node.audit.tail({ limit: 100 }))).map(({ event }) => event)

test('over a ticket both nodes hold each other at its level in its scope at once, nowhere else, and after restarts', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 1 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const { text } = await invite(anna, mesh)
  expect(await mesh.run(ben.invites.join(text))).toMatchObject({ did: anna.did, level: 2, scopes })
  for (const [node, other] of [
    [anna, ben],
    [ben, anna],
  ] as const) {
    expect(levelOf(node, other.did)).toBe(2)
    expect(node.trust.snapshot('/message/send').level(other.did)).toBe(0)
    expect(node.trust.show()).toHaveLength(2)
  }
  mesh.crash(0)
  const again = await mesh.run(mesh.restart(0))
  expect(levelOf(again, ben.did)).toBe(2)
  expect(again.invites.list()).toMatchObject([{ status: 'used', joined: [{ did: ben.did }] }])
})

test('whoever holds no secret, another secret, another key, other terms or the proof of another gets nothing, and it is written down', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 2 })
  const anna = mesh.node(0)
  const mallory = await rawHost(mesh, 66)
  const { secret, terms } = await invite(anna, mesh)
  const lie = { secret, terms, inviter: anna.did }
  const ben = mesh.node(1).did
  const codes = [
    await attempt(mesh, mallory, { ...lie, secret: createSeededRandom(9).bytes(16) }),
    await attempt(mesh, mallory, { ...lie, proof: new Uint8Array(32) }),
    // The proof of somebody else, passed on from another key: in that one's name, and in mallory's own.
    await attempt(mesh, mallory, { ...lie, proofOf: ben, joiner: ben }),
    await attempt(mesh, mallory, { ...lie, proofOf: ben }),
    await attempt(mesh, mallory, { ...lie, terms: { ...terms, level: 4 } }),
    // A sound proof of its own, in the name of somebody else.
    await attempt(mesh, mallory, { ...lie, joiner: ben }),
  ]
  expect(codes).toEqual(['ERR_INVITE_UNKNOWN', 'ERR_INVITE_PROOF', 'ERR_INVITE_PROOF', 'ERR_INVITE_PROOF', 'ERR_INVITE_PROOF', 'ERR_INVITE_PROOF'])
  expect([anna.trust.show(), levelOf(anna, mallory.did)]).toEqual([[], 0])
  expect((await events(mesh, anna)).filter((event) => event === 'join_refused')).toHaveLength(codes.length)
  expect(anna.invites.list()).toMatchObject([{ status: 'open', joined: [] }])
})

test('a peer that tries and tries is slowed, and burns no more than the one invite whose name it knows', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 3 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const mallory = await rawHost(mesh, 66)
  const known = await invite(anna, mesh)
  const other = await invite(anna, mesh)
  const lie = { secret: known.secret, terms: known.terms, inviter: anna.did, proof: new Uint8Array(32) }
  const codes: string[] = []
  for (let count = 0; count < joinAttemptsMax + 2; count++) codes.push(await attempt(mesh, mallory, lie))
  expect([...new Set(codes)]).toEqual(['ERR_INVITE_PROOF', 'ERR_INVITE_UNKNOWN', 'ERR_OVERLOADED'])
  expect(anna.invites.list().map(({ status }) => status)).toEqual(['burnt', 'open'])
  expect(await mesh.run(codeOf(ben.invites.join(known.text)))).toBe('ERR_INVITE_UNKNOWN')
  expect(await mesh.run(codeOf(ben.invites.join(other.text)))).toBe('ok')
})

test('a peer in the middle that passes everything on gets neither side to sign for it', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 4 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const mallory = await rawHost(mesh, 66)
  const relayed: string[] = []
  mallory.handle(joinProtocol, { frameBytesMax: joinFrameBytesMax, inboundStreamsMax: 8 }, async (stream) => {
    const upstream = await mallory.open(anna.did, joinProtocol, { frameBytesMax: joinFrameBytesMax })
    for await (const frame of stream.frames) {
      await upstream.send(frame)
      for await (const answer of upstream.frames) {
        relayed.push(answer[1] === 0 ? 'refusal' : 'welcome')
        await stream.send(answer)
        break
      }
    }
  })
  const { secret, terms, text } = await invite(anna, mesh)
  // What ben's node sends when the transport shows mallory's key: whatever identity it takes it for.
  const benHost = mesh.simulator.hosts().find(({ did }) => did === ben.did)
  if (benHost === undefined) throw new Error('no host')
  for (const inviter of [
    { identity: anna.did, key: mallory.did },
    { identity: mallory.did, key: mallory.did },
  ]) {
    const keys = inviteKeys(secret)
    const facts = { id: keys.id, inviter, joiner: { identity: ben.did, key: ben.did }, terms }
    const join = joinAt(benHost, mallory.did, {
      clock: mesh.clock,
      ask: { id: keys.id, joiner: ben.did, proof: joinProof(keys, 'joiner', facts) },
      judge: () => Promise.reject(new Error('let in')),
    })
    expect(await mesh.run(codeOf(join))).toBe('ERR_INVITE_PROOF')
  }
  expect(relayed).toEqual(['refusal', 'refusal'])
  // A ticket with mallory's address in anna's name leads to nobody.
  const led = encodeTicket({ did: anna.did, key: mallory.did, addresses: mallory.addresses(), invite: { secret, terms } })
  expect(await mesh.run(codeOf(ben.invites.join(led)))).not.toBe('ok')
  expect([levelOf(anna, mallory.did), levelOf(ben, mallory.did), levelOf(anna, ben.did), levelOf(ben, anna.did)]).toEqual([0, 0, 0, 0])
  expect(await mesh.run(codeOf(ben.invites.join(text)))).toBe('ok')
})

interface FalseInviter {
  /** Joins at it by the ticket it gave out. */
  join(): Promise<string>
  /** What it does with the next joiner. */
  answer: (
    honest: { readonly proof: Uint8Array; readonly attestation: Uint8Array },
    theirs: Uint8Array,
  ) => { readonly proof: Uint8Array; readonly attestation: Uint8Array }
  /** Statements about it that joiners signed. */
  readonly returned: Uint8Array[]
  readonly did: Did
  attestation(level: number, change?: { readonly to?: Did; readonly scopes?: readonly string[] }): Uint8Array
}

/** A peer that speaks all protocols and gave out a ticket, but answers who joins as the test says. */
async function falseInviter(mesh: TestMesh, joiner: TestNode): Promise<FalseInviter> {
  const peer = await createSimulatedPeer(mesh, 66)
  peer.plane()
  const secret = createSeededRandom(5).bytes(16)
  const terms: InviteTerms = { level: 2, scopes, expiresAt: mesh.clock.now() + dayMs, lifetimeMs: 90 * dayMs }
  const keys = inviteKeys(secret)
  let seq = 0
  const inviter: FalseInviter = {
    did: peer.host.did,
    returned: [],
    answer: (honest) => honest,
    attestation(level, { to = joiner.did, scopes: said = scopes } = {}) {
      const payload = encode([1, level, [...said], 0, null, ++seq, null])
      const times = { issuedAt: mesh.clock.now(), expiresAt: mesh.clock.now() + dayMs }
      return signStatement('attestation', { to, type: 'attestation', payload, ...times }, { keyring: peer.keyring, random: createSeededRandom(seq) }).bytes
    },
    join: () => mesh.run(codeOf(joiner.invites.join(encodeTicket({ did: peer.host.did, addresses: peer.host.addresses(), invite: { secret, terms } })))),
  }
  peer.host.handle(joinProtocol, { frameBytesMax: joinFrameBytesMax, inboundStreamsMax: 8 }, async (stream) => {
    const frames = stream.frames[Symbol.asyncIterator]()
    const ask = askCodec.decode(((await frames.next()) as { readonly value: Uint8Array }).value)
    const party = (did: Did) => ({ identity: did, key: did })
    const proof = joinProof(keys, 'inviter', { id: keys.id, inviter: party(peer.host.did), joiner: party(joiner.did), terms })
    await stream.send(welcomeCodec.encode({ frame: 2, head: undefined, ...inviter.answer({ proof, attestation: inviter.attestation(2) }, ask.proof) }))
    const back: IteratorResult<Uint8Array, void> = await frames.next()
    if (back.done === true) return
    inviter.returned.push(returnCodec.decode(back.value).attestation)
    await stream.send(encode([4]))
  })
  return inviter
}

test('an inviter without the secret, one that sends the proof back, and one that signs something else than the ticket says: the joiner takes and signs nothing', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 5 })
  const ben = mesh.node(1)
  const mallory = await falseInviter(mesh, ben)
  const lies: FalseInviter['answer'][] = [
    (honest) => ({ ...honest, proof: new Uint8Array(32) }),
    (honest, theirs) => ({ ...honest, proof: theirs }),
    (honest) => ({ ...honest, attestation: mallory.attestation(1) }),
    (honest) => ({ ...honest, attestation: mallory.attestation(3) }),
    (honest) => ({ ...honest, attestation: mallory.attestation(2, { scopes: ['/'] }) }),
    (honest) => ({ ...honest, attestation: mallory.attestation(2, { to: mesh.node(0).did }) }),
  ]
  for (const lie of lies) {
    mallory.answer = lie
    expect(await mallory.join()).toBe('ERR_INVITE_PROOF')
  }
  mallory.answer = (honest) => ({ ...honest, attestation: honest.attestation.fill(0, -4) })
  expect(await mallory.join()).toMatch(/^ERR_(WIRE|STATEMENT)/)
  expect([ben.trust.show(), mallory.returned, levelOf(ben, mallory.did)]).toEqual([[], [], 0])
  mallory.answer = (honest) => honest
  expect(await mallory.join()).toBe('ok')
  expect([mallory.returned.length, levelOf(ben, mallory.did)]).toEqual([1, 2])
})

test('a joiner that signs less of the inviter than the ticket says has not joined, and its word is not kept', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 10 })
  const anna = mesh.node(0)
  const peer = await createSimulatedPeer(mesh, 67)
  await mesh.run(peer.link(0))
  const { secret, terms } = await invite(anna, mesh)
  const signed = (level: number, to: Did): Uint8Array => {
    const fieldsOf = {
      to,
      type: 'attestation',
      payload: encode([1, level, scopes, 0, null, 1, null]),
      issuedAt: mesh.clock.now(),
      expiresAt: mesh.clock.now() + dayMs,
    }
    return signStatement('attestation', fieldsOf, { keyring: peer.keyring, random: createSeededRandom(level) }).bytes
  }
  const ask = askOf(peer.host, { secret, terms, inviter: anna.did })
  const join = (attestation: Uint8Array): Promise<string> =>
    mesh.run(codeOf(joinAt(peer.host, anna.did, { clock: mesh.clock, ask, judge: async () => ({ attestation, head: undefined }) })))
  expect([await join(signed(1, anna.did)), await join(signed(2, mesh.node(1).did)), await join(new Uint8Array(9))]).toEqual([
    'ERR_INVITE_PROOF',
    'ERR_INVITE_PROOF',
    'ERR_WIRE_MALFORMED',
  ])
  expect(anna.trust.show().filter(({ issuer }) => issuer !== anna.did)).toEqual([])
  expect(await join(signed(2, anna.did))).toBe('ok')
  expect(anna.trust.show()).toHaveLength(2)
})

test('expired, revoked, of one’s own, of no trust, at AUTHORITY without a second word: refused, each with its code', async () => {
  await using mesh = await createTestMesh({ nodes: 3, seed: 6 })
  const [anna, ben, cleo] = [mesh.node(0), mesh.node(1), mesh.node(2)]
  const soon = await invite(anna, mesh, { openMs: hourMs })
  const gone = await invite(anna, mesh)
  const [, second] = anna.invites.list()
  await mesh.run(anna.invites.revoke(second?.name ?? ''))
  expect(await mesh.run(codeOf(ben.invites.join(gone.text)))).toBe('ERR_INVITE_UNKNOWN')
  expect(await mesh.run(codeOf(anna.invites.join(soon.text)))).toBe('ERR_USAGE')
  expect(await mesh.run(codeOf(ben.invites.join(anna.ticket())))).toBe('ERR_USAGE')
  expect(await mesh.run(codeOf(anna.invites.create({ ...fields, level: 4 })))).toBe('ERR_POLICY_DENIED')
  expect(await mesh.run(codeOf(anna.invites.create({ ...fields, level: 0 })))).toBe('ERR_USAGE')
  expect(await mesh.run(codeOf(anna.invites.create({ ...fields, scopes: ['task'] })))).toBe('ERR_TRUST_INVALID')
  const high = await invite(anna, mesh, { level: 4, confirmed: true })
  expect(await mesh.run(codeOf(ben.invites.join(high.text)))).toBe('ERR_POLICY_DENIED')
  await mesh.clock.advance(hourMs)
  // The clock of the inviter decides.
  mesh.skew(1, -2 * hourMs)
  expect(await mesh.run(codeOf(ben.invites.join(soon.text)))).toBe('ERR_INVITE_EXPIRED')
  // Whom one distrusts stays distrusted, and the invite stays good for somebody else.
  const open = await invite(anna, mesh)
  await mesh.run(anna.trust.attest({ subject: cleo.did, level: -1, scopes, lifetimeMs: dayMs }))
  expect(await mesh.run(codeOf(cleo.invites.join(open.text)))).toBe('ERR_TRUST_LOW')
  expect([levelOf(anna, cleo.did), anna.invites.list().at(-1)?.status]).toEqual([-1, 'open'])
})

test('what was withdrawn is not handed out again to who comes back with the ticket', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 7 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const { text } = await invite(anna, mesh)
  await mesh.run(ben.invites.join(text))
  const own = anna.trust.show().find(({ issuer }) => issuer === anna.did)
  await mesh.run(anna.trust.revoke(own?.id ?? ''))
  expect(await mesh.run(codeOf(ben.invites.join(text)))).toBe('ERR_INVITE_USED')
  expect(levelOf(anna, ben.did)).toBe(0)
})

test('a joiner whose link breaks at any moment joins at last, and each side has signed once', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 8, latencyMs: [20, 20] })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  for (let waitMs = 10; waitMs <= 200; waitMs += 30) {
    const { text } = await invite(anna, mesh)
    const first = codeOf(ben.invites.join(text, { signal: mesh.clock.timeout(waitMs, 'the link') }))
    await mesh.clock.advance(waitMs)
    mesh.partition([0], [1])
    await mesh.clock.advance(hourMs)
    mesh.heal()
    await mesh.run(first)
    expect(await mesh.run(codeOf(ben.invites.join(text)))).toBe('ok')
    expect([levelOf(anna, ben.did), levelOf(ben, anna.did)]).toEqual([2, 2])
  }
  // One statement of anna's an invite at most; ben's one serves them all.
  expect(anna.trust.show().filter(({ issuer }) => issuer === ben.did)).toHaveLength(1)
  expect(anna.trust.show().filter(({ issuer }) => issuer === anna.did)).toHaveLength(7)
})

test('the secret of a ticket is in no log entry, event, listing or error', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 9 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const told: unknown[] = []
  for (const node of [anna, ben]) node.onEvent((event) => void told.push(event))
  const { text, secret } = await invite(anna, mesh)
  await mesh.run(ben.invites.join(text))
  const damaged = await ben.invites.join(`${text}AA`).catch((error: unknown) => String(error))
  const tails = await mesh.run(Promise.all([anna, ben].map((node) => node.audit.tail({ limit: 200 }))))
  const everything = JSON.stringify([told, tails, anna.invites.list(), damaged], (_key, value: unknown) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
  )
  for (const hidden of [Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64url'), text]) expect(everything).not.toContain(hidden)
})
