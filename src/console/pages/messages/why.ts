interface Waiting {
  readonly status: 'queued' | 'deposited' | 'expired' | 'refused'
  readonly tries: number
  readonly code?: string | undefined
}

/** Why something in the outbox has not arrived, as a sentence. */
export function whyWaiting({ status, tries, code }: Waiting): string {
  const after = tries === 1 ? 'after one try' : `after ${tries} tries`
  if (status === 'deposited') return 'It lies in a mailbox of the other side, which has not fetched it yet'
  if (status === 'expired') return `Given up ${after}: nobody was reached in time`
  if (status === 'refused') return `Refused by the other side${code === undefined ? '' : `: ${code}`}`
  if (tries === 0) return 'Not tried yet'
  return `${code === undefined ? 'Not reached' : code} ${after}; tried again by itself`
}

/** What became of a message that was just sent. */
export function sentText({ status, route }: { readonly status: string; readonly route: string | null }): string {
  if (status === 'acknowledged') return `Delivered${route === null ? '' : ` (${route})`}`
  return status === 'deposited' ? 'Left in a mailbox of the other side' : 'Kept here and tried again until it arrives'
}
