import { base64, hex, utf8 } from '../../src/base/index.ts'
import { signBundle } from '../../src/bundles/index.ts'
import { contentHash } from '../../src/crypto/index.ts'
import { kindDidFromDid, signedJsonInput } from '../../src/identity/index.ts'
import { anna, ben, type Vector, type Vectors } from './world.ts'

export async function sandboxVectors(): Promise<Vectors> {
  const codeHash = await contentHash(utf8('return await memory.get(input)'))
  const bundle = {
    name: 'reader',
    version: '1.2.0-beta+5',
    codeHash,
    engine: 'javascript',
    permissions: ['memory:read', 'vault:access'],
    publisher: anna.did,
  } as const
  const text = signBundle(bundle, anna.sign)
  const document = JSON.parse(text) as { readonly message: Readonly<Record<string, unknown>>; readonly signature: string }
  const used = { codeHash: hex(codeHash), engine: 'javascript', capabilities: ['memory:read'], pins: [anna.did as string] }
  const vector = (comment: string, spec: string, expect: string, document_: unknown, change: object = {}): Vector => ({
    comment,
    spec,
    expect,
    kind: 'bundle',
    text: JSON.stringify(document_),
    ...used,
    ...change,
  })
  const invalid = (comment: string, change: object): Vector => vector(comment, '10.1', 'ERR_BUNDLE_INVALID', { ...document, ...change })
  const altered = (comment: string, change: object): Vector => invalid(comment, { message: { ...document.message, ...change } })
  const signedFor = (audience: string): string => base64(anna.sign(signedJsonInput(document.message, audience)))
  return {
    bundle: vector('a bundle of anna, who is pinned', '10', 'ok', document),
    'bundle-code-pinned': vector('a bundle whose code is pinned and not its publisher', '10.2', 'ok', document, { pins: [hex(codeHash)] }),
    'bundle-nothing-asked': vector('a run that asks for less than the bundle names', '10.1', 'ok', document, { capabilities: [] }),
    'bundle-unpinned': vector('anna is not pinned, ben is', '10.2', 'ERR_BUNDLE_UNPINNED', document, { pins: [ben.did] }),
    'bundle-other-code': vector('other code than the bundle names', '10.1', 'ERR_BUNDLE_INVALID', document, { codeHash: '0'.repeat(64) }),
    'bundle-other-engine': vector('the code in another engine', '10.1', 'ERR_BUNDLE_INVALID', document, { engine: 'wasm' }),
    'bundle-more': vector('a run that asks for more than the bundle names', '10.1', 'ERR_SANDBOX_PERMISSION', document, {
      capabilities: ['memory:read', 'memory:write'],
    }),
    'bundle-altered-permissions': altered('permissions added after it was signed', { permissions: ['memory:read', 'memory:write', 'vault:access'] }),
    'bundle-altered-version': altered('a version that was never signed', { version: '1.3.0' }),
    'bundle-member': altered('a member more', { note: '' }),
    'bundle-capability': altered('a capability that does not exist', { permissions: ['file:execute'] }),
    'bundle-other-signer': invalid('signed by ben in the name of anna', {
      signature: base64(ben.sign(signedJsonInput(document.message, 'kindmesh.bundle/1'))),
    }),
    'bundle-other-key': invalid('the key beside it is ben’s', { did: kindDidFromDid(ben.did) }),
    'bundle-for-nobody': invalid('the same words, signed for nobody in particular', { audience: '', signature: signedFor('') }),
    'bundle-other-audience': invalid('a signature for another audience', { signature: signedFor(ben.did) }),
    'bundle-document-member': invalid('a member more beside the message', { agentId: 'anna' }),
  }
}
