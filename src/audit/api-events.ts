import type { Did } from '../base/index.ts'
import type { AuditEvent } from './entry.ts'

export interface ApiTokenFacts {
  readonly did: Did
  readonly id: string
  readonly surface: string
}

/** A program was given a token for the local API. */
export const apiTokenCreated = ({
  did,
  id,
  surface,
  rights,
  expiresAt,
}: ApiTokenFacts & { readonly rights: readonly string[]; readonly expiresAt: number }): AuditEvent => ({
  event: 'api_token_created',
  actor: did,
  subject: did,
  data: { id, surface, rights, expiresAt },
})

export const apiTokenRevoked = ({ did, id, surface }: ApiTokenFacts): AuditEvent => ({
  event: 'api_token_revoked',
  actor: did,
  subject: did,
  data: { id, surface },
})

/** A token of one surface was shown as another. */
export const apiTokenMisused = ({ did, id, surface, shown }: ApiTokenFacts & { readonly shown: string }): AuditEvent => ({
  event: 'api_token_misused',
  actor: did,
  subject: did,
  data: { id, surface, shown },
})
