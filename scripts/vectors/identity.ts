import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { base58btc } from 'multiformats/bases/base58'
import { base64, base64url, didFromKey, fromBase64, fromHex, utf8 } from '../../src/base/index.ts'
import { deriveFromPassphrase } from '../../src/crypto/index.ts'
import { identityOf, kindDidFromDid, newKeys, peerIdFromDid, rotateKeys } from '../../src/identity/index.ts'
import { chainVectors } from './chain.ts'
import { keyFilePlace } from './key-file.ts'
import { anna, ben, chance, clock, type Vector, type Vectors } from './world.ts'

const smallOrder = fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
/** The key of anna plus that point: on the curve, outside the prime-order group. */
const torsioned = fromHex('3bcfb78c4ad06f9b8d7e8c50e37e33dd40042a7805f5df945fbf33620745bc68')

export async function identityVectors(): Promise<Vectors> {
  const spelled = (comment: string, key: Uint8Array) => {
    const did = didFromKey(key)
    return { comment, spec: '1.1', expect: 'ok', kind: 'did', key, did, peerId: peerIdFromDid(did), kindDid: kindDidFromDid(did) }
  }
  const refused = (comment: string, text: string, spec = '1.1') => ({ comment, spec, expect: 'ERR_IDENTITY_INVALID', kind: 'did', text })
  const text = base64(anna.publicKey)
  // Its base64 holds both `+` and `/`.
  const slashed = ben.publicKey
  const did = didFromKey(anna.publicKey)
  return {
    'did-anna': spelled('three spellings of the key of seed 01…01', anna.publicKey),
    'did-ben': spelled('three spellings of the key of seed 02…02', ben.publicKey),
    'did-base64url': {
      comment: 'a kind DID in base64url, without padding',
      spec: '1.1',
      expect: 'ok',
      kind: 'did',
      text: `kind:agent:${base64url(slashed)}#ed25519`,
      did: didFromKey(slashed),
    },
    'did-padded-base64url': refused('base64url with padding', `kind:agent:${base64url(slashed)}=#ed25519`),
    'did-mixed-base64': refused('both alphabets in one text', `kind:agent:${base64(slashed).replaceAll('+', '-')}#ed25519`),
    'did-no-suffix': refused('a kind DID without its end', `kind:agent:${text}`),
    'did-fragment': refused('a DID URL is no DID', `${did}#${did.slice('did:key:'.length)}`),
    'did-space': refused('a space behind', `${did} `),
    'did-upper-case': refused('the method in capitals', did.replace('did:key', 'DID:KEY')),
    'did-leading-one': refused('a leading 1, which is a zero byte', did.replace('did:key:z', 'did:key:z1')),
    'did-multibase-peer-id': refused('a peer ID with the multibase letter', `z${peerIdFromDid(did)}`),
    'did-empty': refused('nothing', ''),
    'did-non-canonical': refused('y of p + 3: another spelling of a smaller y', didFromKey(fromHex(`f0${'ff'.repeat(30)}7f`)), '1.2'),
    'did-torsion': refused('a point of the full group: an honest key plus a point of order 8', didFromKey(torsioned), '1.2'),
    'did-small-order': refused('a point of order 8', didFromKey(smallOrder), '1.2'),
    'did-identity-point': refused('the identity point as a peer ID', peerIdFromDid(didFromKey(fromHex('01'.padEnd(64, '0')))), '1.2'),
    'did-not-a-point': refused('a y coordinate without x', didFromKey(fromHex('02'.padEnd(64, '0'))), '1.2'),
    'did-loose-base64': refused('base64 whose last digit carries bits of no byte', `kind:agent:${text.slice(0, 42)}${text[42] === 'w' ? 'x' : 'w'}=#ed25519`),
    'did-x25519': refused('did:key of an X25519 key', `did:key:${base58btc.encode(Uint8Array.from([0xec, 0x01, ...anna.publicKey]))}`),
    'did-short': refused('31 bytes', `did:key:${base58btc.encode(Uint8Array.from([0xed, 0x01, ...anna.publicKey.subarray(1)]))}`),
    ...(await keyFiles()),
    ...chainVectors(),
  }
}

async function keyFiles(): Promise<Vectors> {
  const good = await keyFile()
  const file = good['file'] as { readonly slots: readonly [object] }
  const altered = (comment: string, spec: string, change: object): Vector => ({
    ...good,
    comment,
    spec,
    expect: 'ERR_AUTH_FAILED',
    file: { ...file, ...change },
  })
  return {
    'key-file': good,
    'key-file-rotated': await keyFile({ rotations: 1 }),
    'key-file-altered-slot': altered('an iteration added: the slot is bound to its parameters', '3.3', { slots: [{ ...file.slots[0], iterations: 4 }] }),
    'key-file-weak-slot': altered('one iteration: weaker than a reader takes', '3.2', { slots: [{ ...file.slots[0], iterations: 1 }] }),
    'key-file-cut-chain': altered('the chain cut back: its seeds are those of a later key', '3.4', {
      ...((await keyFile({ rotations: 1 }))['file'] as object),
      chain: [((await keyFile({ rotations: 1 }))['file'] as { readonly chain: readonly [string] }).chain[0]],
    }),
    'key-file-other-did': altered('the DID of somebody else', '3.4', { did: ben.did }),
  }
}

async function keyFile({ rotations = 0 } = {}): Promise<Vector> {
  const folder = await mkdtemp(join(tmpdir(), 'kindmesh-vectors-'))
  try {
    const path = join(folder, 'identity.json')
    const passphrase = utf8('correct horse battery staple')
    const random = chance(40)
    const place = keyFilePlace({ path, passphrase, random })
    const keys = newKeys({ clock, random })
    await place.write(keys)
    for (let index = 0; index < rotations; index++) await rotateKeys({ place, clock, random })
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
    // Drawn first: seed, root key, next seed.
    const drawn = chance(40)
    const seeds = [drawn.bytes(32), drawn.bytes(32), drawn.bytes(32)]
    const seed = seeds[rotations * 2]
    return {
      comment: rotations === 0 ? 'a key file, its passphrase, and the key Argon2id makes of it' : 'a key file after a rotation',
      spec: rotations === 0 ? '3' : '8',
      expect: 'ok',
      kind: 'key-file',
      file,
      passphrase,
      wrappingKey,
      seed,
      did: identityOf(keys),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}
