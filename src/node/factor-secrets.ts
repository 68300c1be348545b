import type { FactorSecrets } from '../auth/index.ts'
import { reservedPrefix, type Vault } from '../vault/index.ts'

/** Secrets of authenticator apps in the vault, where its owner's own names do not reach. An id may begin with a sign that no name does. Source: auth/v1 section 11 */
const nameOf = (account: string): string => `${reservedPrefix}totp/of-${account}`

/** While the vault is sealed nobody logs in by an app: ERR_SEALED for every name, known or not. */
export const vaultFactorSecrets = (vault: Pick<Vault, 'get' | 'set' | 'remove'>): FactorSecrets => ({
  get: async (account) => vault.get(nameOf(account))?.value,
  async set(account, secret) {
    await vault.set(nameOf(account), secret)
  },
  async remove(account) {
    await vault.remove(nameOf(account))
  },
})
