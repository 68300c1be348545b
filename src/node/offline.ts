import { type AuditVerdict, verifyAudit } from '../audit/index.ts'
import { type Did, profilePaths } from '../base/index.ts'
import { kindDidFromDid, peerIdFromDid, readKeyFile } from '../identity/index.ts'
import { createLevelStore } from '../store/index.ts'
import { readCheckpoint } from './checkpoint-file.ts'

export interface IdentityView {
  readonly did: Did
  readonly peerId: string
  readonly kindDid: string
  readonly createdAt: number
}

/** Who a profile is, without unlocking it. @throws ERR_PROFILE_MISSING */
export async function readIdentity(home: string): Promise<IdentityView> {
  const { did, createdAt } = await readKeyFile(profilePaths(home).keyFile)
  return { did, peerId: peerIdFromDid(did), kindDid: kindDidFromDid(did), createdAt }
}

/** Verifies the audit log of a profile whose node does not run. @throws ERR_PROFILE_MISSING, ERR_PROFILE_LOCKED */
export async function verifyProfileAudit(home: string): Promise<AuditVerdict> {
  const paths = profilePaths(home)
  const { did } = await readIdentity(home)
  const expectedCheckpoint = await readCheckpoint(paths.checkpoint)
  const store = await createLevelStore(paths.store)
  try {
    return await verifyAudit({ store, did, ...(expectedCheckpoint === undefined ? {} : { expectedCheckpoint }) })
  } finally {
    await store.close()
  }
}
