import type { Policy } from '../policy/index.ts'
import type { Terms, TermsAnswer, Want } from '../protocols/klp/index.ts'
import { type Level, levelName } from '../trust/index.ts'

/** What a peer is to us, and what it may do here. */
export interface Standing {
  readonly policy: Policy
  readonly taskLevel: Level
  readonly messageLevel: Level
}

export interface Negotiation extends Standing {
  readonly wants: readonly Want[]
  /** What this node does for others. */
  readonly offers: readonly string[]
  /** What `policy` allows where its operator narrowed nothing. */
  readonly limitsUsual: Policy['taskLimitsMax']
}

type Answer = Omit<TermsAnswer, 'name'>

const granted: Answer = { answer: 'granted', reason: '', alternative: '', limits: [] }

/**
 * Answers each want of a peer once: granted, partial with what is missing, or denied with what there is instead.
 * It promises nothing: each message and task is judged when it comes. Source: klp/v1 section 7.
 */
export function negotiate(negotiation: Negotiation): Terms['answers'] {
  const names = [...new Set(negotiation.wants.map(({ name }) => name))]
  return names.map((name) => ({ name, ...answerTo(name, negotiation) }))
}

function answerTo(name: string, { offers, policy, taskLevel, messageLevel, limitsUsual }: Negotiation): Answer {
  if (!offers.includes(name)) return { answer: 'denied', reason: 'not offered here', alternative: alternativeTo(name, offers), limits: [] }
  if (name === 'task') return taskAnswer({ offers, policy, taskLevel, limitsUsual })
  if (isMail(name) && messageLevel < policy.messageLevelMin) {
    return partial(`taken from ${levelName(policy.messageLevelMin)} on; you are ${levelName(messageLevel)} here`, '', [])
  }
  return granted
}

function taskAnswer({ offers, policy, taskLevel, limitsUsual }: Pick<Negotiation, 'offers' | 'policy' | 'taskLevel' | 'limitsUsual'>): Answer {
  const needed = policy.taskLevelMin
  if (taskLevel < needed) {
    const alternative = offers.includes('ask') ? 'ask' : ''
    return partial(`run from ${levelName(needed)} on; you are ${levelName(taskLevel)} here`, alternative, [])
  }
  const limits = (Object.keys(limitsUsual) as (keyof typeof limitsUsual)[])
    .filter((limit) => policy.taskLimitsMax[limit] < limitsUsual[limit])
    .map((limit) => ({ name: limit, most: policy.taskLimitsMax[limit] }))
  return limits.length === 0 ? granted : partial(`with smaller limits: ${limits.map((limit) => `${limit.name} ${limit.most}`).join(', ')}`, '', limits)
}

const partial = (reason: string, alternative: string, limits: Answer['limits']): Answer => ({ answer: 'partial', reason, alternative, limits })

const isMail = (name: string): boolean => name === 'message' || name === 'ask' || name.startsWith('agent:')

/** Another agent for an agent, else what everybody has. */
function alternativeTo(name: string, offers: readonly string[]): string {
  const near = name.startsWith('agent:') ? offers.find((offer) => offer.startsWith('agent:')) : undefined
  return near ?? ['ask', 'message'].find((offer) => offers.includes(offer)) ?? ''
}
