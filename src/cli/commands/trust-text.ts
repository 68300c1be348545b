import { plainText } from '../parse.ts'
import { nameOfLevel } from './mesh.ts'

/** Who it is in the reader's words, else its DID. */
export const called = (did: string, names: Readonly<Record<string, string>>): string => plainText(Object.hasOwn(names, did) ? (names[did] ?? did) : did)

/** Until which day, in UTC. */
export const untilText = (at: number): string => (Math.abs(at) <= 8.64e15 ? `until ${new Date(at).toISOString().slice(0, 10)}` : 'for ever')

/** What a statement says: level 0 is a caution there, and UNKNOWN in an answer. */
export const saidLevel = (level: number): string => (level === 0 ? 'caution' : nameOfLevel(level))

interface Simulated {
  readonly scope: string
  readonly changes: readonly { readonly subject: string; readonly before: number; readonly after: number }[]
  readonly names: Readonly<Record<string, string>>
}

/** Who would fall and who would rise. */
export function simulationText({ scope, changes, names }: Simulated): string {
  if (changes.length === 0) return `nobody's level in ${scope} would change; nothing was signed`
  const fall = changes.filter(({ before, after }) => after < before).length
  return [
    `in ${scope} ${fall} would fall and ${changes.length - fall} would rise; nothing was signed`,
    ...changes.map(({ subject, before, after }) => `  ${nameOfLevel(before)} -> ${nameOfLevel(after)}  ${called(subject, names)}`),
  ].join('\n')
}

const helps = {
  vouch: 'could vouch',
  raise: 'vouches for less',
  rise: 'vouches, and is trusted too little himself',
  refresh: 'vouches, and was not heard of lately',
} as const

interface Told {
  readonly sentence: string
  readonly because: readonly { readonly path: readonly string[]; readonly minLevel: number; readonly expires: number }[]
  readonly vetoes: readonly { readonly issuer: string; readonly level: number; readonly id: string; readonly isDecisive: boolean }[]
  readonly ignored: readonly { readonly issuer: string; readonly reason: string; readonly id: string }[]
  readonly missingForNext?: { readonly near: readonly { readonly did: string; readonly by: keyof typeof helps }[] } | null | undefined
}

/** The sentence, then what it rests on, a line each. */
export function explanationText({ sentence, because, vetoes, ignored, missingForNext }: Told, names: Readonly<Record<string, string>>): string {
  const who = (did: string): string => called(did, names)
  const row = (what: string, text: string): string => `  ${what.padEnd(8)} ${text}`
  return [
    plainText(sentence),
    ...because.map(({ path, minLevel, expires }) => row('way', `${path.map(who).join(' -> ')}  (${saidLevel(minLevel)} or more, ${untilText(expires)})`)),
    ...vetoes.map(({ issuer, level, id, isDecisive }) =>
      row('against', `${who(issuer)}  ${saidLevel(level)}${isDecisive ? '' : ', not enough alone'}  ${id.slice(0, 12)}`),
    ),
    ...ignored.map(({ issuer, reason, id }) => row('ignored', `${who(issuer)}  ${reasons[reason] ?? reason}  ${id.slice(0, 12)}`)),
    ...(missingForNext?.near ?? []).map(({ did, by }) => row('near', `${who(did)}  ${helps[by]}`)),
  ].join('\n')
}

const reasons: Readonly<Record<string, string>> = {
  expired: 'expired or too old',
  scope: 'of another scope',
  depth: 'may not introduce this far',
  quota: 'introduced too many of late',
  issuerLevel: 'is trusted too little to be heard',
  banned: 'is distrusted or contradicted itself',
  superseded: 'said something newer',
  alias: 'is one with the subject or with another voucher',
  stale: 'was not heard of lately',
  revoked: 'was revoked',
}
