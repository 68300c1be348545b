import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { createSeededRandom, dayMs, type Did, randomInt } from '../../src/base/index.ts'
import type { Attestation, StatementLevel } from '../../src/trust/index.ts'

/** Trust networks of others, in a folder beside the repository. */
const folder = new URL('../../../shared/data/trust/', import.meta.url)
export const now = Date.UTC(2026, 0, 1)

/** Who says what of whom, and when; node numbers as text. */
export interface Word {
  readonly from: string
  readonly to: string
  readonly level: StatementLevel
  readonly at: number
}

const didOf = (node: string): Did => `did:key:z6Mk${node}` as Did

/** Made into statements that a ledger takes; ids are as long as real ones. */
export const asStatements = (words: readonly Word[]): Attestation[] =>
  words.map(({ from, to, level, at }, index) => ({
    ...{ id: index.toString(16).padStart(64, '0'), issuer: didOf(from), subject: didOf(to), level, scopes: ['/task'], depth: 3 },
    ...{ issuedAt: at, expiresAt: at + 400 * dayMs, seq: index, firstSeenAt: at },
  }))

/** The one who speaks of most others, as whose node this could be. */
export function busiest(words: readonly Word[]): Did {
  const counts = new Map<string, number>()
  for (const { from } of words) counts.set(from, (counts.get(from) ?? 0) + 1)
  return didOf([...counts].reduce((best, next) => (next[1] > best[1] ? next : best), ['', 0])[0])
}

const lines = (path: string): string[] | undefined => {
  const url = new URL(path, folder)
  if (!existsSync(url)) return undefined
  const bytes = readFileSync(url)
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').trim().split('\n')
}

/** Ratings from -10 to 10 in order of time, moved so that the last is from yesterday. */
export function bitcoinotc(): Word[] | undefined {
  const rows = lines('bitcoinotc/soc-sign-bitcoinotc.csv')
    ?.slice(1)
    .map((line) => line.split(','))
  const last = Math.max(...(rows ?? []).map(([, , , time]) => Number(time)))
  return rows
    ?.map(([from = '', to = '', rating = '0', time = '0']): Word => {
      const stars = Number(rating)
      return { from, to, level: stars <= -5 ? -1 : stars < 0 ? 0 : stars < 2 ? 1 : stars < 5 ? 2 : 3, at: now - dayMs - (last - Number(time)) * 1_000 }
    })
    .sort((a, b) => a.at - b.at)
}

/** The same as if all had been said yesterday: nothing expired, nothing aged. */
export const allYesterday = (words: readonly Word[]): Word[] => words.map((word) => ({ ...word, at: now - dayMs }))

const advogatoLevels: Readonly<Record<string, StatementLevel>> = { '.6': 1, '.8': 2, '1': 3 }

export function advogato(): Word[] | undefined {
  return lines('advogato/out.advogato')
    ?.map((line) => line.trim().split(/\s+/))
    .flatMap(([from = '', to = '', weight = '']) => {
      const level = advogatoLevels[weight]
      return level === undefined || from === to ? [] : [{ from, to, level, at: now - dayMs }]
    })
}

/** Who trusts whom, without degrees: all VERIFIED. */
export function epinions(): Word[] | undefined {
  return lines('epinions/epinions-adj.txt.gz')?.flatMap((line) => {
    const [from = '', all = ''] = line.split(':')
    return all.split(',').flatMap((to): Word[] => (to === '' || to === from ? [] : [{ from, to, level: 2, at: now - dayMs }]))
  })
}

/** As many words as asked for, a tenth as many nodes; half of the words are about whoever was spoken of before. */
export function synthetic(count: number): Word[] {
  const random = createSeededRandom(1)
  const nodes = Math.floor(count / 10)
  const levels: readonly StatementLevel[] = [1, 1, 2, 2, 2, 3, 3, 3, 3, -1]
  const words: Word[] = []
  while (words.length < count) {
    const from = randomInt(random, nodes)
    const known = words.length > 0 && randomInt(random, 2) === 0
    const to = known ? Number(words[randomInt(random, words.length)]?.to ?? 0) : randomInt(random, nodes)
    const level = levels[randomInt(random, levels.length)] ?? 1
    if (from !== to) words.push({ from: String(from), to: String(to), level, at: now - dayMs })
  }
  return words
}
