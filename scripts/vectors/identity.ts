import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base58btc } from 'multiformats/bases/base58'
import { base64, didFromKey, fromBase64, fromHex, utf8 } from '../../src/base/index.ts'
import { deriveFromPassphrase } from '../../src/crypto/index.ts'
import { createKeyFile, kindDidFromDid, peerIdFromDid } from '../../src/identity/index.ts'
import { anna, ben, chance, clock, type Vectors } from './world.ts'

const smallOrder = fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')

export async function identityVectors(): Promise<Vectors> {
  const spelled = (comment: string, key: Uint8Array) => {
    const did = didFromKey(key)
    return { comment, spec: '1.1', expect: 'ok', kind: 'did', key, did, peerId: peerIdFromDid(did), kindDid: kindDidFromDid(did) }
  }
  const refused = (comment: string, text: string, spec = '1.1') => ({ comment, spec, expect: 'ERR_IDENTITY_INVALID', kind: 'did', text })
  const text = base64(anna.publicKey)
  return {
    'did-anna': spelled('three spellings of the key of seed 01…01', anna.publicKey),
    'did-ben': spelled('three spellings of the key of seed 02…02', ben.publicKey),
    'did-small-order': refused('a point of order 8', didFromKey(smallOrder), '1.2'),
    'did-identity-point': refused('the identity point as a peer ID', peerIdFromDid(didFromKey(fromHex('01'.padEnd(64, '0')))), '1.2'),
    'did-not-a-point': refused('a y coordinate without x', didFromKey(fromHex('02'.padEnd(64, '0'))), '1.2'),
    'did-loose-base64': refused('base64 whose last digit carries bits of no byte', `kind:agent:${text.slice(0, 42)}${text[42] === 'w' ? 'x' : 'w'}=#ed25519`),
    'did-x25519': refused('did:key of an X25519 key', `did:key:${base58btc.encode(Uint8Array.from([0xec, 0x01, ...anna.publicKey]))}`),
    'did-short': refused('31 bytes', `did:key:${base58btc.encode(Uint8Array.from([0xed, 0x01, ...anna.publicKey.subarray(1)]))}`),
    'key-file': await keyFile(),
  }
}

async function keyFile(): Promise<Vectors[string]> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-vectors-'))
  try {
    const path = join(folder, 'identity.json')
    const passphrase = utf8('correct horse battery staple')
    const { did } = await createKeyFile({ path, passphrase, clock, random: chance(40) })
    const file = JSON.parse(await readFile(path, 'utf8')) as {
      readonly slots: readonly [{ readonly salt: string; readonly memoryKiB: number; readonly iterations: number }]
    }
    const [{ salt, memoryKiB, iterations }] = file.slots
    const wrappingKey = await deriveFromPassphrase(passphrase, {
      kdf: 'argon2id',
      memoryKiB,
      iterations,
      parallelism: 1,
      salt: fromBase64(salt) ?? new Uint8Array(),
    })
    // The first thing drawn.
    const seed = chance(40).bytes(32)
    return {
      comment: 'a key file, its passphrase, and the key Argon2id makes of it',
      spec: '3',
      expect: 'ok',
      kind: 'key-file',
      file,
      passphrase,
      wrappingKey,
      seed,
      did,
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
