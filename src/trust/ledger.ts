import type { Did } from '../base/index.ts'
import { edgesOf } from './edges.ts'
import { type Experience, withExperience } from './experience.ts'
import { explain, type Known } from './explain.ts'
import { buildGraph, type TrustGraph } from './graph.ts'
import { groupNodes } from './groups.ts'
import { introducerDepthMax, quotaSubjectsMax } from './limits.ts'
import { createProofs } from './proof.ts'
import { inOrder, rankScores } from './rank.ts'
import type { TrustSnapshot } from './rule.ts'
import { scopeCovers } from './scope.ts'
import { createSift, rootIndex, type Sift } from './sift.ts'
import { type Standing, settle } from './strata.ts'
import { type Attestation, type Level, levelCaution, type Revocation } from './types.ts'
import { validity } from './validity.ts'

export interface LedgerQuestion {
  /** A command path such as `/task/run`. */
  readonly scope: string
  readonly now: number
  /** Age in ms of the newest head seen of an issuer, undefined when none was seen. Without this function every head is taken as fresh. */
  readonly headAge?: ((issuer: Did) => number | undefined) | undefined
  readonly depthMax?: number | undefined
}

export interface LedgerOptions {
  readonly root: Did
  /** Who answers for a DID. Issuers with one controller have one vote. Asked again whenever a scope is built anew. */
  readonly controllerOf?: ((did: Did) => Did) | undefined
}

/**
 * Statements in columns, kept over many questions. A scope that was asked for is kept as a graph: asking again costs nothing until
 * something that matters to it changes or its next instant passes; then the graph is built anew from the columns and all levels are computed.
 */
export interface Ledger {
  /** Idempotent by id. */
  add(attestation: Attestation): void
  revoke(revocation: Revocation): void
  /** Proven to contradict itself: what it says stops counting at once, its own level stays. Nobody convicts the root. */
  warrant(issuer: Did): void
  /** Replaces what was said. */
  experience(all: Iterable<Experience>): void
  /** Forgets statements. */
  remove(ids: Iterable<string>): void
  /** False when one more statement provably changes no level in any scope asked for. Costs the same however much is held. */
  matters(attestation: Attestation): boolean
  readonly size: number
  /** Never at an earlier instant than the last: a clock set back revives nothing. */
  snapshot(question: LedgerQuestion): TrustSnapshot
}

/** Scopes kept as graphs. */
const scopesMax = 64
/** Forgotten statements that may take room before the columns are made anew. */
const goneMin = 1_024

/** What was computed for one scope. Never changes, but for the marks that it is out of date. */
interface State {
  readonly sift: Sift
  readonly graph: TrustGraph
  readonly standing: Standing
  /** When the heads of those who are heard were signed, by node. */
  readonly heads: ReadonlyMap<number, number>
  readonly hasHeads: boolean
  answers: Int8Array
  answersOf: object
  scores: Float64Array | undefined
  known: Known | undefined
  /** Levels may have changed. */
  isStale: boolean
  /** No level changed, but explanations may have. */
  isBehind: boolean
}

