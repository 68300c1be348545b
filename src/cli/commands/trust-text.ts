import { plainText } from '../parse.ts'
import { nameOfLevel } from './mesh.ts'

/** Who it is in the reader's words, else its DID. */
export const called = (did: string, names: Readonly<Record<string, string>>): string => plainText(Object.hasOwn(names, did) ? (names[did] ?? did) : did)

/** The day, in UTC. */
export const dayOf = (at: number): string => (Math.abs(at) <= 8.64e15 ? new Date(at).toISOString().slice(0, 10) : 'for ever')

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
