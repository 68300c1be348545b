import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Did, minuteMs } from '../../src/base/index.ts'
import { sasAttemptsMax, sasOpenMsMax } from '../../src/node/compare.ts'
import { sasCommitment, sasFrameBytesMax, sasOf, sasProtocol } from '../../src/protocols/join/sas.ts'
import { sasWords } from '../../src/protocols/join/words.ts'
import { createTestMesh, type TestMesh, type TestNode } from '../../src/testing/index.ts'
import { decode, encode } from '../../src/wire/index.ts'
import { createSimulatedPeer, type SimulatedPeer } from '../helpers/klp.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const levelOf = (node: TestNode, did: Did): number => node.trust.snapshot('/task/run').level(did)
const nonce = (fill: number): Uint8Array => new Uint8Array(32).fill(fill)

/** A comparison that a raw peer begins: says `first` and then, knowing the node's nonce, `reveal`. */
async function beginRaw(mesh: TestMesh, peer: SimulatedPeer, node: TestNode, first: Uint8Array, reveal: (theirs: Uint8Array) => Uint8Array): Promise<string> {
  const talk = async (): Promise<string> => {
    const stream = await peer.host.open(node.did, sasProtocol, { frameBytesMax: sasFrameBytesMax })
    const frames = stream.frames[Symbol.asyncIterator]()
    const next = async (): Promise<readonly unknown[]> => decode(((await frames.next()) as { readonly value: Uint8Array }).value, 1_024) as readonly unknown[]
    await stream.send(encode([1, first]))
    const answer = await next()
    if (answer[0] !== 2) return String(answer[1])
    await stream.send(encode([3, reveal(answer[1] as Uint8Array)]))
    const end = await next()
    return end[0] === 4 ? 'ok' : String(end[1])
  }
  return await mesh.run(talk())
}

test('both sides read the same six words and digits, whoever begins and how often each looks; who says so signs, and only once', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 1 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const shown = await mesh.run(anna.compare.begin(ben.did))
  expect(shown.words).toHaveLength(6)
  expect(shown.digits).toMatch(/^\d{6}$/)
  for (const node of [ben, anna, ben]) {
    const again = await mesh.run(node.compare.begin(node === ben ? anna.did : ben.did))
    expect([again.words, again.digits]).toEqual([shown.words, shown.digits])
  }
  expect([levelOf(anna, ben.did), levelOf(ben, anna.did)]).toEqual([0, 0])
  await mesh.run(anna.compare.accept(ben.did, { heard: ` ${shown.words.join(', ').toUpperCase()} ` }))
  await mesh.run(ben.compare.accept(anna.did, { heard: shown.digits, level: 3, scopes: ['/message/send'] }))
  expect([levelOf(anna, ben.did), levelOf(ben, anna.did), ben.trust.snapshot('/message/send').level(anna.did)]).toEqual([2, 0, 3])
  expect(await mesh.run(codeOf(anna.compare.accept(ben.did, { heard: shown.digits })))).toBe('ERR_NOT_FOUND')
  // The next time it is something else.
  expect((await mesh.run(anna.compare.begin(ben.did))).words).not.toEqual(shown.words)
})

test('who hears something else signs nothing and cannot try again on the same words; nobody accepts what was not looked at', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 2 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const shown = await mesh.run(anna.compare.begin(ben.did))
  expect(await mesh.run(codeOf(ben.compare.accept(anna.did, { heard: shown.digits })))).toBe('ERR_NOT_FOUND')
  expect(await mesh.run(codeOf(anna.compare.accept(ben.did, { heard: shown.digits, level: 4 })))).toBe('ERR_POLICY_DENIED')
  expect(await mesh.run(codeOf(anna.compare.accept(ben.did, { heard: '000000' })))).toBe('ERR_SAS_MISMATCH')
  expect(await mesh.run(codeOf(anna.compare.accept(ben.did, { heard: shown.digits })))).toBe('ERR_NOT_FOUND')
  expect(levelOf(anna, ben.did)).toBe(0)
  const log = await mesh.run(anna.audit.tail({ limit: 50 }))
  expect(log.filter(({ event }) => event === 'peer_compared').map(({ data }) => data['same'])).toEqual([false])
  await mesh.run(ben.compare.begin(anna.did))
  await mesh.clock.advance(sasOpenMsMax)
  expect(await mesh.run(codeOf(ben.compare.accept(anna.did, { heard: shown.digits })))).toBe('ERR_NOT_FOUND')
})

