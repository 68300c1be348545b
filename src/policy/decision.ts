import type { ErrorCode } from '../base/index.ts'

/** One of the three that must all agree, and what it says. Source: grant/v1 section 4. */
export interface Reason {
  readonly holds: boolean
  readonly text: string
}

export interface Reasons {
  /** What the level of the asker allows at most. */
  readonly ceiling: Reason
  /** What it was given. */
  readonly token: Reason
  /** What the operator allows. */
  readonly policy: Reason
}

/** May *who* do *what* now? Denials carry a code and a sentence. */
export type Decision<Grant = unknown> =
  | { readonly allow: true; readonly grant: Grant }
  | { readonly allow: false; readonly code: ErrorCode; readonly reason: string }

/** A decision with what each of the three says. */
export type Verdict<Grant = unknown> = Decision<Grant> & { readonly reasons: Reasons }

export type Part = keyof Reasons
const notAsked: Reason = { holds: false, text: 'not asked: another one says no' }

/** A no of one of the three; what was not asked after it does not hold. */
export const denied = (part: Part, code: ErrorCode, reason: string, others: Partial<Reasons> = {}): Verdict<never> => ({
  allow: false,
  code,
  reason,
  reasons: { ceiling: notAsked, token: notAsked, policy: notAsked, ...others, [part]: { holds: false, text: reason } },
})

export const allowed = <Grant>(grant: Grant, texts: Readonly<Record<Part, string>>): Verdict<Grant> => {
  const yes = (text: string): Reason => ({ holds: true, text })
  return { allow: true, grant, reasons: { ceiling: yes(texts.ceiling), token: yes(texts.token), policy: yes(texts.policy) } }
}
