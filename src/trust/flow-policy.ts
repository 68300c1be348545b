import type { Did } from '../base/index.ts'
import type { Explanation } from './explain.ts'
import { authenticate, type Flow, type FlowPath, incoming, type Incoming } from './flow.ts'
import { flowAmounts, flowEdges, type FlowStatements, liveStatements, wornLevel } from './flow-statements.ts'
import type { TrustSnapshot } from './rule.ts'
import { type Attestation, type Level, levelName } from './types.ts'

/** Who decides: the rule alone, or the rule and the amounts by flow, whichever gives less. */
export const trustPolicies = ['gate', 'flow'] as const
export type TrustPolicy = (typeof trustPolicies)[number]

/** What must arrive for BASIC, VERIFIED, TRUSTED, AUTHORITY: partial, full, twice full; AUTHORITY is named, along one way. Source: trust/v1 section 2.9. */
export const flowNeeded = [0, 40, 120, 240, 120] as const
const enough = 240

export interface FlowPolicyOptions extends FlowStatements {
  readonly root: Did
  /** How far the root itself relies on an introducer, 0 to 120: what it says of him carries no more. */
  readonly reliance?: ReadonlyMap<Did, number> | undefined
}

/** A snapshot under policy `flow`. */
export interface FlowSnapshot extends TrustSnapshot {
  /** What arrives at a subject, and over which ways; looked for no further than `flowNeeded` asks. */
  flow(subject: Did): Flow
}

/**
 * Narrows the answers of the rule by what arrives of the root's trust, as in OpenPGP: statements carry amounts, and what one carries to one subject is spent once.
 * Nobody's level gets higher than by the rule; only those whom the rule lets introduce pass anything on; the root's own word stands. Source: trust/v1 section 2.9.
 */
export function narrowByFlow(gate: TrustSnapshot, options: FlowPolicyOptions): FlowSnapshot {
  const { root, now } = options
  let known: { readonly into: Incoming; readonly said: ReadonlyMap<Did, number>; readonly byId: ReadonlyMap<string, Attestation> } | undefined
  const flows = new Map<Did, Flow>()

  const statements = (): NonNullable<typeof known> => {
    if (known !== undefined) return known
    // Quotas, warrants, heads and everything else that silences somebody are the rule's affair.
    const heard = new Map<string, number>()
    for (const { issuer, subject, level: counts, isHeard } of gate.edges()) {
      if (isHeard && counts > 0) heard.set(`${issuer} ${subject}`, flowAmounts[counts as 1 | 2 | 3 | 4])
    }
    const live = liveStatements(options)
    const said = new Map<Did, number>()
    for (const statement of live.filter(({ issuer }) => issuer === root)) {
      said.set(statement.subject, Math.max(wornLevel(statement, now), said.get(statement.subject) ?? 0))
    }
    const edges = flowEdges(options, live).flatMap((edge) => {
      const relied = edge.from === root ? (options.reliance?.get(edge.to as Did) ?? Infinity) : Infinity
      const amount = Math.min(edge.amount, heard.get(`${edge.from} ${edge.to}`) ?? 0, relied)
      return amount > 0 && gate.level(edge.to as Did) > 0 ? [{ ...edge, amount }] : []
    })
    known = { into: incoming(edges), said, byId: new Map(live.map((statement) => [statement.id, statement])) }
    return known
  }

  function flow(subject: Did): Flow {
    const before = flows.get(subject)
    if (before !== undefined) return before
    const found =
      gate.level(subject) < 1 || subject === root
        ? { amount: 0, paths: [] }
        : authenticate(statements().into, { starts: new Map([[root, 120]]), target: subject, enough })
    flows.set(subject, found)
    return found
  }

  function level(subject: Did): Level {
    const highest = gate.level(subject)
    if (highest < 1 || subject === root) return highest
    const own = Math.min(highest, statements().said.get(subject) ?? 0)
    if (own === highest) return highest
    const { amount } = flow(subject)
    const carried = ([4, 3, 2, 1] as const).find((step) => step <= highest && amount >= flowNeeded[step]) ?? 0
    return Math.max(own, carried) as Level
  }

  function explain(subject: Did, how: Parameters<TrustSnapshot['explain']>[1]): Explanation {
    const why = gate.explain(subject, how)
    const narrowed = level(subject)
    const validUntil = gate.validUntil === undefined ? why.validUntil : Math.min(gate.validUntil, why.validUntil ?? Infinity)
    if (narrowed === why.level) return { ...why, validUntil }
    const { amount, paths } = flow(subject)
    const next = (narrowed + 1) as Level
    const needed = flowNeeded[next as 1 | 2 | 3 | 4]
    const ruled = levelName(why.level).toUpperCase()
    const need = `${Math.max(1, needed - amount)} more to arrive over other introducers, or a statement of your own`
    return {
      ...why,
      ...{
        level: narrowed,
        levelName: levelName(narrowed),
        validUntil,
        missingForNext: { level: next, need, votes: 0, introducerLevel: Math.max(next, 2) as Level, near: [] },
      },
      because: narrowed < 1 ? [] : paths.map((path) => reason(path)),
      sentence: `${levelName(narrowed).toUpperCase()} in ${why.scope} by the policy flow, because ${amount} of ${needed} for ${levelName(next).toUpperCase()} arrive; the rule alone would say ${ruled}.`,
    }
  }

  function reason({ edges }: FlowPath): Explanation['because'][number] {
    const said = edges.flatMap(({ id }) => statements().byId.get(id) ?? [])
    return {
      path: [root, ...edges.map(({ to }) => to as Did)],
      attestations: edges.map(({ id }) => id),
      minLevel: said.reduce<Level>((least, statement) => (statement.level < least ? statement.level : least), 4),
      expires: said.reduce((soonest, { expiresAt }) => Math.min(soonest, expiresAt), Infinity),
    }
  }

  // What does not depend on the policy stays the rule's.
  return Object.assign(Object.create(gate) as TrustSnapshot, {
    level,
    explain,
    flow,
    rank: (subjects?: Iterable<Did>) => {
      const ranked = gate.rank(subjects).map((one) => ({ ...one, level: level(one.subject) }))
      return ranked.sort((a, b) => b.level - a.level)
    },
  })
}
