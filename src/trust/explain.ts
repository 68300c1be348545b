import type { Did } from '../base/index.ts'
import type { TrustGraph } from './graph.ts'
import { votesNeeded } from './limits.ts'
import { disjointPaths, type Path } from './paths.ts'
import type { ProofLevel, Proofs } from './proof.ts'
import { sentenceOf } from './sentence.ts'
import type { Veto } from './reader.ts'
import { rootIndex, type Sift } from './sift.ts'
import type { Standing } from './strata.ts'
import { type IgnoredReason, type Level, levelCaution, type LevelName, levelName } from './types.ts'
import type { Validity } from './validity.ts'

export interface Reason {
  /** From the root to the subject. */
  readonly path: readonly Did[]
  /** Ids of the statements along the path, one fewer than its nodes. */
  readonly attestations: readonly string[]
  /** Lowest level any statement on the path says, as signed. */
  readonly minLevel: Level
  /** When the first of them stops saying enough. */
  readonly expires: number
}

/** Why a subject has the level it has. Plain data. Source: trust/v1 section 3. */
export interface Explanation {
  readonly subject: Did
  readonly scope: string
  readonly level: Level
  readonly levelName: LevelName
  readonly because: readonly Reason[]
  /** Distrust and cautions that count against the subject, also where they are too few. */
  readonly vetoes: readonly { readonly issuer: Did; readonly id: string }[]
  /** Statements about the subject that do not count, or count for less (`stale`). */
  readonly ignored: readonly { readonly id: string; readonly issuer: Did; readonly reason: IgnoredReason }[]
  readonly missingForNext: { readonly level: Level; readonly need: string } | undefined
  /** The answer cannot change by time alone before this instant; undefined when it never will. */
  readonly validUntil: number | undefined
  readonly sentence: string
}

export interface ExplainOptions {
  /** The reader's own word for somebody. */
  readonly name?: ((did: Did) => string) | undefined
}

export interface Known {
  readonly sift: Sift
  readonly graph: TrustGraph
  readonly standing: Standing
  /** By node, the level with what was experienced. */
  readonly answers: Int8Array
  readonly proofs: Proofs
  readonly validity: Validity
  readonly scope: string
}

export function explain(known: Known, subject: Did, { name }: ExplainOptions = {}): Explanation {
  const { sift, answers } = known
  const node = sift.indexOf.get(subject)
  const level = (node === undefined ? 0 : (answers[node] ?? 0)) as Level
  const plain = {
    subject,
    scope: known.scope,
    level,
    levelName: levelName(level),
    because: node === undefined ? [] : because(known, node, level),
    vetoes: node === undefined ? [] : vetoesOf(known, node),
    ignored: node === undefined ? [] : ignoredOf(known, node),
    missingForNext: missing(known, node, level),
    validUntil: finite(validUntil(known, node, level)),
  }
  return { ...plain, sentence: sentenceOf(plain, { root: sift.nodes[rootIndex] as Did, name }) }
}

function because({ sift, graph, standing, proofs }: Known, node: number, level: Level): Reason[] {
  if (node === rootIndex || level < 1) return []
  const isAuthority = (at: number): boolean => (standing.depths[4]?.[at] ?? -1) >= 0
  return disjointPaths(proofs, isAuthority, level as ProofLevel, node).map((path: Path) => {
    const said = path.map(({ edge, slot }) => sift.attestation(graph.witness(edge, slot)))
    return {
      path: [sift.nodes[rootIndex] as Did, ...path.map(({ edge }) => sift.nodes[graph.target[edge] ?? -1] as Did)],
      attestations: said.map(({ id }) => id),
      minLevel: said.reduce<Level>((least, { level: says }) => (says < least ? says : least), 4),
      expires: path.reduce((soonest, { edge, slot }) => Math.min(soonest, graph.until(edge, slot)), Infinity),
    }
  })
}

function vetoesOf(known: Known, node: number): Explanation['vetoes'] {
  return (known.graph.vetoesAbout.get(node) ?? [])
    .filter((veto) => isHeard(veto, known.standing))
    .map((veto) => ({ issuer: known.sift.nodes[veto.issuer] as Did, id: known.sift.attestation(veto.statement).id }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
}

const isHeard = (veto: Veto, { level, counted }: Standing): boolean => counted.has(veto) || (level[veto.issuer] ?? 0) >= Math.max(2, level[veto.subject] ?? 0)

function ignoredOf({ sift, graph, standing }: Known, node: number): Explanation['ignored'] {
  const heard = new Set((graph.vetoesAbout.get(node) ?? []).filter((veto) => isHeard(veto, standing)).map(({ statement }) => statement))
  return sift
    .about(node)
    .flatMap((at) => {
      const { id, issuer, level } = sift.attestation(at)
      const pair = sift.columns.pair[at] ?? 0
      const reason = graph.reasonOf(at) ?? introducerFault(pair, level <= levelCaution, heard.has(at))
      return reason === undefined ? [] : [{ id, issuer, reason }]
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1))

  function introducerFault(pair: number, isVeto: boolean, isHeard: boolean): IgnoredReason | undefined {
    const issuer = sift.pairs.issuer[pair] ?? rootIndex
    if (issuer === rootIndex || isHeard) return undefined
    if (standing.banned[issuer] === 1) return 'banned'
    if ((standing.level[issuer] ?? 0) < 4 && sift.countsFrom(pair) > graph.now) return 'quota'
    const left = standing.depths[2]?.[issuer] ?? -1
    if (isVeto || left < 0) return 'issuerLevel'
    return left === 0 ? 'depth' : undefined
  }
}

function missing({ graph: { vetoesAbout }, standing, proofs }: Known, node: number | undefined, level: Level): Explanation['missingForNext'] {
  if (level === 4 || node === rootIndex) return undefined
  const next = (level < 1 ? 1 : level + 1) as 1 | 2 | 3 | 4
  const introducer = levelName(next === 1 ? 2 : next).toUpperCase()
  if (node !== undefined && (level < 0 || isHeldDown(vetoesAbout.get(node) ?? [], standing, next))) {
    return { level: next, need: 'an end of the distrust or a statement of your own' }
  }
  if (next === 4) return { level: next, need: 'a statement of your own' }
  const there = node === undefined ? 0 : proofs.candidates(next, node).reduce((sum, { votes }) => sum + votes, 0)
  const more = Math.max(1, (votesNeeded[next] ?? 1) - there)
  return {
    level: next,
    need: `${['no', 'one', 'two', 'three'][more] ?? more} ${level < 1 && there === 0 ? '' : 'more '}${introducer} introducer${more === 1 ? '' : 's'}`,
  }
}

/** Whether a veto, not a lack of votes, keeps a node from `next`. */
function isHeldDown(vetoes: readonly Veto[], { counted }: Standing, next: number): boolean {
  return vetoes.some((veto) => counted.has(veto) && (next > 1 || veto.hard))
}

/** What holds the level up may fall, or something may raise it; what a ban rests on is the standing of its issuers, which `rise` follows. */
function validUntil({ proofs, validity, standing }: Known, node: number | undefined, level: Level): number {
  if (node === undefined || node === rootIndex) return Infinity
  // What was experienced hides what others say; any change of that may show.
  if (level !== standing.level[node]) return validity.anything
  return Math.min(validity.rise, level >= 1 ? proofs.until(level as ProofLevel, node) : Infinity)
}

const finite = (at: number): number | undefined => (Number.isFinite(at) ? at : undefined)
