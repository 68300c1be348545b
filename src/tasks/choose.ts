import { type Did, MeshError, type Random } from '../base/index.ts'
import { levelName, type Level, TrustLevel } from '../trust/index.ts'

/** A peer that says it runs tasks, and what it answered when it was asked about this one. */
export interface Candidate {
  readonly did: Did
  /** Ours of it, in `/task/run`. */
  readonly level: Level
  /** How well we know it, 0 to 1: ranks among equals and decides nothing else. */
  readonly known?: number
  readonly presence: string
  readonly route: 'direct' | 'relayed'
  readonly answer: CandidateAnswer
}

export type CandidateAnswer =
  /** Where it would run, and the tasks that run and wait there. */
  | { readonly takes: true; readonly isolation: string; readonly backend: string; readonly running: number; readonly queued: number }
  /** `isSaid`: by the peer itself; else it gave no answer. */
  | { readonly takes: false; readonly code: string; readonly reason: string; readonly isSaid: boolean }

export interface Chosen {
  readonly did: Did
  /** One sentence: why this one, and what spoke against the others. */
  readonly why: string
}

const loadOf = ({ answer }: Candidate): number => (answer.takes ? answer.running + answer.queued : 0)
const doubts = ({ answer }: Candidate): number => (answer.takes ? 0 : 1)
const reach = ({ presence, route }: Candidate): number => (presence === 'online' ? 0 : 2) + (route === 'direct' ? 0 : 1)

/**
 * Who runs a task: nobody we distrust and nobody that said no; then those that said yes before those that said nothing, the more trusted before the less,
 * the less busy before the busier, online and direct before others, the better known before the less, else by chance. One that was tried comes last. Source: task/v1 section 9.
 * @throws ERR_CAPABILITY_DENIED naming why each is out
 */
export function chooseExecutor(candidates: readonly Candidate[], { tried, random }: { readonly tried: readonly Did[]; readonly random: Random }): Chosen {
  const out = candidates.flatMap((one) => {
    const reason = reasonAgainst(one)
    return reason === undefined ? [] : [`${one.did}: ${reason}`]
  })
  const wasTried = (one: Candidate): number => tried.filter((did) => did === one.did).length
  const ranked = candidates
    .filter((one) => reasonAgainst(one) === undefined)
    .map((one) => ({ one, order: [wasTried(one), doubts(one), -one.level, loadOf(one), reach(one), -(one.known ?? 0), random.fraction()] }))
    .toSorted((a, b) => compareRows(a.order, b.order))
  const best = ranked[0]?.one
  if (best === undefined) {
    throw new MeshError(
      'ERR_CAPABILITY_DENIED',
      out.length === 0 ? 'no peer that runs tasks was found' : `no peer takes this task: ${out.join('; ').slice(0, 2_000)}`,
      {
        hint: 'connect to more peers with `kindmesh dial`, or see why with `kindmesh run any <file> --dry-run`',
      },
    )
  }
  const others = ranked.length - 1
  const load = best.answer.takes ? `${best.answer.running} running and ${best.answer.queued} waiting there` : 'it did not say how busy it is'
  const rest = [...(others === 0 ? [] : [`${others} more would do`]), ...(out.length === 0 ? [] : [`${out.length} out (${out.join('; ').slice(0, 500)})`])]
  return { did: best.did, why: [`${levelName(best.level)} in /task/run, ${load}`, ...rest].join('; ') }
}

function reasonAgainst({ level, answer }: Candidate): string | undefined {
  if (level < TrustLevel.UNKNOWN) return `we hold it ${levelName(level)}`
  return !answer.takes && answer.isSaid ? `${answer.reason} (${answer.code})` : undefined
}

function compareRows(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - (b[index] ?? 0)
  return 0
}
