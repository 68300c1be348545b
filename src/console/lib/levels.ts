export type MarkShape = 'cross' | 'ring' | 'disc' | 'triangle' | 'square' | 'star'

/** How a level looks: never by colour alone. */
export interface LevelMark {
  readonly level: number
  readonly name: string
  /** One letter, for where there is no room for the name. */
  readonly letter: string
  readonly shape: MarkShape
}

const marks: readonly LevelMark[] = [
  { level: -1, name: 'distrust', letter: '!', shape: 'cross' },
  { level: 0, name: 'unknown', letter: '?', shape: 'ring' },
  { level: 1, name: 'basic', letter: 'B', shape: 'disc' },
  { level: 2, name: 'verified', letter: 'V', shape: 'triangle' },
  { level: 3, name: 'trusted', letter: 'T', shape: 'square' },
  { level: 4, name: 'authority', letter: 'A', shape: 'star' },
]

export const levelMarks: readonly LevelMark[] = marks

const unknown: LevelMark = { level: 0, name: 'unknown', letter: '?', shape: 'ring' }

/** The mark of a level a node computed; anything else is unknown. Source: trust/v1 section 2. */
export const levelMark = (level: number): LevelMark => marks.find((mark) => mark.level === level) ?? unknown

/** What a statement says: 0 is a caution there. Source: trust/v1 section 1.3. */
export const saidLevel = (level: number): string => (level === 0 ? 'caution' : levelMark(level).name)

/** Words a statement can say, lowest first. */
export const saidWords = ['distrust', 'caution', 'basic', 'verified', 'trusted', 'authority'] as const
export type SaidWord = (typeof saidWords)[number]
/** Words with which somebody is taken in. */
export const givenWords = ['basic', 'verified', 'trusted', 'authority'] as const
export type GivenWord = (typeof givenWords)[number]
