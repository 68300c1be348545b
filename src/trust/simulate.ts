import { dayMs, type Did, MeshError } from '../base/index.ts'
import { narrowByFlow, type TrustPolicy } from './flow-policy.ts'
import { computeTrust, type TrustQuestion, type TrustSnapshot } from './rule.ts'
import { checkScopes } from './statements.ts'
import { type Attestation, depthDefault, type Level, type Revocation, type StatementLevel } from './types.ts'

/** A statement nobody has signed. */
export interface SupposedStatement {
  readonly issuer: Did
  readonly subject: Did
  readonly level: StatementLevel
  readonly depth?: number | undefined
  /** The scope asked about unless given. */
  readonly scopes?: readonly string[] | undefined
}

export interface Supposition {
  /** Ids of statements taken back. */
  readonly revoke?: readonly string[]
  /** Whether their issuers' keys are taken to be compromised: all they sign from now on is void, and what is named was never made. */
  readonly isHard?: boolean | undefined
  readonly add?: readonly SupposedStatement[]
}

/** What decides: as the settings of the node say. */
export interface SimulateOptions {
  readonly policy: TrustPolicy
  readonly reliance?: ReadonlyMap<Did, number> | undefined
}

/** Whose level would be another. */
export interface LevelChange {
  readonly subject: Did
  readonly before: Level
  readonly after: Level
}

/**
 * What would change under the policy that decides: nothing is signed and nothing kept. Those who fall come first, the deepest fall in front. Source: trust/v1 section 3.6.
 * @throws ERR_NOT_FOUND for an id among none of the statements, ERR_TRUST_INVALID
 */
export function simulate(
  question: TrustQuestion,
  { revoke = [], isHard = false, add = [] }: Supposition,
  { policy, reliance }: SimulateOptions = { policy: 'gate' },
): readonly LevelChange[] {
  const { now, headAge } = question
  // Each is read more than once, and may be an iterator.
  const attestations = [...question.attestations]
  const revoked = [...(question.revocations ?? [])]
  const known = { ...question, attestations, revocations: revoked, warrants: [...(question.warrants ?? [])], experience: [...(question.experience ?? [])] }
  const revocations = revoke.map((id): Revocation => {
    const said = attestations.find((attestation) => attestation.id === id)
    if (said === undefined) throw new MeshError('ERR_NOT_FOUND', `no statement ${id} is known here`, { hint: 'see `kindmesh trust show`' })
    return { issuer: said.issuer, attestationId: id, kind: isHard ? 'hard' : 'soft', at: now }
  })
  const speakers = new Set(add.map(({ issuer }) => issuer))
  const ask = (asked: TrustQuestion): TrustSnapshot => (policy === 'flow' ? narrowByFlow(computeTrust(asked), { ...asked, reliance }) : computeTrust(asked))
  const before = ask(known)
  const after = ask({
    ...known,
    attestations: [...attestations, ...add.map((said, at) => supposed(said, at, question))],
    revocations: [...revoked, ...revocations],
    // Who says something new shows a new head with it.
    headAge: headAge === undefined ? undefined : (issuer) => (speakers.has(issuer) ? 0 : headAge(issuer)),
  })
  return [...new Set([...before.subjects(), ...after.subjects()])]
    .map((subject) => ({ subject, before: before.level(subject), after: after.level(subject) }))
    .filter((change) => change.before !== change.after)
    .toSorted((a, b) => a.after - a.before - (b.after - b.before) || (a.subject < b.subject ? -1 : 1))
}

function supposed({ issuer, subject, level, depth = depthDefault(level), scopes }: SupposedStatement, at: number, { scope, now }: TrustQuestion): Attestation {
  if (issuer === subject) throw new MeshError('ERR_TRUST_INVALID', 'nobody rates himself')
  const covered = scopes ?? [scope]
  checkScopes(covered)
  return {
    ...{ id: `supposed ${at + 1}`, issuer, subject, level, depth, scopes: covered },
    issuedAt: now,
    expiresAt: now + 90 * dayMs,
    // Above all that was signed, in the order given.
    seq: Number.MAX_SAFE_INTEGER - 1_000 + at,
    firstSeenAt: now,
  }
}
