import { agentCapabilities, type AgentCapability, base64, type Clock, type Did, didFromKey, MeshError, type Random, utf8 } from '../base/index.ts'
import { createSigner, seedBytesLength, type Signer } from '../crypto/index.ts'
import { put, type Store, type StoreOp } from '../store/index.ts'
import { bytesOf, bytesUpTo, codec, instant, listOf, literal, oneOf, row, uintUpTo } from '../wire/index.ts'
import { kindDidFromDid, peerIdFromDid } from './did.ts'
import type { Keyring } from './keyring.ts'
import { signedJsonInput, verifySignedJson } from './signed-json.ts'

export const agentIdentitiesMax = 1_024
const createHint = 'make one with `kindmesh identity create <agent>`'

/** An agent's identity as anybody may see it. Its private key is in the store, sealed, and in memory only to sign. Times in ms since 1970. */
export interface AgentIdentity {
  /** Its name at this node. */
  readonly agentId: string
  /** `kind:agent:<base64 key>#ed25519` */
  readonly did: string
  /** The same as did:key. */
  readonly didKey: Did
  /** The same as a libp2p peer ID. */
  readonly peerId: string
  /** The 32-byte key, base64. */
  readonly publicKey: string
  readonly createdAt: number
  /** Time of the last signature, or of its making. Never goes back. */
  readonly lastUsed: number
  readonly capabilities: readonly AgentCapability[]
  /** Signatures made; at least as many as were ever handed out. */
  readonly signatureCount: number
}

export type IdentityChange =
  | { readonly event: 'created'; readonly identity: AgentIdentity }
  /** `inputHash` names what was signed. */
  | { readonly event: 'signed'; readonly identity: AgentIdentity; readonly inputHash: Uint8Array; readonly audience: string }

export interface AudienceOption {
  /** Whom the signature is for, inside what is signed; empty, as when not given, for nobody in particular. */
  readonly audience?: string
}

/** The CryptographicIdentityManager of the customer's document: keys of agents, what they sign, and how often. */
export interface AgentIdentities {
  /** Makes a key for an agent and keeps it. @throws ERR_USAGE for a bad or taken name or an unknown capability, ERR_OVERLOADED */
  generateAgentIdentity(agentId: string, capabilities: readonly AgentCapability[]): Promise<AgentIdentity>
  /** Signs JSON data in an agent's name: base64 of 64 bytes. The use is on disk before it returns. @throws ERR_NOT_FOUND, ERR_JSON_INVALID, ERR_WIRE_TOO_LARGE */
  signMessage(agentId: string, message: unknown, options?: AudienceOption): Promise<string>
  /** True when this key (base64, or any spelling of an identity) signed this data for this audience; never throws. */
  verifySignature(message: unknown, signature: string, publicKey: string, options?: AudienceOption): Promise<boolean>
  find(agentId: string): AgentIdentity | undefined
  /** In order of name. */
  list(): readonly AgentIdentity[]
}

export interface AgentIdentitiesOptions {
  readonly store: Store
  readonly keyring: Pick<Keyring, 'box'>
  readonly clock: Clock
  readonly random: Random
  /** Makes a change durable in one batch with its entry in the log. */
  commit(change: IdentityChange, ops: readonly StoreOp[]): Promise<void>
}

const capabilityShape = oneOf(agentCapabilities)
/** What never changes, sealed under the name: `key/<agentId>`. Source: signed-json/v1 section 5. */
const keyCodec = codec(
  'agent key',
  row({ version: literal(1), seed: bytesOf(seedBytesLength), createdAt: instant, capabilities: listOf(capabilityShape, agentCapabilities.length) }),
  1_024,
)
const sealedCodec = codec('sealed agent key', row({ version: literal(1), sealed: bytesUpTo(2_048) }), 2_304)
/** What every signature changes: `use/<agentId>`. */
const useCodec = codec('agent key use', row({ version: literal(1), signatureCount: uintUpTo(Number.MAX_SAFE_INTEGER), lastUsed: instant }), 64)

interface Held {
  readonly signer: Signer
  readonly fixed: Omit<AgentIdentity, 'lastUsed' | 'signatureCount'>
  lastUsed: number
  signatureCount: number
}

const sealContext = (agentId: string): Uint8Array => utf8(`kindmesh.agent-key/1 ${agentId}`)
const viewOf = ({ fixed, lastUsed, signatureCount }: Held): AgentIdentity => ({ ...fixed, lastUsed, signatureCount })

