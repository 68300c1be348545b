import type { Vector } from '../../scripts/vectors/world.ts'
import { verifyApproval } from '../../src/auth/index.ts'
import { fromHex, hex, MeshError } from '../../src/base/index.ts'

/** What our code says to the vectors of approvals. */
export async function readApprovalVector(vector: Vector): Promise<void> {
  const verdict = await verifyApproval(bytesOf(vector, 'approval'))
  if (!verdict.ok) throw new MeshError('ERR_LOGIN_REFUSED', verdict.reason)
  const { user, act, keyHash } = verdict
  const said = [user, act.name, hex(act.content), hex(keyHash)]
  const wanted = [String(vector['user']), String(vector['act']), hex(bytesOf(vector, 'content')), hex(bytesOf(vector, 'keyHash'))]
  if (said.some((part, index) => part !== wanted[index])) throw new Error('another approval was read')
}

const bytesOf = (vector: Vector, field: string): Uint8Array => {
  const value = vector[field]
  return value instanceof Uint8Array ? value : fromHex(String(value))
}
