import type { Did } from '../base/index.ts'
import type { Explanation } from './explain.ts'
import { levelName } from './types.ts'

const shortLength = 6

/** A DID short enough to read: `z6Mk…` and its last characters. */
export const shortDid = (did: Did): string => (did.startsWith('did:key:') && did.length > 24 ? `${did.slice(8, 12)}…${did.slice(-shortLength)}` : did)

export interface SentenceOptions {
  readonly root: Did
  readonly name: ((did: Did) => string | undefined) | undefined
}

/** One plain sentence: the level, who stands behind it, until when, what would raise it. Source: trust/v1 section 3.4. */
export function sentenceOf(why: Omit<Explanation, 'sentence'>, { root, name: given }: SentenceOptions): string {
  const name = (did: Did): string => given?.(did) ?? shortDid(did)
  const head = `${why.levelName.toUpperCase()} in ${why.scope}`
  if (why.subject === root) return `${head}, because this is you.`
  const parts = [`${head}, because ${reasonIn(why, root, name)}`]
  if (why.level >= 0 && why.vetoes.length > 0) {
    const issuers = unique(why.vetoes.map(({ issuer }) => issuer))
    const speak = issuers.length === 1 && issuers[0] !== root ? 'speaks' : 'speak'
    parts.push(`${list(issuers.map((issuer) => (issuer === root ? 'you' : name(issuer))))} ${speak} against (${tally(why.counts)})`)
  }
  if (why.validUntil !== undefined) parts.push(`valid until ${day(why.validUntil)}`)
  if (why.missingForNext !== undefined) {
    const { need, near } = why.missingForNext
    const helpers = near.filter(({ by }) => by === 'vouch' || by === 'raise').slice(0, helpersMax)
    parts.push(
      `${need} would raise it${
        helpers.length === 0
          ? ''
          : `, such as ${list(
              helpers.map(({ did }) => name(did)),
              'or',
            )}`
      }`,
    )
  }
  return `${parts.join('; ')}.`
}

const helpersMax = 3

/** `+3 introducers, -1 distrust` */
function tally({ introducers, distrust, cautions }: Explanation['counts']): string {
  const against = [...(distrust > 0 ? [`-${distrust} distrust`] : []), ...(cautions > 0 ? [`-${cautions} caution${cautions === 1 ? '' : 's'}`] : [])]
  return [`+${introducers} introducer${introducers === 1 ? '' : 's'}`, ...against].join(', ')
}

function reasonIn(why: Omit<Explanation, 'sentence'>, root: Did, name: (did: Did) => string): string {
  if (why.level < 0) return distrusted(why, root, name)
  if (why.level > why.saidLevel) return 'its tasks for you ended well'
  if (why.level < why.saidLevel) return `its tasks for you ended badly, where words alone would make it ${levelName(why.saidLevel).toUpperCase()}`
  return vouched(why, root, name)
}

const day = (at: number): string => (Math.abs(at) <= 8.64e15 ? new Date(at).toISOString().slice(0, 10) : 'the end of time')

const list = (words: readonly string[], join = 'and'): string =>
  words.length < 2 ? (words[0] ?? 'nobody') : `${words.slice(0, -1).join(', ')} ${join} ${words.at(-1) ?? ''}`

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
