import { agentIdentityCreated, type Audit, jsonSigned } from '../audit/index.ts'
import { type AgentCapability, type Clock, type Did, type Random } from '../base/index.ts'
import { type AgentIdentities, type AgentIdentity, type Keyring, openAgentIdentities } from '../identity/index.ts'
import type { Store } from '../store/index.ts'
import { type Level, TrustLevel } from '../trust/index.ts'

/** An agent's identity with how far this node trusts it. */
export type TrustedIdentity = AgentIdentity & { readonly trustLevel: Level }

/** Identities of agents that sign JSON data, as the customer's CryptographicIdentityManager has them. */
export interface Identities extends Pick<AgentIdentities, 'signMessage' | 'verifySignature'> {
  /** Makes a key for an agent and keeps it, sealed. @throws ERR_USAGE for a bad or taken name or an unknown capability, ERR_OVERLOADED */
  generateAgentIdentity(agentId: string, capabilities?: readonly AgentCapability[]): Promise<TrustedIdentity>
  find(agentId: string): TrustedIdentity | undefined
  list(): readonly TrustedIdentity[]
}

export interface IdentitiesOptions {
  readonly store: Store
  readonly keyring: Keyring
  readonly clock: Clock
  readonly random: Random
  readonly audit: Audit
  /** What statements known here say of a key. */
  level(did: Did): Level
}

export async function openIdentities({ level, audit, keyring, ...parts }: IdentitiesOptions): Promise<Identities> {
  const identities = await openAgentIdentities({
    ...parts,
    keyring,
    async commit(change, ops) {
      const { agentId: name, didKey: agent, capabilities, signatureCount } = change.identity
      const key = { did: keyring.did, agent, name }
      const entry =
        change.event === 'created'
          ? agentIdentityCreated({ ...key, capabilities })
          : jsonSigned({ ...key, inputHash: change.inputHash, audience: change.audience, signatureCount })
      await audit.record(entry, ops)
    },
  })
  /** A key made here is known here: BASIC, unless statements say more, or less than nothing. */
  const trusted = (identity: AgentIdentity): TrustedIdentity => {
    const said = level(identity.didKey)
    return { ...identity, trustLevel: said === TrustLevel.UNKNOWN ? TrustLevel.BASIC : said }
  }
  return {
    signMessage: identities.signMessage,
    verifySignature: identities.verifySignature,
    generateAgentIdentity: async (agentId, capabilities = []) => trusted(await identities.generateAgentIdentity(agentId, capabilities)),
    find(agentId) {
      const found = identities.find(agentId)
      return found === undefined ? undefined : trusted(found)
    },
    list: () => identities.list().map(trusted),
  }
}