test('a peer in the middle gives the two sides different words, or none when it passes on what each says', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 3 })
  const [anna, ben] = [mesh.node(0), mesh.node(1)]
  const mallory = await createSimulatedPeer(mesh, 66)
  mallory.plane()
  const answers: string[] = []
  // Between the two: whatever anna sends goes to ben, and back.
  mallory.host.handle(sasProtocol, { frameBytesMax: sasFrameBytesMax, inboundStreamsMax: 8 }, async (stream) => {
    const onward = await mallory.host.open(ben.did, sasProtocol, { frameBytesMax: sasFrameBytesMax })
    const back = onward.frames[Symbol.asyncIterator]()
    for await (const frame of stream.frames) {
      await onward.send(frame)
      const answer: IteratorResult<Uint8Array, void> = await back.next()
      if (answer.done === true) break
      const plain = decode(answer.value, 1_024) as readonly unknown[]
      answers.push(plain[0] === 0 ? String(plain[1]) : 'ok')
      await stream.send(answer.value)
    }
  })
  await mesh.run(mallory.host.dial({ addresses: anna.addresses() }))
  expect(await mesh.run(codeOf(anna.compare.begin(mallory.host.did)))).toBe('ERR_SAS_MISMATCH')
  expect(answers).toEqual(['ok', 'ERR_SAS_MISMATCH'])
  // With nonces of its own it holds two comparisons, of other keys: they read differently.
  const [a, b, m] = [keyringOf(1).did, keyringOf(2).did, keyringOf(3).did].map((key) => ({ identity: key, key }))
  if (a === undefined || b === undefined || m === undefined) throw new Error('no keys')
  const honest = sasOf({ ...a, nonce: nonce(1) }, { ...b, nonce: nonce(2) })
  for (const [initiator, responder] of [
    [a, m],
    [m, b],
    [b, a],
    [{ ...a, key: m.key }, b],
    [{ ...a, identity: m.identity }, b],
    [a, { ...b, key: m.key }],
    [a, { ...b, identity: m.identity }],
  ] as const) {
    const other = sasOf({ ...initiator, nonce: nonce(1) }, { ...responder, nonce: nonce(2) })
    expect(other.words).not.toEqual(honest.words)
    expect(other.digits).not.toBe(honest.digits)
  }
})

test('the one who begins is bound by its commitment: with the other’s nonce in hand it cannot choose its own anew', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 4 })
  const anna = mesh.node(0)
  const mallory = await createSimulatedPeer(mesh, 66)
  await mesh.run(mallory.link(0))
  const side = { identity: mallory.host.did, key: mallory.host.did, nonce: nonce(7) }
  expect(await beginRaw(mesh, mallory, anna, sasCommitment(side), () => nonce(8))).toBe('ERR_SAS_MISMATCH')
  expect(await beginRaw(mesh, mallory, anna, sasCommitment({ ...side, key: anna.did }), () => nonce(7))).toBe('ERR_SAS_MISMATCH')
  expect(await beginRaw(mesh, mallory, anna, sasCommitment(side), () => nonce(7))).toBe('ok')
})

test('a stranger gets few guesses: so many comparisons in ten minutes, and none in the place of one that was looked at', async () => {
  await using mesh = await createTestMesh({ nodes: 2, seed: 5 })
  const anna = mesh.node(0)
  const mallory = await createSimulatedPeer(mesh, 66)
  mallory.plane()
  await mesh.run(mallory.link(0))
  const side = { identity: mallory.host.did, key: mallory.host.did, nonce: nonce(7) }
  const begin = (): Promise<string> => beginRaw(mesh, mallory, anna, sasCommitment(side), () => nonce(7))
  expect(await begin()).toBe('ok')
  const shown = await mesh.run(anna.compare.begin(mallory.host.did))
  expect(await begin()).toBe('ERR_OVERLOADED')
  expect((await mesh.run(anna.compare.begin(mallory.host.did))).words).toEqual(shown.words)
  await mesh.clock.advance(sasOpenMsMax + minuteMs)
  const codes: string[] = []
  for (let count = 0; count <= sasAttemptsMax; count++) codes.push(await begin())
  expect(codes).toEqual([...Array.from({ length: sasAttemptsMax }, () => 'ok'), 'ERR_OVERLOADED'])
})

test('both may begin at once: they read the same', async () => {
  for (const seed of [6, 7, 8]) {
    await using mesh = await createTestMesh({ nodes: 2, seed, latencyMs: [10, 40] })
    const [anna, ben] = [mesh.node(0), mesh.node(1)]
    await mesh.run(Promise.allSettled([anna.compare.begin(ben.did), ben.compare.begin(anna.did)]))
    const [first, second] = await mesh.run(Promise.all([anna.compare.begin(ben.did), ben.compare.begin(anna.did)]))
    expect(second.words).toEqual(first.words)
  }
})

test('the words are 256, and no two alike in their first four letters', () => {
  expect(sasWords).toHaveLength(256)
  expect(
    readFileSync(new URL('../../protocols/join/v1/words.txt', import.meta.url), 'utf8')
      .trim()
      .split('\n'),
  ).toEqual(sasWords)
  expect(new Set(sasWords.map((word) => word.slice(0, 4))).size).toBe(256)
  expect(sasWords.every((word) => /^[a-z]{3,8}$/.test(word))).toBe(true)
})
