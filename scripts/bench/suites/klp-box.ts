import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core'
import { XWing } from '@hpke/hybridkem-x-wing'
import * as hpke from 'hpke'
import { realClock, realRandom } from '../../../src/base/index.ts'
import { openBox, openPrekeys, sealBox } from '../../../src/envelope/index.ts'
import { createKeyring } from '../../../src/identity/index.ts'
import { createMemoryStore } from '../../../src/store/index.ts'
import { alternate, type Bench, load, row, type Row, usPerCall } from '../harness.ts'

const contentBytes = 1_024
/** Bytes of info and associated data as a box has them. */
const infoBytes = 42
const aadBytes = 1_140
/** What npm hpke does in threads goes faster side by side; ours stays in one. */
const theirsInFlight = 8
const goal = 4

/** Seal and open of one box of 1 KiB against the HPKE packages of npm in the same suite: X-Wing, HKDF-SHA256, AES-256-GCM. */
export async function* klpBox(bench: Bench): AsyncIterable<Row> {
  const random = realRandom
  const keyring = createKeyring({ seed: random.bytes(32), rootKey: random.bytes(32) }, random)
  const prekeys = await openPrekeys({ store: createMemoryStore(), keyring, clock: realClock, random })
  const { bundle } = await prekeys.current()
  const now = realClock.now()
  const [content, info, aad] = [random.bytes(contentBytes), random.bytes(infoBytes), random.bytes(aadBytes)]
  const sealed = sealBox(content, { bundle, now, random })

  // What its documentation calls MLKEM768-X25519 is X-Wing with another label.
  const suite = new hpke.CipherSuite(hpke.KEM_MLKEM768_X25519, hpke.KDF_HKDF_SHA256, hpke.AEAD_AES_256_GCM)
  const pair = await suite.GenerateKeyPair()
  const first = await suite.Seal(pair.publicKey, content, { info, aad })
  const core = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() })
  const corePair = await core.kem.generateKeyPair()
  const coreFirst = await core.seal({ recipientPublicKey: corePair.publicKey, info }, content, aad)

  const ours =
    (act: () => unknown): (() => number) =>
    () =>
      1e6 / usPerCall(bench.calls, act)
  const theirs = (act: () => Promise<unknown>, inFlight: number) => async () => (await load(act, { inFlight, ms: bench.loadMs / 2 })).perSecond
  const hpkeSeal = () => suite.Seal(pair.publicKey, content, { info, aad })
  const hpkeOpen = () => suite.Open(pair.privateKey, first.encapsulatedSecret, first.ciphertext, { info, aad })
  const coreSeal = () => core.seal({ recipientPublicKey: corePair.publicKey, info }, content, aad)
  const coreOpen = () => core.open({ recipientKey: corePair.privateKey, enc: coreFirst.enc, info }, coreFirst.ct, aad)
  const figures = await alternate(bench.rounds(15), {
    seal: ours(() => sealBox(content, { bundle, now, random })),
    open: ours(() => openBox(sealed, prekeys)),
    hpkeSeal: theirs(hpkeSeal, 1),
    hpkeOpen: theirs(hpkeOpen, 1),
    hpkeSealMany: theirs(hpkeSeal, theirsInFlight),
    hpkeOpenMany: theirs(hpkeOpen, theirsInFlight),
    coreSeal: theirs(coreSeal, 1),
    coreOpen: theirs(coreOpen, 1),
  })
  const [seal, open] = ['seal a box of 1 KiB, padded and encoded', 'open a box of 1 KiB']
  const [inHpke, inCore] = ['npm hpke, same suite, one after the other', '@hpke/core with X-Wing, same suite, one after the other']
  const many = `npm hpke, ${theirsInFlight} in flight, in threads of its own`
  yield row({ id: 'klp-seal-hpke', what: seal, unit: 'boxes/s', figures: figures.seal, against: inHpke, others: figures.hpkeSeal, goal })
  yield row({ id: 'klp-open-hpke', what: open, unit: 'boxes/s', figures: figures.open, against: inHpke, others: figures.hpkeOpen, goal })
  yield row({ id: 'klp-seal-hpke-many', what: seal, unit: 'boxes/s', figures: figures.seal, against: many, others: figures.hpkeSealMany })
  yield row({ id: 'klp-open-hpke-many', what: open, unit: 'boxes/s', figures: figures.open, against: many, others: figures.hpkeOpenMany })
  yield row({ id: 'klp-seal-core', what: seal, unit: 'boxes/s', figures: figures.seal, against: inCore, others: figures.coreSeal, goal })
  yield row({ id: 'klp-open-core', what: open, unit: 'boxes/s', figures: figures.open, against: inCore, others: figures.coreOpen, goal })
}
