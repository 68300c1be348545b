const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

/** Spans that forms offer, in ms. */
export const spans: readonly { readonly ms: number; readonly text: string }[] = [
  { ms: hour, text: '1 hour' },
  { ms: day, text: '1 day' },
  { ms: 7 * day, text: '7 days' },
  { ms: 30 * day, text: '30 days' },
  { ms: 90 * day, text: '90 days' },
  { ms: 180 * day, text: '180 days' },
  { ms: 365 * day, text: '1 year' },
]

const isInstant = (at: number): boolean => Math.abs(at) <= 8.64e15

/** `2026-01-31`, UTC; `for ever` where there is no end. */
export const dayOf = (at: number): string => (isInstant(at) ? new Date(at).toISOString().slice(0, 10) : 'for ever')

/** `2026-01-31 12:05 UTC` */
export const minuteOf = (at: number): string => (isInstant(at) ? `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC` : 'for ever')

/** `3 min ago`, or `in 2 days`. */
export function agoText(at: number, now: number): string {
  const span = Math.abs(now - at)
  if (span < minute) return at > now ? 'in less than a minute' : 'just now'
  const [unit, name] = span < hour ? [minute, 'min'] : span < day ? [hour, 'h'] : [day, 'days']
  const count = Math.floor(span / unit)
  const text = `${count} ${name === 'days' && count === 1 ? 'day' : name}`
  return at > now ? `in ${text}` : `${text} ago`
}
