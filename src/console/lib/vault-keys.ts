import type { openApi } from './api.ts'
import { fromBase64, toBase64 } from './bytes.ts'
import { keyOfPasskey } from './passkey.ts'

export type VaultSlots = Awaited<ReturnType<typeof openApi.vault>>['slots']
export type VaultKey = Parameters<typeof openApi.unsealVault>[0]
type NewSlot = Parameters<typeof openApi.addVaultSlot>[0]

/** Ways that a person has in a browser; first the one that is least work. */
export const waysOf = (slots: VaultSlots): readonly VaultKey['kind'][] =>
  (['prf', 'passphrase', 'recovery'] as const).filter((way) => slots.some(({ kind }) => kind === way))

/** As WebAuthn spells it. */
const base64urlOf = (base64: string): string => base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

/** Credential ids, base64url, of the passkeys that open the vault. */
export const passkeysOf = (slots: VaultSlots): readonly string[] =>
  slots.flatMap(({ credentialId }) => (credentialId === undefined ? [] : [base64urlOf(credentialId)]))

/** Has a passkey of one of these slots make the key of it. @throws ERR_AUTH_FAILED */
export async function vaultKeyOfPasskey(slots: VaultSlots): Promise<VaultKey> {
  const salts = new Map(
    slots.flatMap(({ credentialId, salt }) => {
      const bytes = fromBase64(salt ?? '')
      return credentialId === undefined || bytes?.length !== 32 ? [] : [[base64urlOf(credentialId), bytes] as const]
    }),
  )
  const { secret } = await keyOfPasskey(salts)
  return { kind: 'prf', secret: toBase64(secret) }
}

/** A slot for one of these passkeys; which one, the user says. Source: vault/v1 section 3. @throws ERR_AUTH_FAILED */
export async function newPasskeySlot(passkeys: readonly { readonly id: string; readonly label: string }[]): Promise<NewSlot> {
  const salt = crypto.getRandomValues(new Uint8Array(32))
  const { credentialId, secret } = await keyOfPasskey(new Map(passkeys.map(({ id }) => [id, salt])))
  const label = passkeys.find(({ id }) => id === credentialId)?.label ?? ''
  return { kind: 'prf', credentialId, salt: toBase64(salt), secret: toBase64(secret), label: label.slice(0, 64) }
}
