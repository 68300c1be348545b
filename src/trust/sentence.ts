import type { Did } from '../base/index.ts'
import type { Explanation } from './explain.ts'

const shortLength = 6

/** A DID short enough to read: `z6Mk…` and its last characters. */
export const shortDid = (did: Did): string => (did.startsWith('did:key:') && did.length > 24 ? `${did.slice(8, 12)}…${did.slice(-shortLength)}` : did)

export interface SentenceOptions {
  readonly root: Did
  readonly name: ((did: Did) => string) | undefined
}

/** One plain sentence: the level, who stands behind it, until when, what would raise it. Source: trust/v1 section 3.4. */
export function sentenceOf(why: Omit<Explanation, 'sentence'>, { root, name = shortDid }: SentenceOptions): string {
  const head = `${why.levelName.toUpperCase()} in ${why.scope}`
  if (why.subject === root) return `${head}, because this is you.`
  const parts = [`${head}, because ${why.level < 0 ? distrusted(why, root, name) : vouched(why, root, name)}`]
  if (why.level >= 0 && why.vetoes.length > 0) {
    parts.push(
      `${list(why.vetoes.map(({ issuer }) => (issuer === root ? 'you' : name(issuer))))} ${why.vetoes.length === 1 && why.vetoes[0]?.issuer !== root ? 'speaks' : 'speak'} against`,
    )
  }
  if (why.validUntil !== undefined) parts.push(`valid until ${day(why.validUntil)}`)
  if (why.missingForNext !== undefined) parts.push(`${why.missingForNext.need} would raise it`)
  return `${parts.join('; ')}.`
}

const day = (at: number): string => (Math.abs(at) <= 8.64e15 ? new Date(at).toISOString().slice(0, 10) : 'the end of time')

const list = (words: readonly string[]): string => (words.length < 2 ? (words[0] ?? 'nobody') : `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`)

const unique = <T>(all: readonly T[]): T[] => [...new Set(all)]

function distrusted({ vetoes }: Pick<Explanation, 'vetoes'>, root: Did, name: (did: Did) => string): string {
  const issuers = unique(vetoes.map(({ issuer }) => issuer))
  if (issuers.includes(root)) return 'you distrust it'
  return issuers.length === 1 ? `${list(issuers.map(name))} distrusts it` : `${list(issuers.map(name))} distrust it`
}

function vouched({ because }: Pick<Explanation, 'because'>, root: Did, name: (did: Did) => string): string {
  const first = because[0]
  if (first === undefined) return 'nobody you know vouches for it'
  if (first.path.length === 2) return 'you say so'
  const all = because.length > 2 ? 'all ' : because.length === 2 ? 'both ' : ''
  const isNear = because.every(({ path }) => path.length === 3)
  const vouchers = because.map(({ path }) => {
    const voucher = name(path.at(-2) ?? root)
    return isNear || path.length === 3 ? voucher : `${voucher} (through ${list(path.slice(1, -2).map(name))})`
  })
  return `${list(vouchers)}${isNear ? ', whom you know,' : ''} ${all}${because.length === 1 ? 'vouches' : 'vouch'}`
}
