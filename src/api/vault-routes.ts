import type { z } from 'zod'
import { base64, fromBase64, MeshError, utf8 } from '../base/index.ts'
import { decodeRecoveryCode, type MeshNode, type VaultDoors } from '../node/index.ts'
import { nameOf, type Principal } from './principals.ts'
import type { Route } from './routes.ts'
import * as schemas from './vault-schemas.ts'

type Body<K extends keyof typeof schemas> = z.infer<(typeof schemas)[K]>

/** The vault: what it holds, what opens it, whether it is open. */
export const vaultRoutes = ({ vault }: Pick<MeshNode, 'vault'>): readonly Route[] => [
  {
    method: 'GET',
    url: '/v1/vault',
    right: '/api/read',
    summary: 'Whether the vault is sealed, and what opens it',
    reply: schemas.vaultStatus,
    handle: async () => statusOf(vault),
  },
  {
    method: 'GET',
    url: '/v1/vault/secrets',
    right: '/api/vault',
    summary: 'The names of the secrets; values are not among them',
    reply: schemas.vaultSecrets,
    handle: async () => ({ secrets: vault.list() }),
  },
  {
    method: 'POST',
    url: '/v1/vault/secrets',
    right: '/api/vault',
    summary: 'Keep a secret under a name',
    body: schemas.vaultSetBody,
    reply: schemas.vaultSecret,
    async handle({ body }) {
      const { name, value } = body as Body<'vaultSetBody'>
      return await vault.set(name, value)
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/secrets/read',
    right: '/api/vault/read',
    stepUp: true,
    summary: 'One secret in the clear; the reading is in the audit log',
    body: schemas.vaultNamed,
    reply: schemas.vaultValue,
    async handle({ body, principal }) {
      const { name } = body as Body<'vaultNamed'>
      const value = await vault.get(name, readerOf(principal))
      if (value === undefined) throw new MeshError('ERR_NOT_FOUND', `no secret ${name}`, { hint: '`kindmesh vault list` names them' })
      return { name, value }
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/secrets/remove',
    right: '/api/vault',
    summary: 'Forget a secret',
    body: schemas.vaultNamed,
    reply: schemas.vaultNamed,
    async handle({ body }) {
      const { name } = body as Body<'vaultNamed'>
      if (!(await vault.remove(name))) throw new MeshError('ERR_NOT_FOUND', `no secret ${name}`, { hint: '`kindmesh vault list` names them' })
      return { name }
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/passphrase',
    right: '/api/vault',
    stepUp: true,
    summary: 'Another passphrase in the place of the current one',
    body: schemas.vaultPassphraseBody,
    reply: schemas.vaultStatus,
    async handle({ body }) {
      const { current, next } = body as Body<'vaultPassphraseBody'>
      await vault.passphrase({ current: utf8(current), next: utf8(next) })
      return statusOf(vault)
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/slots',
    right: '/api/vault',
    stepUp: true,
    summary: 'One more way to open the vault; the code of a recovery slot is shown this once',
    body: schemas.vaultSlotBody,
    reply: schemas.vaultSlotAdded,
    async handle({ body }) {
      const { slot, code } = await addSlot(vault, body as Body<'vaultSlotBody'>)
      return { slot: slotView(slot), ...(code === undefined ? {} : { code }) }
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/slots/remove',
    right: '/api/vault',
    stepUp: true,
    summary: 'Take a way to open the vault away; never the last one',
    body: schemas.vaultSlotNamed,
    reply: schemas.vaultSlotNamed,
    async handle({ body }) {
      const { id } = body as Body<'vaultSlotNamed'>
      await vault.removeSlot(id)
      return { id }
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/export',
    right: '/api/vault/read',
    stepUp: true,
    summary: 'All secrets and the keys of the node in one file under a passphrase of its own',
    body: schemas.vaultExportBody,
    reply: schemas.vaultBackup,
    async handle({ body }) {
      const { passphrase } = body as Body<'vaultExportBody'>
      return { backup: base64(await vault.export(utf8(passphrase))) }
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/import',
    right: '/api/vault',
    stepUp: true,
    summary: 'Take secrets of a backup, or of an old vault, all or none',
    body: schemas.vaultImportBody,
    reply: schemas.vaultImported,
    async handle({ body }) {
      const { backup, passphrase, policy } = body as Body<'vaultImportBody'>
      return await vault.import(bytesOf(backup), { passphrase: utf8(passphrase), policy })
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/seal',
    right: '/api/vault',
    summary: 'Wipe the keys of the vault: secrets are refused until it is unsealed, the node runs on',
    body: schemas.vaultEmpty,
    reply: schemas.vaultStatus,
    async handle() {
      await vault.seal()
      return statusOf(vault)
    },
  },
  {
    method: 'POST',
    url: '/v1/vault/unseal',
    right: '/api/vault',
    summary: 'Open the vault by its passphrase, a recovery code or a passkey',
    body: schemas.vaultKeyBody,
    reply: schemas.vaultStatus,
    async handle({ body }) {
      await vault.unseal(keyOf(body as Body<'vaultKeyBody'>))
      return statusOf(vault)
    },
  },
]

const readerOf = (principal: Principal): string => (principal.kind === 'session' ? `user ${principal.user.name}` : nameOf(principal))

const statusOf = (vault: Pick<VaultDoors, 'status'>): z.input<typeof schemas.vaultStatus> => vaultView(vault.status())

export const vaultView = ({ slots, secrets, ...rest }: ReturnType<VaultDoors['status']>): z.input<typeof schemas.vaultStatus> => ({
  ...rest,
  records: secrets,
  slots: slots.map(slotView),
})

const slotView = ({ credentialId, salt, ...slot }: ReturnType<VaultDoors['status']>['slots'][number]): z.input<typeof schemas.vaultSlot> => ({
  ...slot,
  ...(credentialId === undefined ? {} : { credentialId: base64(credentialId) }),
  ...(salt === undefined ? {} : { salt: base64(salt) }),
})

/** @throws ERR_USAGE */
export function keyOf(given: Body<'vaultKeyBody'>): Parameters<VaultDoors['unseal']>[0] {
  if (given.kind === 'passphrase') return { kind: given.kind, secret: utf8(given.passphrase) }
  if (given.kind === 'recovery') return { kind: given.kind, secret: decodeRecoveryCode(given.code) }
  return { kind: given.kind, secret: bytesOf(given.secret) }
}

type Added = Awaited<ReturnType<VaultDoors['addRecoveryCode']>>

async function addSlot(vault: VaultDoors, given: Body<'vaultSlotBody'>): Promise<Pick<Added, 'slot'> & Partial<Added>> {
  const { kind, label = '' } = given
  if (kind === 'recovery') return await vault.addRecoveryCode(label)
  if (kind === 'keyring') return { slot: await vault.addOsKeyring(label) }
  if (kind === 'passphrase') return { slot: await vault.addSlot({ kind, secret: utf8(given.passphrase), label }) }
  const { secret, credentialId, salt } = given
  return { slot: await vault.addSlot({ kind, secret: bytesOf(secret), credentialId: bytesOf(credentialId), salt: bytesOf(salt), label }) }
}

function bytesOf(text: string): Uint8Array {
  const bytes = fromBase64(text)
  if (bytes === undefined) throw new MeshError('ERR_USAGE', 'not base64')
  return bytes
}
