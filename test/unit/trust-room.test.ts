import { expect, test } from 'vitest'
import { type Did, MeshError } from '../../src/base/index.ts'
import type { Keyring } from '../../src/identity/index.ts'
import { createBookRoom, statementsPerStrangerMax, statementsPerSubjectMax } from '../../src/trust/book-room.ts'
import { createBookState } from '../../src/trust/book-state.ts'
import { readTrustStatement, type TrustStatement } from '../../src/trust/statements.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'
import { bookScope, createBookShelf, listed, saying } from '../helpers/trust-book.ts'

const [me, anna, ben, cleo] = [keyringOf(61), keyringOf(62), keyringOf(63), keyringOf(64)]
const shelf = createBookShelf()

/** What one says about others, newest last, each already read. */
async function said(keyring: Keyring, ...words: readonly (readonly [Did, -1 | 1 | 3])[]): Promise<readonly TrustStatement[]> {
  const book = await shelf.open(keyring)
  for (const [subject, level] of words) await book.attest(saying(subject, level))
  return (await listed(book, keyring.did)).filter(({ kind }) => kind !== 'head').map((item) => readTrustStatement(item).statement)
}
const heldOf = (statement: TrustStatement) => ({ item: { kind: statement.kind, bytes: statement.signed.bytes }, statement, firstSeenAt: 1 })

function createState() {
  const { clock } = shelf
  return createBookState({
    own: me.did,
    keys: { subject: (key) => key, check: () => undefined },
    clock,
    now: clock.now,
    scopes: [bookScope],
    controllerOf: undefined,
    computed: () => undefined,
  })
}
const refs = (held: readonly { readonly statement: TrustStatement }[]): readonly string[] => held.map(({ statement }) => statement.signed.ref)
const refused = (act: () => unknown): string => {
  try {
    act()
    return 'ok'
  } catch (error) {
    return error instanceof MeshError ? error.code : String(error)
  }
}

test('where all places are taken, those go first whose issuer is no longer certified, but no warning of theirs; then nothing more is taken', async () => {
  const state = createState()
  const own = await said(me, [anna.did, 3], [ben.did, 3])
  const [first, warning, second] = await said(anna, [cleo.did, 3], [keyringOf(65).did, -1], [keyringOf(66).did, 1])
  const [bens, more] = await said(ben, [cleo.did, 3], [keyringOf(67).did, 1])
  for (const statement of [...own, first, warning, second, bens]) state.remember(heldOf(statement as TrustStatement))
  const room = createBookRoom(state, { most: state.index.size })
  expect(refused(() => room.make(more as TrustStatement))).toBe('ERR_OVERLOADED')

  await shelf.clock.advance(1)
  const [distrust] = await said(me, [anna.did, -1])
  state.remember(heldOf(distrust as TrustStatement))
  state.answers.catchUp()
  const go = room.make(more as TrustStatement)
  expect(refs(go).toSorted()).toEqual([first, second].map((one) => one?.signed.ref ?? '').toSorted())
  state.forget(go)
  expect([...state.index.about(cleo.did)].map(({ statement }) => statement.signed.ref)).toEqual([bens?.signed.ref])
  expect(room.make(more as TrustStatement)).toEqual([])
})

test('of one subject certified issuers come first, and a stranger has few places about this node', async () => {
  const state = createState()
  for (const statement of await said(me, [anna.did, 3])) state.remember(heldOf(statement))
  // Of issuers who were certified once.
  const strangers: TrustStatement[] = []
  for (let index = 0; index < statementsPerSubjectMax; index++) strangers.push(...(await said(keyringOf(100 + index), [cleo.did, 1])))
  for (const statement of strangers) state.remember(heldOf(statement))
  const [annas] = await said(anna, [cleo.did, 3])
  expect(refs(createBookRoom(state).make(annas as TrustStatement))).toEqual([strangers[0]?.signed.ref])

  const book = await shelf.open(me)
  const stranger = await shelf.open(ben)
  for (let index = 0; index <= statementsPerStrangerMax; index++) await stranger.attest(saying(me.did, 1))
  const items = (await listed(stranger, ben.did)).filter(({ kind }) => kind !== 'head')
  const last = items.pop()
  expect((await book.acceptAll(items)).kept).toBe(statementsPerStrangerMax)
  expect(await codeOf(book.accept(last ?? { kind: 'head', bytes: new Uint8Array() }))).toBe('ERR_OVERLOADED')
})
