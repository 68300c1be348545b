import type { Did } from '../base/index.ts'
import type { TrustGraph } from './graph.ts'
import { statementsAbout } from './ignored.ts'
import { type Missing, missingForNext } from './missing.ts'
import { disjointPaths, type Path } from './paths.ts'
import type { ProofLevel, Proofs } from './proof.ts'
import { sentenceOf } from './sentence.ts'
import type { Veto } from './reader.ts'
import { rootIndex, type Sift } from './sift.ts'
import type { Standing } from './strata.ts'
import { type IgnoredReason, type Level, levelCaution, levelDistrust, type LevelName, levelName, type StatementLevel } from './types.ts'
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
  /** The level by words alone; what happened in tasks may have lowered or raised it. */
  readonly saidLevel: Level
  readonly because: readonly Reason[]
  /** How many introduce the subject, the root apart, and how many speak against it. */
  readonly counts: { readonly introducers: number; readonly distrust: number; readonly cautions: number }
  /** Distrust and cautions that count against the subject, also where they are too few. */
  readonly vetoes: readonly { readonly issuer: Did; readonly id: string; readonly level: StatementLevel; readonly isDecisive: boolean }[]
  /** Statements about the subject that do not count, or count for less (`stale`). */
  readonly ignored: readonly { readonly id: string; readonly issuer: Did; readonly reason: IgnoredReason }[]
  readonly missingForNext: Missing | undefined
  /** The answer cannot change by time alone before this instant; undefined when it never will. */
  readonly validUntil: number | undefined
  readonly sentence: string
}

export interface ExplainOptions {
  /** The reader's own word for somebody; where there is none the DID is shortened. */
  readonly name?: ((did: Did) => string | undefined) | undefined
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
  const number = sift.indexOf.get(subject)
  // Somebody of whom all was forgotten is nobody.
  const node = number !== undefined && sift.isMentioned(number) ? number : undefined
  const level = (node === undefined ? 0 : (answers[node] ?? 0)) as Level
  const saidLevel = (node === undefined ? 0 : (known.standing.level[node] ?? 0)) as Level
  const vetoes = node === undefined ? [] : heardVetoes(known, node)
  const about = node === undefined ? [] : statementsAbout(known, node, new Set(vetoes.map(({ veto }) => veto.statement)))
  const plain = {
    subject,
    scope: known.scope,
    level,
    levelName: levelName(level),
    saidLevel,
    because: node === undefined ? [] : because(known, node, level),
    counts: node === undefined ? { introducers: 0, distrust: 0, cautions: 0 } : countsOf(known, node, vetoes),
    vetoes: vetoes.map(({ veto, issuer, id }): Explanation['vetoes'][number] => ({
      issuer,
      id,
      level: veto.hard ? levelDistrust : levelCaution,
      isDecisive: known.standing.counted.has(veto),
    })),
    ignored: about.flatMap(({ id, issuer, reason }) => (reason === undefined ? [] : [{ id, issuer, reason }])),
    missingForNext: missingForNext(known, { node, level, saidLevel, about }),
    validUntil: finite(validUntil(known, node, level)),
  }
  return { ...plain, sentence: sentenceOf(plain, { root: sift.nodes[rootIndex] as Did, name }) }
}

function because({ sift, graph, standing, proofs }: Known, node: number, level: Level): Reason[] {
  // What only tasks speak for has nobody to name.
  if (node === rootIndex || level < 1 || (standing.level[node] ?? 0) < level) return []
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

interface HeardVeto {
  readonly veto: Veto
  readonly issuer: Did
  readonly id: string
}

function heardVetoes({ graph, standing, sift }: Known, node: number): readonly HeardVeto[] {
  return (graph.vetoesAbout.get(node) ?? [])
    .filter((veto) => isHeard(veto, standing))
    .map((veto) => ({ veto, issuer: sift.nodes[veto.issuer] as Did, id: sift.attestation(veto.statement).id }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))
}

/** Those whose word counts for any level, the root apart, and those who speak against. */
function countsOf({ proofs }: Known, node: number, vetoes: readonly HeardVeto[]): Explanation['counts'] {
  const introducers = new Set(([1, 2, 3, 4] as const).flatMap((level) => proofs.candidates(level, node).map(({ from }) => from)))
  introducers.delete(rootIndex)
  const against = (isHard: boolean): number => new Set(vetoes.filter(({ veto }) => veto.hard === isHard).map(({ issuer }) => issuer)).size
  return { introducers: introducers.size, distrust: against(true), cautions: against(false) }
}

const isHeard = (veto: Veto, { level, counted }: Standing): boolean => counted.has(veto) || (level[veto.issuer] ?? 0) >= Math.max(2, level[veto.subject] ?? 0)

/** What holds the level up may fall, or something may raise it; what a ban rests on is the standing of its issuers, which `rise` follows. */
function validUntil({ proofs, validity, standing }: Known, node: number | undefined, level: Level): number {
  if (node === undefined || node === rootIndex) return Infinity
  // What was experienced hides what others say; any change of that may show.
  if (level !== standing.level[node]) return validity.anything
  return Math.min(validity.rise, level >= 1 ? proofs.until(level as ProofLevel, node) : Infinity)
}

const finite = (at: number): number | undefined => (Number.isFinite(at) ? at : undefined)
