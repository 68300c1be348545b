import { expect, test } from 'vitest'
import { createAudit } from '../../src/audit/index.ts'
import { createVirtualClock, type Did, silentLogger } from '../../src/base/index.ts'
import { resolveName } from '../../src/node/names.ts'
import { openPetnames, parsePetname, petnameCharsMax, type Petnames } from '../../src/node/petnames.ts'
import { createMemoryStore, type MemoryStore } from '../../src/store/index.ts'
import { codeOf, keyringOf } from '../helpers/raw-peer.ts'

const [anna, ben, cleo] = [keyringOf(1), keyringOf(2).did, keyringOf(3).did]
const clock = createVirtualClock()
async function open(store: MemoryStore, subject: (did: Did) => Did = (did) => did): Promise<Petnames> {
  const audit = await createAudit({ store, sign: anna.sign, did: anna.did, keys: [anna.did], clock, logger: silentLogger })
  return await openPetnames({ store: store.sub('petnames'), clock, audit, self: anna.did, subject })
}

test('a petname is asked before anything else, in any case, and is there after a power cut', async () => {
  const store = createMemoryStore()
  await (await open(store)).set('Ben at work', ben)
  store.crash()
  const names = await open(store)
  expect([names.find('ben AT work'), names.find('ben'), names.nameOf(ben), names.nameOf(cleo)]).toEqual([ben, undefined, 'Ben at work', undefined])
  const resolve = (text: string): Did => resolveName(text, { known: [ben, cleo], petname: names.find })
  expect([resolve(' Ben at work '), resolve(cleo), resolve(cleo.slice(8, 20))]).toEqual([ben, cleo, cleo])
  await names.remove('BEN AT WORK')
  expect(() => resolve('Ben at work')).toThrow(expect.objectContaining({ code: 'ERR_IDENTITY_INVALID' }))
  expect(await codeOf(names.remove('Ben at work'))).toBe('ERR_NOT_FOUND')
})

test('a name that leads to somebody is given to nobody else, nor one that looks like it, unless that is said', async () => {
  const names = await open(createMemoryStore())
  await names.set('coco', ben)
  expect(await codeOf(names.set('COCO', cleo))).toBe('ERR_NAME_TAKEN')
  // All of it Cyrillic: mixed with nothing, and the same to the eye.
  expect(await codeOf(names.set('сосо', cleo))).toBe('ERR_NAME_TAKEN')
  expect(await codeOf(names.set('coco', ben))).toBe('ok')
  expect(names.find('coco')).toBe(ben)
  await names.set('coco', cleo, { replace: true })
  expect([names.find('coco'), names.nameOf(ben), names.nameOf(cleo)]).toEqual([cleo, undefined, 'coco'])
})

test('a name follows its identity when more of its keys are known', async () => {
  let known = false
  const names = await open(createMemoryStore(), (did) => (known && did === ben ? cleo : did))
  await names.set('ben', ben)
  known = true
  expect([names.find('ben'), names.list().map(({ did }) => did)]).toEqual([cleo, [cleo]])
})

test.each([
  ['', 'nothing'],
  ['   ', 'white space'],
  ['did:key:z6Mk', 'a DID'],
  ['z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp', 'the end of a DID'],
  ['kindmesh:abc', 'a ticket'],
  ['12D3KooWabc', 'a peer ID'],
  ['/ip4/1.2.3.4', 'an address'],
  ['an\u0000na', 'a control'],
  ['anna\u202Egpj', 'a change of direction'],
  ['an\u200Bna', 'a space without width'],
  ['anna  b', 'two spaces'],
  ['anna\nb', 'a line end'],
  ['аnna', 'a Cyrillic letter among Latin ones'],
  ['-anna', 'an option'],
  ['x'.repeat(petnameCharsMax + 1), 'too long'],
])('%j is no petname: %s', (text) => {
  expect(() => parsePetname(text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
})

test('names of people everywhere are petnames; wide and composed forms become one', () => {
  for (const name of ['Anna', "O'Brien", 'Jean-Luc', 'José', '安娜', 'Анна', 'Ωμέγα', 'अन्ना', 'dr. no', 'ben_2']) {
    expect(parsePetname(name)).toBe(name.normalize('NFKC'))
  }
  expect(parsePetname('Ａｎｎａ')).toBe('Anna')
})
