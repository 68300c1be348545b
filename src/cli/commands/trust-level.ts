import { MeshError } from '../../base/index.ts'

export const levelWords = ['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority'] as const
export type LevelWord = (typeof levelWords)[number]

/** A level as people type it: a word, or its number from -1 to 4. @throws ERR_USAGE */
export function levelOf(text: string): LevelWord {
  const found = levelWords.find((word, at) => word === text.toLowerCase() || String(at - 1) === text)
  if (found === undefined) throw new MeshError('ERR_USAGE', `'${text}' is no level`, { hint: `one of ${levelWords.join(', ')}` })
  return found
}
