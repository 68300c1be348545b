import { createPrivateKey, createPublicKey, decapsulate as nodeDecapsulate } from 'node:crypto'
import { sha256 } from '@noble/hashes/sha2.js'
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { ml_kem768_x25519 as xWing } from '@noble/post-quantum/hybrid.js'
import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, test } from 'vitest'
import { concat, didFromKey, fromBase64, fromHex, hex, keyFromDid, parseDidKey, realRandom, utf8 } from '../../src/base/index.ts'
import { aeadOpen, aeadSeal, contentHash, createKemPrivateKey, createSigner, hpkeRecipient, hpkeSenderShared, importAeadKey, importKemPublicKey, kemPublicKeyBytesLength, type Suite, verify } from '../../src/crypto/index.ts'
import { deriveFromOldPassphrase, hkdfExpand, hkdfExtract } from '../../src/crypto/derive.ts'
import { hmacSha256 } from '../../src/crypto/hash.ts'
import { createKeySchedule, kemXWing } from '../../src/crypto/hpke.ts'
import { kemEncapsulate, x25519, x25519PublicKey } from '../../src/crypto/kem.ts'
import { attempt, bytesOf, casesOf, readVectors, vectorsPresent, type WycheproofFile } from '../helpers/vectors.ts'
import { aes128, createAccumulator, deriveX25519, dhDecapsulate, type DhKem, hpkeSuiteId, labeled, nonceAt } from '../helpers/vectors-hpke.ts'

type Hex<K extends string> = Readonly<Record<K, string>>