/** Opens the agents' keys of a profile. @throws ERR_STORE_FAILED when one does not open */
export async function openAgentIdentities({ store, keyring, clock, random, commit }: AgentIdentitiesOptions): Promise<AgentIdentities> {
  const box = keyring.box('agent-identities')
  const held = new Map<string, Held>()
  for await (const [key, value] of store.range({ gte: 'key/', lt: 'key0' })) {
    const agentId = key.slice('key/'.length)
    const use = await store.get(`use/${agentId}`)
    try {
      const { seed, createdAt, capabilities } = keyCodec.decode(box.open(sealedCodec.decode(value).sealed, sealContext(agentId)))
      const { signatureCount, lastUsed } = use === undefined ? { signatureCount: 0, lastUsed: createdAt } : useCodec.decode(use)
      held.set(agentId, { ...hold(agentId, seed, createdAt, capabilities), signatureCount, lastUsed })
    } catch (cause) {
      throw new MeshError('ERR_STORE_FAILED', `the key of agent ${agentId} is damaged`, { cause, hint: 'restore the home folder from a backup' })
    }
  }

  return {
    async generateAgentIdentity(agentId, capabilities) {
      if (!/^[a-z0-9][a-z0-9_-]{0,63}$/.test(agentId)) {
        throw new MeshError('ERR_USAGE', `'${agentId.slice(0, 64)}' is no agent name: small letters, digits, - and _, at most 64`)
      }
      const unknown = capabilities.find((name) => !agentCapabilities.includes(name))?.slice(0, 64)
      if (unknown !== undefined) throw new MeshError('ERR_USAGE', `'${unknown}' is no capability`, { hint: agentCapabilities.join(', ') })
      if (held.has(agentId)) throw new MeshError('ERR_USAGE', `agent ${agentId} has an identity already`)
      if (held.size >= agentIdentitiesMax) throw new MeshError('ERR_OVERLOADED', `${agentIdentitiesMax} agents have an identity here`)
      const seed = random.bytes(seedBytesLength)
      const granted = agentCapabilities.filter((name) => capabilities.includes(name))
      const createdAt = clock.now()
      const sealed = box.seal(keyCodec.encode({ version: 1, seed, createdAt, capabilities: granted }), sealContext(agentId))
      const made = hold(agentId, seed, createdAt, granted)
      // Taken at once, so that of two with one name the second is refused.
      held.set(agentId, made)
      const identity = viewOf(made)
      try {
        await commit({ event: 'created', identity }, store.qualify([put(`key/${agentId}`, sealedCodec.encode({ version: 1, sealed }))]))
      } catch (error) {
        held.delete(agentId)
        throw error
      }
      return identity
    },
    async signMessage(agentId, message, { audience = '' } = {}) {
      const found = held.get(agentId)
      if (found === undefined) throw new MeshError('ERR_NOT_FOUND', `agent ${agentId.slice(0, 64)} has no identity here`, { hint: createHint })
      const input = signedJsonInput(message, audience)
      found.signatureCount++
      found.lastUsed = Math.max(found.lastUsed, clock.now())
      const { signatureCount, lastUsed } = found
      // Counted before it is handed out, also when the power fails between the two; writes keep the order of these lines.
      const use = put(`use/${agentId}`, useCodec.encode({ version: 1, signatureCount, lastUsed }))
      await commit({ event: 'signed', identity: viewOf(found), inputHash: input.slice(-32), audience }, store.qualify([use]))
      return base64(found.signer.sign(input))
    },
    verifySignature: async (message, signature, publicKey, { audience = '' } = {}) => verifySignedJson({ message, signature, publicKey, audience }),
    find(agentId) {
      const found = held.get(agentId)
      return found === undefined ? undefined : viewOf(found)
    },
    list: () => [...held.values()].map(viewOf).sort((a, b) => (a.agentId < b.agentId ? -1 : 1)),
  }
}

/** Takes the seed and wipes it: from here on the key signs and is shown to nobody. */
function hold(agentId: string, seed: Uint8Array, createdAt: number, capabilities: readonly AgentCapability[]): Held {
  const signer = createSigner(seed)
  seed.fill(0)
  const didKey = didFromKey(signer.publicKey)
  const fixed = { agentId, did: kindDidFromDid(didKey), didKey, peerId: peerIdFromDid(didKey), publicKey: base64(signer.publicKey), createdAt, capabilities }
  return { signer, fixed, lastUsed: createdAt, signatureCount: 0 }
}