export function createLedger({ root, controllerOf }: LedgerOptions): Ledger {
  let sift = createSift(root)
  const states = new Map<string, State>()
  const revocations: Revocation[] = []
  const warrants = new Set<Did>()
  let experiences = new Map<Did, Experience>()
  let latest = -Infinity

  /** Marks what a word of this issuer may change: nothing where nobody hears him. */
  function changed(issuer: number, isHeard: (state: State) => boolean = (state) => hears(state, issuer)): void {
    for (const state of states.values()) {
      state.isBehind = true
      if (!state.isStale) state.isStale = isHeard(state)
    }
  }
  const hears = ({ standing }: State, issuer: number): boolean => (standing.reach[issuer] ?? -1) >= 0

  function isRelevant(scope: string, state: State, { issuer, subject, level, scopes }: Attestation): boolean {
    if (subject === root || subject === issuer) return false
    const node = sift.indexOf.get(issuer)
    if (node === undefined || !hears(state, node)) return false
    const to = sift.indexOf.get(subject)
    if (to !== undefined && sift.pairs.find(node, to) >= 0) return true
    // A first word about somebody new can take a turn in a quota only where turns are scarce.
    if (node !== rootIndex && sift.pairs.countOf(node) >= quotaSubjectsMax) return true
    if (level > levelCaution && (state.standing.reach[node] ?? -1) < 1) return false
    return scopes.some((one) => scopeCovers(one, scope))
  }

  function stateOf({ scope, now: asked, headAge, depthMax = introducerDepthMax }: LedgerQuestion, isWhole = false): State {
    const now = latest
    const key = `${depthMax} ${scope}`
    const signedAt = new Float64Array(headAge === undefined ? 0 : sift.nodes.length).fill(Number.NaN)
    const headAt = (node: number): number => {
      if (headAge === undefined || node === rootIndex) return Infinity
      const before = signedAt[node] ?? Number.NaN
      if (!Number.isNaN(before)) return before
      const age = headAge(sift.nodes[node] as Did)
      const at = age === undefined ? -Infinity : asked - age
      signedAt[node] = at
      return at
    }
    const before = states.get(key)
    const isCurrent =
      before !== undefined &&
      !before.isStale &&
      !(isWhole && before.isBehind) &&
      now < before.graph.next &&
      before.hasHeads === (headAge !== undefined) &&
      before.heads.entries().every(([node, at]) => headAt(node) === at)
    states.delete(key)
    if (isCurrent) {
      states.set(key, before)
      return before
    }
    const groups = controllerOf === undefined ? undefined : groupNodes(sift.nodes, controllerOf)
    const graph = buildGraph(sift, { scope, now, depthMax, headAt, groups })
    const standing = settle(graph)
    const heads = new Map<number, number>()
    if (headAge !== undefined) standing.reach.forEach((left, node) => left >= 0 && node !== rootIndex && heads.set(node, headAt(node)))
    const state: State = {
      ...{ sift, graph, standing, heads, hasHeads: headAge !== undefined },
      ...{ answers: standing.level, answersOf: standing, scores: undefined, known: undefined, isStale: false, isBehind: false },
    }
    states.set(key, state)
    for (const oldest of states.keys()) {
      if (states.size <= scopesMax) break
      states.delete(oldest)
    }
    return state
  }

  function answersOf(state: State): Int8Array {
    if (state.answersOf === experiences || (experiences.size === 0 && state.answersOf === state.standing)) return state.answers
    const { level, rootWord } = state.standing
    const answers = new Int8Array(sift.nodes.length)
    answers.set(level)
    for (const experience of experiences.values()) {
      const node = sift.indexOf.get(experience.subject) ?? rootIndex
      if (node !== rootIndex) answers[node] = withExperience((answers[node] ?? 0) as Level, rootWord[node] ?? 0, experience)
    }
    state.answers = answers
    state.answersOf = experiences
    state.known = undefined
    return answers
  }

  function knownOf(state: State, scope: string): Known {
    const answers = answersOf(state)
    if (state.known !== undefined) return state.known
    const { graph, standing } = state
    const proofs = createProofs(graph, standing)
    state.known = { sift: state.sift, graph, standing, answers, proofs, validity: validity(graph, standing, proofs), scope }
    return state.known
  }

  function compact(): void {
    if (sift.gone < goneMin || sift.gone < sift.size) return
    const before = sift
    sift = createSift(root)
    states.clear()
    for (const revocation of revocations) sift.revoke(revocation)
    for (const attestation of before.all()) sift.add(attestation)
    for (const issuer of warrants) sift.warrant(issuer)
    for (const subject of experiences.keys()) sift.mention(sift.numberOf(subject), 1)
  }

  return {
    add(attestation) {
      const relevant = new Set(states.entries().flatMap(([key, state]) => (isRelevant(scopeOf(key), state, attestation) ? [state] : [])))
      if (sift.add(attestation)) changed(rootIndex, (state) => relevant.has(state))
    },
    revoke(revocation) {
      if (!sift.revoke(revocation)) return
      revocations.push(revocation)
      changed(sift.indexOf.get(revocation.issuer) ?? -1)
    },
    warrant(issuer) {
      if (!sift.warrant(issuer)) return
      warrants.add(issuer)
      changed(sift.indexOf.get(issuer) ?? -1)
    },
    experience(all) {
      for (const subject of experiences.keys()) sift.mention(sift.numberOf(subject), -1)
      experiences = summed(all)
      for (const subject of experiences.keys()) sift.mention(sift.numberOf(subject), 1)
    },
    remove(ids) {
      for (const id of ids) {
        const issuer = sift.remove(id)
        if (issuer !== undefined) changed(issuer)
      }
      compact()
    },
    matters: (attestation) => states.size === 0 || states.entries().some(([key, state]) => state.isStale || isRelevant(scopeOf(key), state, attestation)),
    get size() {
      return sift.size
    },
    snapshot(question) {
      latest = Math.max(latest, question.now)
      const { scope } = question
      const [at, state] = [latest, stateOf(question)]
      const [own, answers] = [state.sift, answersOf(state)]
      const levelOf = (subject: Did): Level => (answers[own.indexOf.get(subject) ?? -1] ?? 0) as Level
      const whole = (): State => stateOf(question, true)
      return {
        scope,
        at,
        validUntil: state.graph.next === Infinity ? undefined : state.graph.next,
        level: levelOf,
        edges: () => edgesOf(knownOf(whole(), scope)),
        explain: (subject, options) => explain(knownOf(whole(), scope), subject, options),
        subjects: () => [root, ...own.nodes.filter((_, node) => node !== rootIndex && own.isMentioned(node)).sort()],
        rank(subjects = own.nodes.filter((_, node) => node === rootIndex || own.isMentioned(node))) {
          state.scores ??= rankScores(state.graph, state.standing)
          const { scores } = state
          return inOrder([...subjects].map((subject) => ({ subject, level: levelOf(subject), score: scores[own.indexOf.get(subject) ?? -1] ?? 0 })))
        },
      }
    },
  }
}

const scopeOf = (key: string): string => key.slice(key.indexOf(' ') + 1)

/** What was said twice of one subject is added up; what is no number is left out. */
function summed(all: Iterable<Experience>): Map<Did, Experience> {
  const sums = new Map<Did, Experience>()
  for (const { subject, successes, failures } of all) {
    const before = sums.get(subject) ?? { subject, successes: 0, failures: 0 }
    if (!(successes >= 0 && failures >= 0)) continue
    sums.set(subject, { subject, successes: before.successes + successes, failures: before.failures + failures })
  }
  return sums
}