/** How many cases came to which end, so that none is skipped in silence. */
function tally<T>(items: readonly T[], end: (item: T) => string): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const item of items) {
    const name = end(item)
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

describe.skipIf(!vectorsPresent)('third-party vectors: Ed25519', () => {
  test('C2SP/CCTV: exactly 43 of 914 edge cases verify', () => {
    const cases = readVectors<readonly (Hex<'key' | 'sig' | 'msg'> & { readonly flags: readonly string[] | null })[]>('ed25519-cctv.json')
    const accepted = cases.filter(({ key, sig, msg }) => verify(fromHex(key), utf8(msg), fromHex(sig)))
    expect([cases.length, accepted.length]).toEqual([914, 43])
    const flags = new Set(accepted.flatMap((item) => item.flags ?? []))
    expect(['low_order_A', 'low_order_R', 'non_canonical_A', 'non_canonical_R', 'low_order_residue'].filter((flag) => flags.has(flag))).toEqual([])
  })

  test('Wycheproof: every verdict of 151', () => {
    const cases = casesOf(readVectors<WycheproofFile<{ readonly publicKey: Hex<'pk'> }, Hex<'msg' | 'sig'>>>('wycheproof-ed25519.json'))
    const ends = tally(cases, ({ group, test: { msg, sig, result } }) => `${result} ${verify(fromHex(group.publicKey.pk), fromHex(msg), fromHex(sig))}`)
    expect(ends).toEqual({ 'valid true': 88, 'invalid false': 63 })
  })

  test('did:key: five seeds give their keys and names', () => {
    const cases = readVectors<Readonly<Record<string, { readonly seed: string; readonly verificationKeyPair: { readonly publicKeyBase58?: string; readonly publicKeyJwk?: { readonly x: string } } }>>>('did-key.json')
    expect(Object.keys(cases)).toHaveLength(5)
    for (const [did, { seed, verificationKeyPair }] of Object.entries(cases)) {
      const { publicKey } = createSigner(fromHex(seed))
      const { publicKeyBase58, publicKeyJwk } = verificationKeyPair
      const published = publicKeyBase58 === undefined ? fromBase64(publicKeyJwk?.x ?? '') : base58btc.baseDecode(publicKeyBase58)
      expect(hex(publicKey)).toBe(hex(published ?? new Uint8Array()))
      expect(didFromKey(publicKey)).toBe(did)
      expect(hex(parseDidKey(did))).toBe(hex(publicKey))
      expect(hex(keyFromDid(didFromKey(publicKey)))).toBe(hex(publicKey))
    }
  })
})

describe.skipIf(!vectorsPresent)('third-party vectors: X25519', () => {
  test('Wycheproof: every shared secret of 518, the 31 of all zeros refused', () => {
    const cases = casesOf(readVectors<WycheproofFile<object, Hex<'public' | 'private' | 'shared'>>>('wycheproof-x25519.json'))
    const ends = tally(cases, ({ test: item }) => {
      const shared = attempt(() => x25519(fromHex(item.private), fromHex(item.public)))
      if (shared === undefined) return item.shared === '0'.repeat(64) ? 'zero refused' : 'refused'
      return hex(shared) === item.shared ? 'right' : 'wrong'
    })
    expect(ends).toEqual({ right: 487, 'zero refused': 31 })
  })
})

describe.skipIf(!vectorsPresent)('third-party vectors: AEAD', () => {
  interface AeadGroup {
    readonly ivSize: number
    readonly keySize: number
  }
  type AeadTest = Hex<'key' | 'iv' | 'aad' | 'msg' | 'ct' | 'tag'>

  /** 'right': sealed to the same bytes and opened again. 'refused': neither opens. 'key refused': not one of our key sizes. */
  function aeadEnd(suite: Suite, item: AeadTest): string {
    const { key, iv, aad, msg, ct, tag } = bytesOf<keyof AeadTest>(item, 'key', 'iv', 'aad', 'msg', 'ct', 'tag')
    const imported = attempt(() => importAeadKey(key))
    if (imported === undefined) return 'key refused'
    const sealed = attempt(() => aeadSeal(suite, imported, iv, aad, msg))
    const opened = attempt(() => aeadOpen(suite, imported, iv, aad, concat(ct, tag)))
    if (opened === undefined) return 'refused'
    return sealed !== undefined && hex(sealed) === item.ct + item.tag && hex(opened) === item.msg ? 'right' : 'wrong'
  }

  test('Wycheproof AES-GCM: every verdict on 256-bit keys, other keys refused', () => {
    const cases = casesOf(readVectors<WycheproofFile<AeadGroup, AeadTest>>('wycheproof-aes-gcm.json'))
    const ends = tally(cases, ({ group, test: item }) => `${group.keySize === 256 ? 256 : 'other'} ${group.ivSize === 96 ? 96 : 'other'} ${item.result} ${aeadEnd(1, item)}`)
    expect(ends).toEqual({
      '256 96 valid right': 39,
      '256 96 invalid refused': 27,
      '256 other valid right': 36,
      // A nonce of 257 bytes, over what OpenSSL takes. We use 12.
      '256 other valid refused': 1,
      '256 other invalid refused': 2,
      'other 96 valid key refused': 77,
      'other 96 invalid key refused': 54,
      'other other valid key refused': 76,
      'other other invalid key refused': 4,
    })
  })

  test('Wycheproof ChaCha20-Poly1305: every verdict', () => {
    const cases = casesOf(readVectors<WycheproofFile<AeadGroup, AeadTest>>('wycheproof-chacha20-poly1305.json'))
    const ends = tally(cases, ({ group, test: item }) => `${group.ivSize === 96 ? 96 : 'other'} ${item.result} ${aeadEnd(2, item)}`)
    expect(ends).toEqual({ '96 valid right': 256, '96 invalid refused': 60, 'other invalid refused': 9 })
  })
})

test('RFC 4231: HMAC-SHA256 with keys of 20, 4 and 131 bytes, in one part and in two', () => {
  const [long, text] = [new Uint8Array(131).fill(0xaa), utf8('Test Using Larger Than Block-Size Key - Hash Key First')]
  expect(hex(hmacSha256(new Uint8Array(20).fill(0x0b), utf8('Hi There')))).toBe('b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7')
  expect(hex(hmacSha256(utf8('Jefe'), utf8('what do ya want '), utf8('for nothing?')))).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
  expect(hex(hmacSha256(long, text))).toBe('60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54')
})

describe.skipIf(!vectorsPresent)('third-party vectors: derivation and hashes', () => {
  test('Wycheproof HKDF-SHA256: 83 outputs, 3 too long refused', () => {
    const cases = casesOf(readVectors<WycheproofFile<object, Hex<'ikm' | 'salt' | 'info' | 'okm'> & { readonly size: number }>>('wycheproof-hkdf-sha256.json'))
    const ends = tally(cases, ({ test: item }) => {
      const okm = attempt(() => hkdfExpand(hkdfExtract(fromHex(item.salt), fromHex(item.ikm)), fromHex(item.info), item.size))
      return `${item.result} ${okm === undefined ? 'refused' : hex(okm) === item.okm}`
    })
    expect(ends).toEqual({ 'valid true': 83, 'invalid refused': 3 })
  })

  test('Wycheproof PBKDF2-HMAC-SHA256: 60 outputs', async () => {
    const cases = casesOf(readVectors<WycheproofFile<object, Hex<'password' | 'salt' | 'dk'> & { readonly iterationCount: number; readonly dkLen: number }>>('wycheproof-pbkdf2-hmacsha256.json'))
    const keys = await Promise.all(cases.map(({ test: item }) => deriveFromOldPassphrase(fromHex(item.password), fromHex(item.salt), item.iterationCount, item.dkLen)))
    const ends = tally(cases.map(({ test: item }, index) => `${item.result} ${hex(keys[index] ?? new Uint8Array()) === item.dk}`), (end) => end)
    expect(ends).toEqual({ 'valid true': 60 })
  })

  test('BLAKE3: 35 hashes and 35 keyed hashes', async () => {
    const { key, cases } = readVectors<{ readonly key: string; readonly cases: readonly (Hex<'hash' | 'keyed_hash'> & { readonly input_len: number })[] }>('blake3.json')
    expect(cases).toHaveLength(35)
    for (const { input_len: length, hash, keyed_hash: keyedHash } of cases) {
      const input = Uint8Array.from({ length }, (_, index) => index % 251)
      expect(hex(await contentHash(input))).toBe(hash.slice(0, 64))
      expect(hex(await contentHash(input, utf8(key)))).toBe(keyedHash.slice(0, 64))
    }
  })
})

describe.skipIf(!vectorsPresent)('third-party vectors: KEM', () => {
  // DER in front of a 64-byte ML-KEM-768 seed (RFC 9935 section 6) and of a raw public key.
  const seedPrefix = fromHex('3054020100300b060960864801650304040204428040')
  const publicPrefix = fromHex('308204b2300b0609608648016503040402038204a100')

  test('Wycheproof ML-KEM-768: 153 decapsulations by the library under X-Wing and by noble, 40 malformed inputs refused', () => {
    const cases = casesOf(readVectors<WycheproofFile<object, Hex<'seed' | 'c' | 'K'> & { readonly ek?: string }>>('wycheproof-mlkem-768.json'))
    const ends = tally(cases, ({ test: { seed, c, K, ek, result } }) => {
      const shared = attempt(() => {
        const key = createPrivateKey({ key: Buffer.concat([seedPrefix, fromHex(seed)]), format: 'der', type: 'pkcs8' })
        const publicKey = hex(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(publicPrefix.length))
        return publicKey === ek ? nodeDecapsulate(key, fromHex(c)) : undefined
      })
      if (shared === undefined) return `${result} refused`
      const byNoble = ml_kem768.decapsulate(fromHex(c), ml_kem768.keygen(fromHex(seed)).secretKey)
      return `${result} ${hex(shared) === K && hex(byNoble) === K}`
    })
    expect(ends).toEqual({ 'valid true': 153, 'invalid refused': 40 })
  })

  test('Wycheproof ML-KEM-768 inside X-Wing: public keys are taken, ciphertexts and seeds of another length are not', () => {
    const cases = casesOf(readVectors<WycheproofFile<object, Hex<'seed' | 'c' | 'K'> & { readonly ek?: string }>>('wycheproof-mlkem-768.json'))
    const own = createKemPrivateKey(new Uint8Array(32).fill(1))
    const x25519Part = x25519PublicKey(new Uint8Array(32).fill(2))
    const ends = tally(cases, ({ test: { seed, c, ek, result } }) => {
      if (ek !== undefined && importKemPublicKey(concat(fromHex(ek), x25519Part)).bytes.length !== kemPublicKeyBytesLength) return 'key refused'
      const taken = attempt(() => own.decapsulate(concat(fromHex(c), x25519Part))) !== undefined
      return `${result} ${seed.length === 128 ? 'ciphertext' : 'seed'} ${seed.length === 128 ? taken : attempt(() => createKemPrivateKey(fromHex(seed))) !== undefined}`
    })
    expect(ends).toEqual({ 'valid ciphertext true': 153, 'invalid ciphertext false': 20, 'invalid seed false': 20 })
  })

  test('X-Wing draft: three cases, and both implementations open what the other encapsulates', () => {
    const cases = readVectors<readonly Hex<'seed' | 'eseed' | 'ss' | 'pk' | 'ct'>[]>('xwing.json')
    expect(cases).toHaveLength(3)
    for (const item of cases) {
      const { seed, eseed, pk } = bytesOf(item, 'seed', 'eseed', 'pk')
      const key = createKemPrivateKey(seed)
      expect(hex(key.publicKey)).toBe(item.pk)
      const { cipherText, sharedSecret } = xWing.encapsulate(pk, eseed)
      expect([hex(cipherText), hex(sharedSecret)]).toEqual([item.ct, item.ss])
      expect(hex(key.decapsulate(cipherText))).toBe(item.ss)
      const ours = kemEncapsulate(importKemPublicKey(pk), realRandom)
      expect(hex(xWing.decapsulate(ours.ciphertext, xWing.keygen(seed).secretKey))).toBe(hex(ours.sharedSecret))
      expect(hex(key.decapsulate(ours.ciphertext))).toBe(hex(ours.sharedSecret))
    }
  })
})

describe.skipIf(!vectorsPresent)('third-party vectors: HPKE', () => {
  type HpkeCase = Hex<'info' | 'ikmE' | 'ikmR' | 'skRm' | 'pkRm' | 'enc'> & { readonly mode: number; readonly kem_id: number; readonly kdf_id: number; readonly aead_id: number }
  const hkdfSha256 = 1
  const exportOnly = 0xffff
  const keyBytesOf: Readonly<Record<number, number>> = { 1: 16, 2: 32, 3: 32, [exportOnly]: 0 }
  const suiteOf: Readonly<Record<number, Suite>> = { 2: 1, 3: 2 }
  const nameOf = ({ kem_id: kem, kdf_id: kdf, aead_id: aead }: HpkeCase): string => `KEM ${kem.toString(16)} KDF ${kdf} AEAD ${aead.toString(16)}`

  function sealWith(aead: number, key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const suite = suiteOf[aead]
    return suite === undefined ? aes128.seal(key, nonce, aad, plaintext) : aeadSeal(suite, importAeadKey(key), nonce, aad, plaintext)
  }
  function openWith(aead: number, key: Uint8Array, nonce: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array {
    const suite = suiteOf[aead]
    return suite === undefined ? aes128.open(key, nonce, aad, sealed) : aeadOpen(suite, importAeadKey(key), nonce, aad, sealed)
  }
  const exporter = ({ kem_id: kem, aead_id: aead }: HpkeCase, secret: Uint8Array) => {
    const { expand } = labeled(hpkeSuiteId(kem, hkdfSha256, aead), sha256)
    return (context: Uint8Array, length: number): Uint8Array => expand(secret, 'sec', context, length)
  }

  test('RFC 9180: our key schedule gives the accumulated 1,000 encryptions and exports of all 12 base-mode cases with HKDF-SHA256', () => {
    const cases = readVectors<readonly (HpkeCase & { readonly encryptions_accumulated?: string; readonly exports_accumulated: string })[]>('hpke-rfc9180.json')
    expect(tally(cases, ({ mode, kdf_id: kdf }) => `mode ${mode} kdf ${kdf}`)).toEqual({ 'mode 0 kdf 1': 12, 'mode 0 kdf 3': 12 })
    for (const item of cases.filter(({ kdf_id: kdf }) => kdf === hkdfSha256)) {
      const { kem_id: kem, aead_id: aead } = item
      const { info, skRm: secretKey, pkRm: publicKey, enc, ikmE } = bytesOf(item, 'info', 'skRm', 'pkRm', 'enc', 'ikmE')
      if (kem === 0x20) expect([nameOf(item), hex(deriveX25519(ikmE).publicKey)]).toEqual([nameOf(item), item.enc])
      const sharedSecret = dhDecapsulate(kem as DhKem, { enc, secretKey, publicKey })
      const { key, baseNonce, exporterSecret } = createKeySchedule({ kem, aead, keyBytes: keyBytesOf[aead] ?? 0 })(sharedSecret, info)
      if (aead !== exportOnly) {
        const encryptions = createAccumulator()
        for (let sequence = 0; sequence < 1_000; sequence++) {
          const aad = encryptions.draw()
          const plaintext = encryptions.draw()
          const nonce = nonceAt(baseNonce, sequence)
          const sealed = sealWith(aead, key, nonce, aad, plaintext)
          encryptions.gather(sealed)
          if (hex(openWith(aead, key, nonce, aad, sealed)) !== hex(plaintext)) throw new Error(`${nameOf(item)} does not open number ${sequence}`)
        }
        expect([nameOf(item), hex(encryptions.digest())]).toEqual([nameOf(item), item.encryptions_accumulated])
      }
      const exports = createAccumulator()
      const exportKey = exporter(item, exporterSecret)
      for (let length = 0; length < 1_000; length++) exports.gather(exportKey(exports.draw(), length))
      expect([nameOf(item), hex(exports.digest())]).toEqual([nameOf(item), item.exports_accumulated])
    }
  })

  type PqCase = HpkeCase &
    Hex<'shared_secret' | 'key' | 'base_nonce' | 'exporter_secret'> & {
      readonly encryptions: readonly Hex<'aad' | 'ct' | 'nonce' | 'pt'>[]
      readonly exports: readonly (Hex<'exporter_context' | 'exported_value'> & { readonly L: number })[]
    }
  const pqCases = (): readonly PqCase[] => readVectors<readonly PqCase[]>('hpke-pq.json')

  test('post-quantum draft: our key schedule and AEAD give every value of the four cases with HKDF-SHA256', () => {
    expect(pqCases()).toHaveLength(13)
    const cases = pqCases().filter(({ kdf_id: kdf }) => kdf === hkdfSha256)
    expect(cases.map(nameOf)).toEqual(['KEM 40 KDF 1 AEAD 1', 'KEM 41 KDF 1 AEAD 1', 'KEM 50 KDF 1 AEAD 1', 'KEM 647a KDF 1 AEAD 3'])
    for (const item of cases) {
      const { kem_id: kem, aead_id: aead } = item
      const { key, baseNonce, exporterSecret } = createKeySchedule({ kem, aead, keyBytes: keyBytesOf[aead] ?? 0 })(fromHex(item.shared_secret), fromHex(item.info))
      expect([hex(key), hex(baseNonce), hex(exporterSecret)]).toEqual([item.key, item.base_nonce, item.exporter_secret])
      item.encryptions.forEach(({ aad, ct, nonce, pt }, sequence) => {
        expect(hex(nonceAt(baseNonce, sequence))).toBe(nonce)
        expect(hex(sealWith(aead, key, fromHex(nonce), fromHex(aad), fromHex(pt)))).toBe(ct)
        expect(hex(openWith(aead, key, fromHex(nonce), fromHex(aad), fromHex(ct)))).toBe(pt)
      })
      const exportKey = exporter(item, exporterSecret)
      for (const { exporter_context: context, exported_value: value, L: length } of item.exports) expect(hex(exportKey(fromHex(context), length))).toBe(value)
    }
  })

  test('post-quantum draft: X-Wing keys, encapsulations and single-shot boxes', () => {
    const cases = pqCases().filter(({ kem_id: kem }) => kem === kemXWing)
    expect(cases.map(nameOf)).toEqual(['KEM 647a KDF 1 AEAD 3', 'KEM 647a KDF 17 AEAD 3'])
    for (const item of cases) {
      const { skRm, pkRm, ikmE, enc, info } = bytesOf(item, 'skRm', 'pkRm', 'ikmE', 'enc', 'info')
      const key = createKemPrivateKey(skRm)
      expect(hex(key.publicKey)).toBe(item.pkRm)
      const { cipherText, sharedSecret } = xWing.encapsulate(pkRm, ikmE)
      expect([hex(cipherText), hex(sharedSecret)]).toEqual([item.enc, item.shared_secret])
      expect(hex(key.decapsulate(enc))).toBe(item.shared_secret)
      const [first] = item.encryptions
      if (item.kdf_id !== hkdfSha256 || first === undefined) continue
      const { aad, ct, pt } = bytesOf(first, 'aad', 'ct', 'pt')
      const recipient = hpkeRecipient({ suite: 2, key, info, enc })
      const sender = hpkeSenderShared({ suite: 2, sharedSecret, info })
      expect(hex(recipient.open(aad, ct))).toBe(first.pt)
      expect(hex(sender.seal(aad, pt))).toBe(first.ct)
      const exported = item.exports.filter(({ L: length }) => length === 32)
      expect(exported.length).toBeGreaterThan(0)
      for (const { exporter_context: context, exported_value: value } of exported) {
        expect([hex(recipient.exportSecret(fromHex(context))), hex(sender.exportSecret(fromHex(context)))]).toEqual([value, value])
      }
    }
  })

  test('post-quantum draft: noble agrees on the ML-KEM encapsulations', () => {
    for (const [kem, oracle] of [[0x41, ml_kem768] as const, [0x42, ml_kem1024] as const]) {
      for (const item of pqCases().filter(({ kem_id: id }) => id === kem)) {
        const { cipherText, sharedSecret } = oracle.encapsulate(fromHex(item.pkRm), fromHex(item.ikmE))
        expect([hex(cipherText), hex(sharedSecret)]).toEqual([item.enc, item.shared_secret])
      }
    }
  })
})
