import type { Vector } from '../../scripts/vectors/world.ts'
import { type AgentCapability, didFromKey, fromHex, MeshError } from '../../src/base/index.ts'
import { limitNames, outside } from '../../src/policy/caveats.ts'
import { explicitCommands, speaksOf } from '../../src/policy/commands.ts'
import { bytesOfGrantText, chainProblem } from '../../src/policy/index.ts'
import { openChain } from '../../src/policy/token.ts'
import type { SandboxLimits } from '../../src/sandbox/index.ts'
import { TrustLevel } from '../../src/trust/index.ts'

interface Use {
  readonly capabilities: readonly AgentCapability[]
  readonly limits: Partial<SandboxLimits>
  readonly code: string
}

const bytes = (vector: Vector, field: string): Uint8Array => fromHex(String(vector[field]))
const needed = (why: string): MeshError => new MeshError('ERR_GRANT_NEEDED', why)

/** What our code says to the vectors of grant/v1. */
export function readGrantVector(vector: Vector): void {
  const chain = openChain(bytes(vector, 'chain'))
  const [owner, bearer] = [didFromKey(bytes(vector, 'owner')), didFromKey(bytes(vector, 'bearer'))]
  const revoked = new Set((vector['revoked'] as readonly (string | Uint8Array)[]).map((id) => (typeof id === 'string' ? id : Buffer.from(id).toString('hex'))))
  const now = Number(vector['now'])
  const problem = chainProblem(chain, {
    now,
    bearer,
    owner,
    keys: { subject: (key) => key, check: () => undefined },
    level: () => TrustLevel.AUTHORITY,
    revokedAt: (_issuer, id) => (revoked.has(id) ? now : undefined),
  })
  if (problem !== undefined) throw problem
  const { token } = chain
  if (vector['token'] !== undefined) {
    const { id, command, expiresAt } = vector['token'] as { readonly id: string; readonly command: string; readonly expiresAt: number }
    if (token.id !== id || token.command !== command || token.expiresAt !== expiresAt) throw new Error('another token was read')
    if (!Buffer.from(bytesOfGrantText(String(vector['text']))).equals(chain.bytes)) throw new Error('another text was read')
  }
  const command = vector['command'] as string | undefined
  const isNamed = command !== undefined && explicitCommands.has(command) && chain.tokens.length > 1
  if (command !== undefined && (isNamed || !speaksOf(token.command, command))) throw needed('it does not cover the command')
  const use = vector['use'] as Use | undefined
  if (use === undefined) return
  const limits = Object.fromEntries(limitNames.map((name) => [name, use.limits[name] ?? 0])) as unknown as SandboxLimits
  const reason = outside(token.caveats, { capabilities: use.capabilities, limits, codeHash: use.code })
  if (reason !== undefined) throw needed(reason)
}
